// Handlers of /os-quota-sets, /os-quota-class-sets and /limits.
import { ApiError } from '../../errors';
import type { ReadSession } from '../../db';
import {
  clearLimits,
  DEFAULT_CLASS,
  defaultQuota,
  keypairUsage,
  projectQuota,
  projectUsage,
  setLimits,
  userQuota,
  userUsage,
  type Limits,
  type QuotaResource,
} from '../../services/compute/quotas';
import { param, queryValue } from '../query';
import type { ApiRequest, Handler, Route } from '../route';
import { refuseUnknownQuery } from './queryKeys';
import { boolean, byVersion, isTrue, object } from './schemaTypes';

const network: readonly QuotaResource[] = ['fixed_ips', 'floating_ips', 'security_groups', 'security_group_rules'];
const files: readonly QuotaResource[] = ['injected_files', 'injected_file_content_bytes', 'injected_file_path_bytes'];
const groups: readonly QuotaResource[] = ['server_groups', 'server_group_members'];
const compute: readonly QuotaResource[] = ['instances', 'cores', 'ram', 'metadata_items', 'key_pairs'];

/** Which resources a quota set has at a microversion. */
const resourcesAt = (minor: number): readonly QuotaResource[] => [
  ...compute,
  ...groups,
  ...(minor < 57 ? files : []),
  ...(minor < 36 ? network : []),
];
/** A class lacked the server groups before 2.50, and lost the network's resources only then. */
const classResourcesAt = (minor: number): readonly QuotaResource[] => [
  ...compute,
  ...(minor >= 50 ? groups : network),
  ...(minor < 57 ? files : []),
];

const limit = { type: ['integer', 'string'], pattern: '^-?[0-9]+$', minimum: -1, maximum: 0x7fffffff };
const limitsSchema = (
  key: string,
  resources: readonly QuotaResource[],
  more: Readonly<Record<string, object>>,
): object => object({ [key]: object({ ...Object.fromEntries(resources.map((one) => [one, limit])), ...more }) }, [key]);

const quotaSchema = byVersion((minor) => limitsSchema('quota_set', resourcesAt(minor), { force: boolean }));
const classSchema = byVersion((minor) => limitsSchema('quota_class_set', classResourcesAt(minor), {}));

const only = (limits: Limits, resources: readonly QuotaResource[]): Record<string, number> =>
  Object.fromEntries(resources.map((resource) => [resource, limits[resource]]));

/** The user whose limits in the project are meant; undefined: the project's. */
const userOf = (request: ApiRequest): string | undefined => queryValue(request.query, 'user_id') || undefined;

const quotaOf = (session: ReadSession, projectId: string, userId: string | undefined): Promise<Limits> =>
  userId === undefined ? projectQuota(session, projectId) : userQuota(session, projectId, userId);

const rule = (operation: string): string => `os_compute_api:os-quota-sets:${operation}`;
const projectOf = (request: ApiRequest): string => param(request, 'project');

async function usageOf(
  session: ReadSession,
  request: ApiRequest,
  projectId: string,
): Promise<Partial<Record<string, number>>> {
  const user = userOf(request);
  if (user !== undefined)
    return { ...(await userUsage(session, projectId, user)), key_pairs: await keypairUsage(session, user) };
  const own = projectId === request.caller.projectId;
  const keys = own ? await keypairUsage(session, request.caller.userId) : 0;
  return { ...(await projectUsage(session, projectId)), key_pairs: keys };
}

const show: Handler = (request, cloud) => {
  const id = projectOf(request);
  cloud.policy.require(request.caller, rule('show'), { project_id: id });
  refuseUnknownQuery(request, ['user_id']);
  return cloud.db.read(async (session) => {
    const limits = await quotaOf(session, id, userOf(request));
    return { status: 200, body: { quota_set: { id, ...only(limits, resourcesAt(request.microversion.minor)) } } };
  });
};

const detail: Handler = (request, cloud) => {
  const id = projectOf(request);
  cloud.policy.require(request.caller, rule('detail'), { project_id: id });
  refuseUnknownQuery(request, ['user_id']);
  return cloud.db.read(async (session) => {
    const limits = await quotaOf(session, id, userOf(request));
    const used = await usageOf(session, request, id);
    const entries = resourcesAt(request.microversion.minor).map((resource) => [
      resource,
      { limit: limits[resource], in_use: used[resource] ?? 0, reserved: 0 },
    ]);
    return { status: 200, body: { quota_set: { id, ...(Object.fromEntries(entries) as object) } } };
  });
};

const defaults: Handler = (request, cloud) =>
  cloud.db.read(async (session) => ({
    status: 200,
    body: {
      quota_set: {
        id: projectOf(request),
        ...only(await defaultQuota(session), resourcesAt(request.microversion.minor)),
      },
    },
  }));

