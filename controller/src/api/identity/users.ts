// Create, list, show, change and delete users; their own password; their groups and projects.
import type { Cloud } from '../../cloud';
import { users, type User } from '../../db/entities/identity';
import { InvalidError } from '../../errors';
import { accessibleProjects } from '../../services/identity/access';
import { identityId } from '../../services/identity/ids';
import { withTags } from '../../services/identity/projects';
import {
  changePassword,
  createUser,
  deleteUser,
  findUser,
  groupsOfUser,
  updateUser,
} from '../../services/identity/users';
import { param } from '../query';
import type { ApiRequest, ApiResponse, Route } from '../route';
import { allowed, targetOf } from './access';
import { extraOf, mergeOptions, requireMatchingId } from './fields';
import { groupView } from './groupView';
import { collection, listRows, selectRows } from './listing';
import { projectView } from './projectView';
import { PasswordChange, USER_FIELDS, UserCreate, UserUpdate } from './userSchema';
import { userView } from './userView';

async function find(request: ApiRequest, cloud: Cloud, rule: string): Promise<User> {
  const id = param(request, 'user_id');
  return allowed(request, cloud, rule, await findUser(cloud, id), targetOf.user, `user: ${id}`);
}

async function create(request: ApiRequest, cloud: Cloud): Promise<ApiResponse> {
  const { caller } = request;
  const body = (request.body as { user: UserCreate }).user;
  const id = identityId();
  const domain_id = body.domain_id ?? caller.domainId ?? caller.projectDomainId ?? caller.userDomainId;
  cloud.policy.require(caller, 'identity:create_user', targetOf.user({ id, domain_id }));
  const row = {
    id,
    name: body.name,
    domain_id,
    enabled: body.enabled ?? true,
    default_project_id: body.default_project_id ?? null,
    description: body.description ?? null,
    options: mergeOptions({}, body.options),
    extra: extraOf(body, USER_FIELDS),
    created_at: cloud.clock.now(),
  };
  const user = await createUser(cloud, row, body.password ?? null);
  return { status: 201, body: { user: userView(request, user) } };
}

async function listAll(request: ApiRequest, cloud: Cloud): Promise<ApiResponse> {
  const { domainId } = request.caller;
  cloud.policy.require(request.caller, 'identity:list_users', { 'target.user.domain_id': domainId });
  const own = domainId === null ? [] : [{ column: 'domain_id', op: '=', value: domainId } as const];
  const filters = { name: 'text', domain_id: 'text', enabled: 'flag', default_project_id: 'text' } as const;
  const rows = await cloud.db.read((session) => listRows(session, users, request.query, filters, own));
  return collection(
    request,
    'users',
    rows.map((row) => userView(request, row)),
  );
}

async function show(request: ApiRequest, cloud: Cloud): Promise<ApiResponse> {
  return { status: 200, body: { user: userView(request, await find(request, cloud, 'identity:get_user')) } };
}

async function update(request: ApiRequest, cloud: Cloud): Promise<ApiResponse> {
  const before = await find(request, cloud, 'identity:update_user');
  const body = (request.body as { user: UserUpdate }).user;
  requireMatchingId(body, before.id);
  if (body.domain_id !== undefined && body.domain_id !== before.domain_id)
    throw new InvalidError('Cannot change Domain ID', 'ValidationError');
  const { name, description, enabled, default_project_id, options } = body;
  const change = {
    ...(name === undefined ? {} : { name }),
    ...(description === undefined ? {} : { description }),
    ...(enabled === undefined ? {} : { enabled }),
    ...(default_project_id === undefined ? {} : { default_project_id }),
    ...(options === undefined ? {} : { options: mergeOptions(before.options, options) }),
    extra: { ...before.extra, ...extraOf(body, USER_FIELDS) },
  };
  const user = await updateUser(cloud, before, change, body.password);
  return { status: 200, body: { user: userView(request, user) } };
}

async function remove(request: ApiRequest, cloud: Cloud): Promise<ApiResponse> {
  await deleteUser(cloud, (await find(request, cloud, 'identity:delete_user')).id);
  return { status: 204 };
}

/** Works without a token: the present password proves who asks. */
async function ownPassword(request: ApiRequest, cloud: Cloud): Promise<ApiResponse> {
  const { original_password, password } = (request.body as { user: PasswordChange }).user;
  await changePassword(cloud, param(request, 'user_id'), original_password, password);
  return { status: 204 };
}

async function listGroups(request: ApiRequest, cloud: Cloud): Promise<ApiResponse> {
  const user = await find(request, cloud, 'identity:list_groups_for_user');
  const rows = selectRows(request.query, { name: 'text' }, await groupsOfUser(cloud, user.id));
  return collection(
    request,
    'groups',
    rows.map((row) => groupView(request, row)),
  );
}

async function listProjects(request: ApiRequest, cloud: Cloud): Promise<ApiResponse> {
  const user = await find(request, cloud, 'identity:list_user_projects');
  const found = (await accessibleProjects(cloud, user.id)).filter((row) => !row.is_domain);
  const rows = selectRows(request.query, { name: 'text', domain_id: 'text', enabled: 'flag' }, found);
  const tagged = await cloud.db.read((session) => withTags(session, rows));
  return collection(
    request,
    'projects',
    tagged.map((row) => projectView(request, row)),
  );
}

export const userRoutes: readonly Route[] = [
  { method: 'GET', path: '/users', handler: listAll },
  { method: 'POST', path: '/users', schema: UserCreate, handler: create },
  { method: 'GET', path: '/users/:user_id', handler: show },
  { method: 'PATCH', path: '/users/:user_id', schema: UserUpdate, handler: update },
  { method: 'DELETE', path: '/users/:user_id', handler: remove },
  { method: 'POST', path: '/users/:user_id/password', open: true, schema: PasswordChange, handler: ownPassword },
  { method: 'GET', path: '/users/:user_id/groups', handler: listGroups },
  { method: 'GET', path: '/users/:user_id/projects', handler: listProjects },
];
