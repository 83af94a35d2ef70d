// Giving and taking roles: a user or group, on a project, a domain or the system.
import type { Cloud } from '../../cloud';
import { In, type WriteSession } from '../../db';
import { assignments, groups, projects, roles, users, type Assignment, type Role } from '../../db/entities/identity';
import { NotFoundError } from '../../errors';
import { orElseDone } from './conflicts';

/** Who has something where; which role is a question of its own. */
export type Grant = Omit<Assignment, 'role_id'>;

/** A changed grant concerns a user's cached roles, or those of everybody in a group. */
const concerns = (grant: Grant): { user_id?: string } =>
  grant.actor_type === 'user' ? { user_id: grant.actor_id } : {};

/** @throws NotFoundError when one of them was deleted meanwhile: a grant of nothing would stay for ever */
async function requireParties(session: WriteSession, grant: Grant, roleId: string): Promise<void> {
  const { actor_id, actor_type, target_id, target_type } = grant;
  const actor = await session.findOne(actor_type === 'user' ? users : groups, { id: actor_id }, 'shared');
  const target = target_type === 'system' || (await session.findOne(projects, { id: target_id }, 'shared'));
  const role = await session.findOne(roles, { id: roleId }, 'shared');
  if (!actor || !target || !role) throw notGranted(grant, roleId);
}

/** Granting twice is the same as once. */
export async function grantRole(cloud: Cloud, grant: Grant, roleId: string): Promise<void> {
  const row = { ...grant, role_id: roleId };
  await orElseDone(() =>
    cloud.db.write(async (session) => {
      await requireParties(session, grant, roleId);
      await session.insert(assignments, row);
      await cloud.identity.feed.record(session, concerns(grant));
    }),
  );
}

/** @throws NotFoundError when there is no such grant */
export async function revokeRole(cloud: Cloud, grant: Grant, roleId: string): Promise<void> {
  await cloud.db.write(async (session) => {
    if ((await session.delete(assignments, { ...grant, role_id: roleId })) === 0) throw notGranted(grant, roleId);
    await cloud.identity.feed.record(session, concerns(grant));
  });
}

const notGranted = (grant: Grant, roleId: string): NotFoundError =>
  new NotFoundError(
    `Could not find role assignment with role: ${roleId}, ${grant.actor_type}: ${grant.actor_id}, ${grant.target_type}: ${grant.target_id}.`,
  );

/** @throws NotFoundError when there is no such grant */
export async function requireGrant(cloud: Cloud, grant: Grant, roleId: string): Promise<void> {
  const row = { ...grant, role_id: roleId };
  if ((await cloud.db.read((session) => session.count(assignments, row))) === 0) throw notGranted(grant, roleId);
}

/** The roles given directly; not those implied. */
export function grantedRoles(cloud: Cloud, grant: Grant): Promise<Role[]> {
  return cloud.db.read(async (session) => {
    const rows = await session.find(assignments, { where: { ...grant } });
    return session.find(roles, { where: { id: In(rows.map((row) => row.role_id)) }, order: { id: 'ASC' } });
  });
}
