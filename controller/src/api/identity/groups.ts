// Create, list, show, change and delete groups.
import { Type, type Static } from '@sinclair/typebox';
import type { Cloud } from '../../cloud';
import { groups, type Group } from '../../db/entities/identity';
import { InvalidError } from '../../errors';
import { createGroup, deleteGroup, findGroup, updateGroup } from '../../services/identity/groups';
import { identityId } from '../../services/identity/ids';
import { param } from '../query';
import type { ApiRequest, ApiResponse, Route } from '../route';
import { allowed, targetOf } from './access';
import { Description, extraOf, IdText, nameOf, requireMatchingId } from './fields';
import { groupView } from './groupView';
import { collection, listRows } from './listing';

const FIELDS = ['name', 'description', 'domain_id'];
const changeable = { description: Type.Optional(Description), domain_id: Type.Optional(IdText) };
const GroupCreate = Type.Object({ group: Type.Object({ name: nameOf(64), ...changeable }) });
const GroupUpdate = Type.Object({
  group: Type.Object({ name: Type.Optional(nameOf(64)), ...changeable }, { minProperties: 1 }),
});

async function find(request: ApiRequest, cloud: Cloud, rule: string): Promise<Group> {
  const id = param(request, 'group_id');
  return allowed(request, cloud, rule, await findGroup(cloud, id), targetOf.group, `group: ${id}`);
}

async function create(request: ApiRequest, cloud: Cloud): Promise<ApiResponse> {
  const { caller } = request;
  const body = (request.body as Static<typeof GroupCreate>).group;
  const id = identityId();
  const domain_id = body.domain_id ?? caller.domainId ?? caller.projectDomainId ?? caller.userDomainId;
  cloud.policy.require(caller, 'identity:create_group', targetOf.group({ id, domain_id }));
  const { name, description = null } = body;
  const group = { id, name, domain_id, description, extra: extraOf(body, FIELDS), created_at: cloud.clock.now() };
  await createGroup(cloud, group);
  return { status: 201, body: { group: groupView(request, group) } };
}

async function listAll(request: ApiRequest, cloud: Cloud): Promise<ApiResponse> {
  const { domainId } = request.caller;
  cloud.policy.require(request.caller, 'identity:list_groups', { 'target.group.domain_id': domainId });
  const own = domainId === null ? [] : [{ column: 'domain_id', op: '=', value: domainId } as const];
  const filters = { name: 'text', domain_id: 'text' } as const;
  const rows = await cloud.db.read((session) => listRows(session, groups, request.query, filters, own));
  return collection(
    request,
    'groups',
    rows.map((row) => groupView(request, row)),
  );
}

async function show(request: ApiRequest, cloud: Cloud): Promise<ApiResponse> {
  return { status: 200, body: { group: groupView(request, await find(request, cloud, 'identity:get_group')) } };
}

async function update(request: ApiRequest, cloud: Cloud): Promise<ApiResponse> {
  const before = await find(request, cloud, 'identity:update_group');
  const body = (request.body as Static<typeof GroupUpdate>).group;
  requireMatchingId(body, before.id);
  if (body.domain_id !== undefined && body.domain_id !== before.domain_id)
    throw new InvalidError('Cannot change Domain ID', 'ValidationError');
  const { name, description } = body;
  const group = await updateGroup(cloud, before, {
    ...(name === undefined ? {} : { name }),
    ...(description === undefined ? {} : { description }),
    extra: { ...before.extra, ...extraOf(body, FIELDS) },
  });
  return { status: 200, body: { group: groupView(request, group) } };
}

async function remove(request: ApiRequest, cloud: Cloud): Promise<ApiResponse> {
  await deleteGroup(cloud, (await find(request, cloud, 'identity:delete_group')).id);
  return { status: 204 };
}

export const groupRoutes: readonly Route[] = [
  { method: 'GET', path: '/groups', handler: listAll },
  { method: 'POST', path: '/groups', schema: GroupCreate, handler: create },
  { method: 'GET', path: '/groups/:group_id', handler: show },
  { method: 'PATCH', path: '/groups/:group_id', schema: GroupUpdate, handler: update },
  { method: 'DELETE', path: '/groups/:group_id', handler: remove },
];
