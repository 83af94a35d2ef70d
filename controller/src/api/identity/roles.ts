// Create, list, show, change and delete roles of the cloud and of domains.
import { Type, type Static } from '@sinclair/typebox';
import type { Cloud } from '../../cloud';
import { roles, type Role } from '../../db/entities/identity';
import { InvalidError } from '../../errors';
import { identityId } from '../../services/identity/ids';
import { createRole, deleteRole, findRole, updateRole } from '../../services/identity/roles';
import { param, queryValue } from '../query';
import type { ApiRequest, ApiResponse, Route } from '../route';
import { allowed, targetOf } from './access';
import {
  Description,
  extraOf,
  IdText,
  ImmutableOption,
  mergeOptions,
  nameOf,
  nullable,
  requireMatchingId,
} from './fields';
import { collection, listRows } from './listing';
import { roleView } from './roleView';

const FIELDS = ['name', 'description', 'domain_id', 'options'];
const changeable = {
  description: Type.Optional(Description),
  domain_id: Type.Optional(nullable(IdText)),
  options: Type.Optional(ImmutableOption),
};
const RoleCreate = Type.Object({ role: Type.Object({ name: nameOf(255), ...changeable }) });
const RoleUpdate = Type.Object({
  role: Type.Object({ name: Type.Optional(nameOf(255)), ...changeable }, { minProperties: 1 }),
});

/** Roles of domains have rules of their own. */
const ruleFor = (action: string, role: { domain_id: string } | undefined): string =>
  role && role.domain_id !== '' ? `identity:${action}_domain_role` : `identity:${action}_role`;

/** A role that the caller may not see is refused in the words used for one that does not exist. */
async function find(request: ApiRequest, cloud: Cloud, action: string): Promise<Role> {
  const id = param(request, 'role_id');
  const row = await findRole(cloud, id);
  if (row && cloud.policy.allows(request.caller, ruleFor(action, row), targetOf.role(row))) return row;
  return allowed<Role>(request, cloud, `identity:${action}_role`, undefined, targetOf.role, `role: ${id}`);
}

async function create(request: ApiRequest, cloud: Cloud): Promise<ApiResponse> {
  const body = (request.body as Static<typeof RoleCreate>).role;
  const role = {
    id: identityId(),
    name: body.name,
    domain_id: body.domain_id ?? '',
    description: body.description ?? null,
    options: mergeOptions({}, body.options),
    extra: extraOf(body, FIELDS),
    created_at: cloud.clock.now(),
  };
  cloud.policy.require(request.caller, ruleFor('create', role), targetOf.role(role));
  await createRole(cloud, role);
  return { status: 201, body: { role: roleView(request, role) } };
}

/** Without domain_id the roles of the cloud; with it those of that domain. */
async function listAll(request: ApiRequest, cloud: Cloud): Promise<ApiResponse> {
  const domain_id = queryValue(request.query, 'domain_id') ?? '';
  const rule = domain_id === '' ? 'identity:list_roles' : 'identity:list_domain_roles';
  cloud.policy.require(request.caller, rule, { 'target.role.domain_id': domain_id });
  const within = [{ column: 'domain_id', op: '=', value: domain_id } as const];
  const rows = await cloud.db.read((session) => listRows(session, roles, request.query, { name: 'text' }, within));
  return collection(
    request,
    'roles',
    rows.map((row) => roleView(request, row)),
  );
}

async function show(request: ApiRequest, cloud: Cloud): Promise<ApiResponse> {
  return { status: 200, body: { role: roleView(request, await find(request, cloud, 'get')) } };
}

async function update(request: ApiRequest, cloud: Cloud): Promise<ApiResponse> {
  const before = await find(request, cloud, 'update');
  const body = (request.body as Static<typeof RoleUpdate>).role;
  requireMatchingId(body, before.id);
  if (body.domain_id !== undefined && (body.domain_id ?? '') !== before.domain_id)
    throw new InvalidError('Update of `domain_id` is not allowed.', 'ValidationError');
  const { name, description, options } = body;
  const role = await updateRole(cloud, before, {
    ...(name === undefined ? {} : { name }),
    ...(description === undefined ? {} : { description }),
    ...(options === undefined ? {} : { options: mergeOptions(before.options, options) }),
    extra: { ...before.extra, ...extraOf(body, FIELDS) },
  });
  return { status: 200, body: { role: roleView(request, role) } };
}

async function remove(request: ApiRequest, cloud: Cloud): Promise<ApiResponse> {
  await deleteRole(cloud, await find(request, cloud, 'delete'));
  return { status: 204 };
}

export const roleRoutes: readonly Route[] = [
  { method: 'GET', path: '/roles', handler: listAll },
  { method: 'POST', path: '/roles', schema: RoleCreate, handler: create },
  { method: 'GET', path: '/roles/:role_id', handler: show },
  { method: 'PATCH', path: '/roles/:role_id', schema: RoleUpdate, handler: update },
  { method: 'DELETE', path: '/roles/:role_id', handler: remove },
];
