// Roles, and which roles imply which.
import type { Cloud } from '../../cloud';
import { assignments, impliedRoles, roles, type ImpliedRole, type Role } from '../../db/entities/identity';
import { ForbiddenError, NotFoundError } from '../../errors';
import { orElseDone, unique } from './conflicts';
import { requireMutable } from './projects';
import { impliedClosure } from './roleExpansion';
import { requireDomain } from './users';

export function findRole(cloud: Cloud, id: string): Promise<Role | undefined> {
  return cloud.db.read((session) => session.findOne(roles, { id }));
}

/** @throws ConflictError when the name is taken */
export async function createRole(cloud: Cloud, role: Role): Promise<void> {
  await unique(`A role named ${role.name} exists already.`, () =>
    cloud.db.write(async (session) => {
      if (role.domain_id !== '') await requireDomain(session, role.domain_id);
      await session.insert(roles, role);
    }),
  );
}

/** @throws ForbiddenError when it is immutable */
export async function updateRole(cloud: Cloud, before: Role, change: Partial<Role>): Promise<Role> {
  requireMutable(`Role ${before.id}`, before, change);
  await unique(`A role named ${change.name ?? ''} exists already.`, () =>
    cloud.db.write(async (session) => {
      await session.update(roles, { id: before.id }, change);
      await cloud.identity.feed.record(session, {});
    }),
  );
  return { ...before, ...change };
}

/** Deletes a role and every assignment of it. */
export async function deleteRole(cloud: Cloud, role: Role): Promise<void> {
  requireMutable(`Role ${role.id}`, role);
  await cloud.db.write(async (session) => {
    // First: whoever gives or implies the role holds it.
    await session.delete(roles, { id: role.id });
    await session.delete(assignments, { role_id: role.id });
    await session.delete(impliedRoles, { prior_role_id: role.id });
    await session.delete(impliedRoles, { implied_role_id: role.id });
    await cloud.identity.feed.record(session, {});
  });
}

export interface Inferences {
  readonly rules: readonly ImpliedRole[];
  readonly roles: readonly Role[];
}

/** All rules of implication and all roles. */
export function inferences(cloud: Cloud): Promise<Inferences> {
  return cloud.db.read(async (session) => ({
    rules: await session.find(impliedRoles, { order: { prior_role_id: 'ASC', implied_role_id: 'ASC' } }),
    roles: await session.find(roles, { order: { name: 'ASC' } }),
  }));
}

/** Whether a role ends in the role admin, which manages the whole cloud. */
export async function leadsToAdmin(cloud: Cloud, role: Role): Promise<boolean> {
  const known = await inferences(cloud);
  const closure = new Set(impliedClosure(role.id, known.rules));
  return known.roles.some((one) => closure.has(one.id) && one.name.toLowerCase() === 'admin' && one.domain_id === '');
}

/** @throws ForbiddenError when the implied role would lead back, or belongs to a domain that the prior one does not */
export async function implyRole(cloud: Cloud, prior: Role, implied: Role): Promise<void> {
  const imply = () =>
    cloud.db.write(async (session) => {
      // All of them, so that two rules together can't make a circle.
      await session.find(roles, { lock: 'exclusive' });
      const rule = { prior_role_id: prior.id, implied_role_id: implied.id };
      if ((await session.count(impliedRoles, rule)) > 0) return;
      if (implied.name.toLowerCase() === 'admin' && implied.domain_id === '')
        throw new ForbiddenError(`Role ${implied.id} cannot be an implied role: it manages the whole cloud.`);
      if (implied.domain_id !== '' && implied.domain_id !== prior.domain_id)
        throw new ForbiddenError(`Role ${implied.id} belongs to a domain and cannot be implied from outside it.`);
      if (impliedClosure(implied.id, await session.find(impliedRoles)).includes(prior.id))
        throw new ForbiddenError(`Role ${implied.id} already implies role ${prior.id}.`);
      await session.insert(impliedRoles, rule);
      await cloud.identity.feed.record(session, {});
    });
  await orElseDone(imply);
}

/** @throws NotFoundError when it is not implied */
export async function stopImplying(cloud: Cloud, prior: Role, implied: Role): Promise<void> {
  await cloud.db.write(async (session) => {
    if ((await session.delete(impliedRoles, { prior_role_id: prior.id, implied_role_id: implied.id })) === 0)
      throw new NotFoundError(`Role ${prior.id} does not imply role ${implied.id}.`);
    await cloud.identity.feed.record(session, {});
  });
}
