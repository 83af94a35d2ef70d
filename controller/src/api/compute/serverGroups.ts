// Handlers of /os-server-groups.
import type { GroupPolicy, ServerGroup } from '../../db/entities/placement';
import { InvalidError } from '../../errors';
import {
  createServerGroup,
  deleteServerGroup,
  findServerGroup,
  listServerGroups,
  membersOf,
} from '../../services/compute/serverGroups';
import { param, queryNumber } from '../query';
import type { ApiRequest, Handler, Route } from '../route';
import { MAX_PAGE } from './links';
import { refuseUnknownQuery } from './queryKeys';
import { byVersion, name, object, positiveInteger } from './schemaTypes';

/** A group as each microversion shows it: 2.13 brought the owner, 2.64 one policy with rules in place of a list. */
function groupView(request: ApiRequest, group: ServerGroup, members: readonly string[]) {
  const { minor } = request.microversion;
  const { policy, max_server_per_host } = group;
  return {
    id: group.id,
    name: group.name,
    ...(minor >= 64
      ? { policy, rules: max_server_per_host === null ? {} : { max_server_per_host } }
      : { policies: [policy], metadata: {} }),
    members,
    ...(minor >= 13 ? { project_id: group.project_id, user_id: group.user_id } : {}),
  };
}

const rule = (operation: string): string => `os_compute_api:os-server-groups:${operation}`;

const index: Handler = (request, cloud) => {
  refuseUnknownQuery(request, ['all_projects', 'limit', 'offset']);
  const page = {
    limit: Math.min(queryNumber(request.query, 'limit') ?? MAX_PAGE, MAX_PAGE),
    offset: queryNumber(request.query, 'offset') ?? 0,
  };
  const all = request.query.has('all_projects') && request.caller.isAdmin;
  if (all) cloud.policy.require(request.caller, rule('index:all_projects'));
  return cloud.db.read(async (session) => {
    const rows = await listServerGroups(session, all ? null : (request.caller.projectId ?? ''), page);
    const members = await membersOf(
      session,
      rows.map(({ id }) => id),
    );
    return {
      status: 200,
      body: { server_groups: rows.map((row) => groupView(request, row, members.get(row.id) ?? [])) },
    };
  });
};

const show: Handler = (request, cloud) =>
  cloud.db.read(async (session) => {
    const group = await findServerGroup(session, request.caller, param(request, 'id'));
    const members = await membersOf(session, [group.id]);
    return { status: 200, body: { server_group: groupView(request, group, members.get(group.id) ?? []) } };
  });

const hard: readonly GroupPolicy[] = ['anti-affinity', 'affinity'];
const withSoft: readonly GroupPolicy[] = [...hard, 'soft-anti-affinity', 'soft-affinity'];
const createSchema = byVersion((minor) => {
  const policy = { enum: minor >= 15 ? withSoft : hard };
  const old = { name, policies: { type: 'array', items: policy, minItems: 1, maxItems: 1, uniqueItems: true } };
  const rules = object({ max_server_per_host: positiveInteger });
  const group = minor < 64 ? object(old, ['name', 'policies']) : object({ name, policy, rules }, ['name', 'policy']);
  return object({ server_group: group }, ['server_group']);
});

interface GroupBody {
  readonly name: string;
  readonly policies?: readonly GroupPolicy[];
  readonly policy?: GroupPolicy;
  readonly rules?: { readonly max_server_per_host?: number | string };
}

const create: Handler = async (request, cloud) => {
  const { server_group: body } = request.body as { server_group: GroupBody };
  // The schema asks for one or the other.
  const [policy = 'affinity'] = body.policies ?? [body.policy];
  const most = body.rules?.max_server_per_host;
  if (most !== undefined && policy !== 'anti-affinity')
    throw new InvalidError(`Only anti-affinity policy supports rules, not ${policy}.`);
  const group = await cloud.db.write((session) =>
    createServerGroup(session, cloud, request.caller, {
      name: body.name.trim(),
      policy,
      maxServerPerHost: most === undefined ? null : Number(most),
    }),
  );
  return { status: 200, body: { server_group: groupView(request, group, []) } };
};

const remove: Handler = async (request, cloud) => {
  await cloud.db.write((session) => deleteServerGroup(session, request.caller, param(request, 'id')));
  return { status: 204 };
};

export const serverGroupRoutes: readonly Route[] = [
  { method: 'GET', path: '/os-server-groups', handler: index, policy: rule('index') },
  { method: 'POST', path: '/os-server-groups', handler: create, policy: rule('create'), schema: createSchema },
  { method: 'GET', path: '/os-server-groups/:id', handler: show, policy: rule('show') },
  { method: 'DELETE', path: '/os-server-groups/:id', handler: remove, policy: rule('delete') },
];
