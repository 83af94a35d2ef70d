// Handlers of /os-security-groups and its rules (until 2.35), which stand before the network service, and of a server's groups.
import { isIP } from 'node:net';
import { isUuid } from '@cumulet/common';
import { list, type ReadSession, type WriteSession } from '../../db';
import { securityGroupRules, securityGroups, type SecurityGroup } from '../../db/entities/network';
import { ApiError, InvalidError } from '../../errors';
import type { Cloud } from '../../cloud';
import { findServer } from '../../services/compute/findServer';
import { asComputeError } from '../../services/compute/serverNetworks';
import { serverGroups } from '../../services/compute/serverSecurityGroups';
import type { NetworkContext } from '../../services/network/context';
import { notFound } from '../../services/network/errors';
import { findVisible } from '../../services/network/resource';
import { securityGroupResource } from '../../services/network/resources';
import { createRule, deleteRule, type RuleValues } from '../../services/network/securityGroupRules';
import { createGroup, deleteGroup, ensureDefaultGroupOf, updateGroup } from '../../services/network/securityGroups';
import { param, queryFlag, queryNumber } from '../query';
import type { ApiRequest, ApiResponse, Handler, Route } from '../route';
import { MAX_PAGE } from './links';
import { groupViews, ruleView } from './securityGroupView';
import { fqdn, name, object } from './schemaTypes';
import { serverIdOf } from './servers';

/** Last microversion with these proxies. */
const UNTIL = 35;

/** The id in the path. @throws InvalidError for what is no UUID, such as a name */
function idOf(request: ApiRequest): string {
  const id = param(request, 'id');
  if (!isUuid(id)) throw new InvalidError('Security group id should be uuid');
  return id;
}

/** Runs a change of the network service; its conflicts are bad requests here, except quotas. */
async function changing(
  cloud: Cloud,
  request: ApiRequest,
  work: (context: NetworkContext) => Promise<ApiResponse>,
): Promise<ApiResponse> {
  try {
    return await cloud.db.write((session: WriteSession) => work({ session, cloud, caller: request.caller }));
  } catch (error) {
    const seen = error instanceof ApiError && error.status === 404 ? error : asComputeError(error);
    if (seen instanceof ApiError && seen.status === 409) throw new InvalidError(seen.message, seen.code);
    throw seen;
  }
}

const find = (session: ReadSession, cloud: Cloud, request: ApiRequest, id: string): Promise<SecurityGroup> =>
  findVisible(session, cloud, request.caller, securityGroupResource, id);

async function oneView(session: ReadSession, group: SecurityGroup): Promise<object> {
  const [view] = await groupViews(session, [group]);
  return { security_group: view };
}

const index: Handler = async (request, cloud) => {
  const { projectId, isAdmin } = request.caller;
  await ensureDefaultGroupOf(cloud, projectId);
  const everybody = isAdmin && (queryFlag(request.query, 'all_tenants') ?? false);
  const limit = Math.min(queryNumber(request.query, 'limit') ?? MAX_PAGE, MAX_PAGE);
  const offset = queryNumber(request.query, 'offset') ?? 0;
  return cloud.db.read(async (session) => {
    const groups = await list(session, securityGroups, {
      conditions: everybody ? [] : [{ column: 'project_id', op: '=', value: projectId ?? '' }],
      sort: [
        { column: 'project_id', direction: 'asc' },
        { column: 'name', direction: 'asc' },
      ],
    });
    return { status: 200, body: { security_groups: await groupViews(session, groups.slice(offset, offset + limit)) } };
  });
};

const show: Handler = (request, cloud) => {
  const id = idOf(request);
  return cloud.db.read(async (session) => ({
    status: 200,
    body: await oneView(session, await find(session, cloud, request, id)),
  }));
};

interface GroupBody {
  readonly security_group: { readonly name: string; readonly description: string | null };
}
const groupSchema = object(
  {
    security_group: object({ name, description: { type: ['string', 'null'], maxLength: 255 } }, [
      'name',
      'description',
    ]),
  },
  ['security_group'],
);

const create: Handler = (request, cloud) => {
  const { security_group: body } = request.body as GroupBody;
  return changing(cloud, request, async (context) => {
    const values = { name: body.name.trim(), description: body.description ?? '' };
    const group = await createGroup(context, request.caller.projectId ?? '', values);
    return { status: 200, body: await oneView(context.session, group) };
  });
};

const update: Handler = (request, cloud) => {
  const { security_group: body } = request.body as GroupBody;
  const id = idOf(request);
  return changing(cloud, request, async (context) => {
    const group = await find(context.session, cloud, request, id);
    const changed = await updateGroup(context, group, {
      name: body.name.trim(),
      description: body.description ?? '',
    });
    return { status: 200, body: await oneView(context.session, changed) };
  });
};

const remove: Handler = (request, cloud) => {
  const id = idOf(request);
  return changing(cloud, request, async (context) => {
    await deleteGroup(context, await find(context.session, cloud, request, id));
    return { status: 202 };
  });
};

