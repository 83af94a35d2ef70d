// Users: making, changing and deleting them, and their passwords.
import type { Cloud } from '../../cloud';
import { assignments, groupMembers, groups, projects, users, type Group, type User } from '../../db/entities/identity';
import { ForbiddenError, InvalidError } from '../../errors';
import { In, type WriteSession } from '../../db';
import { unique } from './conflicts';

export function findUser(cloud: Cloud, id: string): Promise<User | undefined> {
  return cloud.db.read((session) => session.findOne(users, { id }));
}

/** @throws InvalidError when there is no such domain */
export async function requireDomain(session: WriteSession, id: string): Promise<void> {
  if (!(await session.findOne(projects, { id, is_domain: true }, 'shared')))
    throw new InvalidError(`Could not find domain: ${id}.`, 'ValidationError');
}

async function requireDefaultProject(session: WriteSession, id: string | null | undefined): Promise<void> {
  if (id === null || id === undefined) return;
  const project = await session.findOne(projects, { id });
  if (project?.is_domain)
    throw new InvalidError('A domain cannot be the default project of a user.', 'ValidationError');
}

/** @throws ConflictError when the name is taken in the domain */
export async function createUser(
  cloud: Cloud,
  user: Omit<User, 'password_hash'>,
  password: string | null,
): Promise<User> {
  const password_hash = password === null ? null : await cloud.identity.passwords.hash(password);
  const row = { ...user, password_hash };
  await unique(`A user named ${user.name} exists already in domain ${user.domain_id}.`, () =>
    cloud.db.write(async (session) => {
      await requireDomain(session, user.domain_id);
      await requireDefaultProject(session, user.default_project_id);
      await session.insert(users, row);
    }),
  );
  return row;
}

export type UserChange = Partial<
  Pick<User, 'name' | 'description' | 'enabled' | 'default_project_id' | 'options' | 'extra'>
>;

/** Changes a user. A new password, or being disabled, ends all of the user's tokens. */
export async function updateUser(
  cloud: Cloud,
  before: User,
  change: UserChange,
  password?: string | null,
): Promise<User> {
  const hashed = typeof password === 'string' ? { password_hash: await cloud.identity.passwords.hash(password) } : {};
  const columns = { ...change, ...hashed, ...(password === null ? { password_hash: null } : {}) };
  const revoke = password !== undefined || (change.enabled === false && before.enabled);
  await unique(`A user named ${change.name ?? ''} exists already in domain ${before.domain_id}.`, () =>
    cloud.db.write(async (session) => {
      await requireDefaultProject(session, change.default_project_id);
      await session.update(users, { id: before.id }, columns);
      await cloud.identity.feed.record(session, {
        user_id: before.id,
        ...(revoke ? { issued_before: cloud.clock.now() } : {}),
      });
    }),
  );
  return { ...before, ...columns };
}

/** Deletes a user with memberships and assignments; the user's tokens end. */
export async function deleteUser(cloud: Cloud, id: string): Promise<void> {
  await cloud.db.write(async (session) => {
    // First: whoever adds a membership or an assignment holds the user.
    await session.delete(users, { id });
    await session.delete(groupMembers, { user_id: id });
    await session.delete(assignments, { actor_type: 'user', actor_id: id });
    await cloud.identity.feed.record(session, { user_id: id, issued_before: cloud.clock.now() });
  });
}

/**
 * Changes a user's own password; it takes the present one.
 * @throws UnauthorizedError as for a failed login
 * @throws ForbiddenError when the password is locked by an option
 * @throws InvalidError when nothing would change
 */
export async function changePassword(cloud: Cloud, id: string, original: string, password: string): Promise<void> {
  const user = await cloud.identity.login.checkPassword({ id }, original);
  if (user.options['lock_password'] === true)
    throw new ForbiddenError('The password of this user is locked and cannot be changed by its owner.');
  if (original === password)
    throw new InvalidError(
      'The new password cannot be identical to the original password.',
      'PasswordSelfServiceError',
    );
  await updateUser(cloud, user, {}, password);
}

export function groupsOfUser(cloud: Cloud, id: string): Promise<Group[]> {
  return cloud.db.read(async (session) => {
    const memberships = await session.find(groupMembers, { where: { user_id: id } });
    return session.find(groups, { where: { id: In(memberships.map((row) => row.group_id)) }, order: { id: 'ASC' } });
  });
}
