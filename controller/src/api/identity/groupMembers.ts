// Who is in a group: list, add, check and remove.
import type { Cloud } from '../../cloud';
import type { Group, User } from '../../db/entities/identity';
import { NotFoundError } from '../../errors';
import { addMember, findGroup, isMember, membersOf, removeMember } from '../../services/identity/groups';
import { findUser } from '../../services/identity/users';
import { param } from '../query';
import type { ApiRequest, ApiResponse, Route } from '../route';
import { allowed, targetOf } from './access';
import { collection, selectRows } from './listing';
import { userView } from './userView';

async function listAll(request: ApiRequest, cloud: Cloud): Promise<ApiResponse> {
  const id = param(request, 'group_id');
  const group = allowed(
    request,
    cloud,
    'identity:list_users_in_group',
    await findGroup(cloud, id),
    targetOf.group,
    `group: ${id}`,
  );
  const rows = selectRows(request.query, { name: 'text', enabled: 'flag' }, await membersOf(cloud, group));
  return collection(
    request,
    'users',
    rows.map((row) => userView(request, row)),
  );
}

/** Group and user of a path. What is missing of them is told only to those who may see both. */
async function pair(request: ApiRequest, cloud: Cloud, rule: string): Promise<[Group, User]> {
  const [groupId, userId] = [param(request, 'group_id'), param(request, 'user_id')];
  const [group, user] = [await findGroup(cloud, groupId), await findUser(cloud, userId)];
  const targets = { ...(group && targetOf.group(group)), ...(user && targetOf.user(user)) };
  cloud.policy.require(request.caller, rule, targets);
  if (!group) throw new NotFoundError(`Could not find group: ${groupId}.`);
  if (!user) throw new NotFoundError(`Could not find user: ${userId}.`);
  return [group, user];
}

async function add(request: ApiRequest, cloud: Cloud): Promise<ApiResponse> {
  await addMember(cloud, ...(await pair(request, cloud, 'identity:add_user_to_group')));
  return { status: 204 };
}

async function check(request: ApiRequest, cloud: Cloud): Promise<ApiResponse> {
  const [group, user] = await pair(request, cloud, 'identity:check_user_in_group');
  if (!(await isMember(cloud, group, user))) throw new NotFoundError(`User ${user.id} is not in group ${group.id}.`);
  return { status: 204 };
}

async function remove(request: ApiRequest, cloud: Cloud): Promise<ApiResponse> {
  await removeMember(cloud, ...(await pair(request, cloud, 'identity:remove_user_from_group')));
  return { status: 204 };
}

export const groupMemberRoutes: readonly Route[] = [
  { method: 'GET', path: '/groups/:group_id/users', handler: listAll },
  { method: 'PUT', path: '/groups/:group_id/users/:user_id', handler: add },
  { method: 'GET', path: '/groups/:group_id/users/:user_id', handler: check },
  { method: 'DELETE', path: '/groups/:group_id/users/:user_id', handler: remove },
];