const port = { anyOf: [{ type: ['integer', 'string'], pattern: '^-?[0-9]+$' }, { type: 'null' }] };
const ruleSchema = object(
  {
    security_group_rule: object(
      {
        parent_group_id: { anyOf: [fqdn, { type: 'integer' }] },
        group_id: { anyOf: [fqdn, { type: 'null' }] },
        ip_protocol: { type: ['string', 'integer', 'null'] },
        from_port: port,
        to_port: port,
        cidr: { type: ['string', 'null'] },
      },
      ['parent_group_id'],
    ),
  },
  ['security_group_rule'],
);

interface RuleBody {
  readonly parent_group_id: string | number;
  readonly group_id?: string | null;
  readonly ip_protocol?: string | number | null;
  readonly from_port?: string | number | null;
  readonly to_port?: string | number | null;
  readonly cidr?: string | null;
}

const portOf = (value: string | number | null | undefined): number | null => {
  const number = value === null || value === undefined || value === '' ? -1 : Number(value);
  return number === -1 ? null : number;
};

/** The rule as the network service takes it. @throws InvalidError when there is too little of it */
function valuesOf(body: RuleBody): RuleValues {
  const group = body.group_id ?? null;
  const protocol = body.ip_protocol === null || body.ip_protocol === undefined ? null : String(body.ip_protocol);
  const [from, to] = [portOf(body.from_port), portOf(body.to_port)];
  if (group === null && (protocol === null || body.from_port === undefined || body.to_port === undefined))
    throw new InvalidError('Not enough parameters to build a valid rule.');
  const cidr = body.cidr === undefined || body.cidr === null || body.cidr === '' ? '0.0.0.0/0' : body.cidr;
  const [address = '', prefix, ...rest] = cidr.split('/');
  const most = isIP(address) === 4 ? 32 : 128;
  if (isIP(address) === 0 || rest.length > 0 || !/^\d{1,3}$/.test(prefix ?? '0') || Number(prefix ?? 0) > most)
    throw new InvalidError(`Invalid cidr ${cidr}.`, 'InvalidCidr');
  if (prefix === '0' && address !== '0.0.0.0' && address !== '::')
    throw new InvalidError(`Bad prefix for network in cidr ${cidr}`);
  return {
    security_group_id: String(body.parent_group_id),
    direction: 'ingress',
    ethertype: group === null && cidr.includes(':') ? 'IPv6' : 'IPv4',
    protocol: protocol === null ? null : protocol.toLowerCase(),
    port_range_min: from,
    port_range_max: to,
    ...(group === null ? { remote_ip_prefix: cidr } : { remote_group_id: group }),
  };
}

const createRuleHandler: Handler = (request, cloud) => {
  const { security_group_rule: body } = request.body as { security_group_rule: RuleBody };
  const values = valuesOf(body);
  return changing(cloud, request, async (context) => {
    const parent = await find(context.session, cloud, request, values.security_group_id);
    const remoteId = values.remote_group_id ?? null;
    const remote = remoteId === null ? undefined : await find(context.session, cloud, request, remoteId);
    const rule = await createRule(context, parent.project_id, values);
    const named = remote && { name: remote.name, tenant_id: remote.project_id };
    return { status: 200, body: { security_group_rule: ruleView(rule, named) } };
  });
};

const removeRule: Handler = (request, cloud) => {
  const id = idOf(request);
  return changing(cloud, request, async (context) => {
    const rule = await context.session.findOne(securityGroupRules, { id });
    if (!rule) throw notFound('security_group_rule', id);
    await find(context.session, cloud, request, rule.security_group_id).catch((error: unknown) => {
      throw error instanceof ApiError && error.status === 404 ? notFound('security_group_rule', id) : error;
    });
    await deleteRule(context, rule);
    return { status: 202 };
  });
};

const ofServer: Handler = (request, cloud) =>
  cloud.db.read(async (session) => {
    const server = await findServer(session, request.caller, serverIdOf(request));
    return {
      status: 200,
      body: { security_groups: await groupViews(session, await serverGroups(session, server)) },
    };
  });

const rule = (operation: string): string => `os_compute_api:os-security-groups:${operation}`;
const path = '/os-security-groups';
const rules = '/os-security-group-rules';
export const securityGroupRoutes: readonly Route[] = [
  { method: 'GET', path, handler: index, policy: rule('get'), until: UNTIL },
  { method: 'POST', path, handler: create, policy: rule('create'), schema: groupSchema, until: UNTIL },
  { method: 'GET', path: `${path}/:id`, handler: show, policy: rule('show'), until: UNTIL },
  { method: 'PUT', path: `${path}/:id`, handler: update, policy: rule('update'), schema: groupSchema, until: UNTIL },
  { method: 'DELETE', path: `${path}/:id`, handler: remove, policy: rule('delete'), until: UNTIL },
  {
    method: 'POST',
    path: rules,
    handler: createRuleHandler,
    policy: rule('rule:create'),
    schema: ruleSchema,
    until: UNTIL,
  },
  { method: 'DELETE', path: `${rules}/:id`, handler: removeRule, policy: rule('rule:delete'), until: UNTIL },
  { method: 'GET', path: '/servers/:id/os-security-groups', handler: ofServer, policy: rule('list') },
];