type LimitsBody = Partial<Record<QuotaResource, number | string>>;
const numbers = (body: LimitsBody): Partial<Record<QuotaResource, number>> =>
  Object.fromEntries(Object.entries(body).map(([resource, value]) => [resource, Number(value)]));

const update: Handler = async (request, cloud) => {
  const id = projectOf(request);
  cloud.policy.require(request.caller, rule('update'), { project_id: id });
  refuseUnknownQuery(request, ['user_id']);
  const { force, ...limits } = (request.body as { quota_set: LimitsBody & { force?: unknown } }).quota_set;
  const set = await cloud.db.write(async (session) => {
    await setLimits(session, id, numbers(limits), isTrue(force ?? false), userOf(request));
    return quotaOf(session, id, userOf(request));
  });
  return { status: 200, body: { quota_set: only(set, resourcesAt(request.microversion.minor)) } };
};

const remove: Handler = async (request, cloud) => {
  const id = projectOf(request);
  cloud.policy.require(request.caller, rule('delete'), { project_id: id });
  refuseUnknownQuery(request, ['user_id']);
  await cloud.db.write((session) => clearLimits(session, id, userOf(request)));
  return { status: 202 };
};

const showClass: Handler = (request, cloud) =>
  cloud.db.read(async (session) => ({
    status: 200,
    body: {
      quota_class_set: {
        id: request.params['name'],
        ...only(await defaultQuota(session), classResourcesAt(request.microversion.minor)),
      },
    },
  }));

const updateClass: Handler = async (request, cloud) => {
  if (request.params['name'] !== 'default')
    throw new ApiError(501, 'NotImplemented', 'There is one quota class only: default.');
  const { quota_class_set: body } = request.body as { quota_class_set: LimitsBody };
  const set = await cloud.db.write(async (session) => {
    await setLimits(session, DEFAULT_CLASS, numbers(body), true);
    return defaultQuota(session);
  });
  return { status: 200, body: { quota_class_set: only(set, classResourcesAt(request.microversion.minor)) } };
};

/** The limits under the names that `GET /limits` has for them. */
function absoluteLimits(limits: Limits, used: Readonly<Record<string, number | undefined>>, minor: number): object {
  return {
    maxTotalInstances: limits.instances,
    maxTotalCores: limits.cores,
    maxTotalRAMSize: limits.ram,
    maxServerMeta: limits.metadata_items,
    maxTotalKeypairs: limits.key_pairs,
    maxServerGroups: limits.server_groups,
    maxServerGroupMembers: limits.server_group_members,
    totalInstancesUsed: used['instances'],
    totalCoresUsed: used['cores'],
    totalRAMUsed: used['ram'],
    totalServerGroupsUsed: 0,
    ...(minor < 39 ? { maxImageMeta: limits.metadata_items } : {}),
    ...(minor < 57
      ? { maxPersonality: limits.injected_files, maxPersonalitySize: limits.injected_file_content_bytes }
      : {}),
    ...(minor < 36
      ? {
          maxSecurityGroups: limits.security_groups,
          maxSecurityGroupRules: limits.security_group_rules,
          maxTotalFloatingIps: limits.floating_ips,
          totalSecurityGroupsUsed: 0,
          totalFloatingIpsUsed: 0,
        }
      : {}),
  };
}

const showLimits: Handler = (request, cloud) => {
  refuseUnknownQuery(request, ['tenant_id', 'reserved']);
  const other = queryValue(request.query, 'tenant_id');
  if (other !== undefined && other !== request.caller.projectId)
    cloud.policy.require(request.caller, 'os_compute_api:limits:other_project', { project_id: other });
  const id = other ?? request.caller.projectId ?? '';
  return cloud.db.read(async (session) => {
    const [limits, used] = [await projectQuota(session, id), await projectUsage(session, id)];
    return {
      status: 200,
      body: { limits: { rate: [], absolute: absoluteLimits(limits, used, request.microversion.minor) } },
    };
  });
};

const classRule = 'os_compute_api:os-quota-class-sets';
export const quotaRoutes: readonly Route[] = [
  { method: 'GET', path: '/os-quota-sets/:project', handler: show },
  { method: 'GET', path: '/os-quota-sets/:project/detail', handler: detail },
  { method: 'GET', path: '/os-quota-sets/:project/defaults', handler: defaults },
  { method: 'PUT', path: '/os-quota-sets/:project', handler: update, schema: quotaSchema },
  { method: 'DELETE', path: '/os-quota-sets/:project', handler: remove },
  { method: 'GET', path: '/os-quota-class-sets/:name', handler: showClass, policy: `${classRule}:show` },
  {
    method: 'PUT',
    path: '/os-quota-class-sets/:name',
    handler: updateClass,
    policy: `${classRule}:update`,
    schema: classSchema,
  },
  { method: 'GET', path: '/limits', handler: showLimits },
];
