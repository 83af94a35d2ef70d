// Domains: deleting one takes everything in it along.
import type { Cloud } from '../../cloud';
import { In } from '../../db';
import {
  assignments,
  groupMembers,
  groups,
  impliedRoles,
  projects,
  roles,
  users,
  type Project,
} from '../../db/entities/identity';
import { ForbiddenError } from '../../errors';
import { removeProjects, requireMutable } from './projects';

/** Deletes a domain with its users, groups, projects and roles. @throws ForbiddenError while it is enabled */
export async function deleteDomain(cloud: Cloud, row: Project): Promise<void> {
  requireMutable(`Domain ${row.id}`, row);
  await cloud.db.write(async (session) => {
    const now = await session.findOne(projects, { id: row.id }, 'exclusive');
    if (now?.enabled) throw new ForbiddenError('A domain that is enabled cannot be deleted: disable it first.');
    const inside = { domain_id: row.id };
    const idsOf = (rows: readonly { id: string }[]): string[] => rows.map((one) => one.id);
    const [userIds, groupIds] = [
      idsOf(await session.find(users, { where: inside })),
      idsOf(await session.find(groups, { where: inside })),
    ];
    const roleIds = idsOf(await session.find(roles, { where: inside }));
    const projectIds = idsOf(await session.find(projects, { where: inside }));
    await session.delete(groupMembers, { user_id: In(userIds) });
    await session.delete(groupMembers, { group_id: In(groupIds) });
    await session.delete(assignments, { actor_type: 'user', actor_id: In(userIds) });
    await session.delete(assignments, { actor_type: 'group', actor_id: In(groupIds) });
    await session.delete(assignments, { role_id: In(roleIds) });
    await session.delete(impliedRoles, { prior_role_id: In(roleIds) });
    await session.delete(users, inside);
    await session.delete(groups, inside);
    await session.delete(roles, inside);
    await removeProjects(session, [...projectIds, row.id]);
    await cloud.identity.feed.record(session, { domain_id: row.id, issued_before: cloud.clock.now() });
  });
}
