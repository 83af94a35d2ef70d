// Groups of users and who is in them. Membership gives roles, so every change is announced.
import type { Cloud } from '../../cloud';
import { In } from '../../db';
import { assignments, groupMembers, groups, users, type Group, type User } from '../../db/entities/identity';
import { NotFoundError } from '../../errors';
import { orElseDone, unique } from './conflicts';
import { requireDomain } from './users';

export function findGroup(cloud: Cloud, id: string): Promise<Group | undefined> {
  return cloud.db.read((session) => session.findOne(groups, { id }));
}

/** @throws ConflictError when the name is taken in the domain */
export async function createGroup(cloud: Cloud, group: Group): Promise<void> {
  await unique(`A group named ${group.name} exists already in domain ${group.domain_id}.`, () =>
    cloud.db.write(async (session) => {
      await requireDomain(session, group.domain_id);
      await session.insert(groups, group);
    }),
  );
}

export async function updateGroup(cloud: Cloud, before: Group, change: Partial<Group>): Promise<Group> {
  await unique(`A group named ${change.name ?? ''} exists already in domain ${before.domain_id}.`, () =>
    cloud.db.write((session) => session.update(groups, { id: before.id }, change)),
  );
  return { ...before, ...change };
}

export async function deleteGroup(cloud: Cloud, id: string): Promise<void> {
  await cloud.db.write(async (session) => {
    // First: whoever adds a member or an assignment holds the group.
    await session.delete(groups, { id });
    await session.delete(groupMembers, { group_id: id });
    await session.delete(assignments, { actor_type: 'group', actor_id: id });
    await cloud.identity.feed.record(session, {});
  });
}

export function isMember(cloud: Cloud, group: Group, user: User): Promise<boolean> {
  const where = { group_id: group.id, user_id: user.id };
  return cloud.db.read(async (session) => (await session.count(groupMembers, where)) > 0);
}

/** Adding twice is the same as once. @throws NotFoundError when user or group was deleted meanwhile */
export async function addMember(cloud: Cloud, group: Group, user: User): Promise<void> {
  const row = { group_id: group.id, user_id: user.id };
  await orElseDone(() =>
    cloud.db.write(async (session) => {
      if (!(await session.findOne(groups, { id: group.id }, 'shared')))
        throw new NotFoundError(`Could not find group: ${group.id}.`);
      if (!(await session.findOne(users, { id: user.id }, 'shared')))
        throw new NotFoundError(`Could not find user: ${user.id}.`);
      await session.insert(groupMembers, row);
      await cloud.identity.feed.record(session, { user_id: user.id });
    }),
  );
}

/** @throws NotFoundError when the user is not in the group */
export async function removeMember(cloud: Cloud, group: Group, user: User): Promise<void> {
  await cloud.db.write(async (session) => {
    if ((await session.delete(groupMembers, { group_id: group.id, user_id: user.id })) === 0)
      throw new NotFoundError(`User ${user.id} is not in group ${group.id}.`);
    await cloud.identity.feed.record(session, { user_id: user.id });
  });
}

/** The members that are users still. */
export function membersOf(cloud: Cloud, group: Group): Promise<User[]> {
  return cloud.db.read(async (session) => {
    const rows = await session.find(groupMembers, { where: { group_id: group.id } });
    return session.find(users, { where: { id: In(rows.map((row) => row.user_id)) }, order: { id: 'ASC' } });
  });
}
