// Quotas in the API: limits and use of projects.
import { NotFoundError } from '../../errors';
import { badRequest } from '../../services/network/errors';
import {
  defaultQuotas,
  projectsWithQuotas,
  quotaResources,
  quotasOf,
  resetQuotas,
  setQuotas,
  type QuotaResource,
  type QuotaState,
} from '../../services/network/quotas';
import { param } from '../query';
import type { ApiRequest, Handler, Route } from '../route';
import { readUpdate, writable } from './attribute';
import { integer } from './checks';

const MAX_LIMIT = 2_147_483_647;
const attributes = Object.fromEntries(quotaResources.map((name) => [name, writable(integer(-1, MAX_LIMIT))]));

const limits = (states: Record<QuotaResource, QuotaState>): Record<string, number> =>
  Object.fromEntries(quotaResources.map((name) => [name, states[name].limit]));

const view = (projectId: string, states: Record<QuotaResource, QuotaState>) => ({
  ...limits(states),
  project_id: projectId,
  tenant_id: projectId,
});

const projectOf = (request: ApiRequest): string => param(request, 'project');

const statesOf = async (...[request, cloud]: Parameters<Handler>): Promise<Record<QuotaResource, QuotaState>> => {
  const projectId = projectOf(request);
  cloud.policy.require(request.caller, 'network:quotas:show', { project_id: projectId });
  const all = await cloud.db.read((session) => quotasOf(session, [projectId]));
  const states = all.get(projectId);
  if (!states) throw new NotFoundError(`Quota for project ${projectId} could not be found.`, 'ProjectQuotaNotFound');
  return states;
};

const listQuotas: Handler = async (request, cloud) => {
  cloud.policy.require(request.caller, 'network:quotas:list');
  const all = await cloud.db.read(async (session) => quotasOf(session, await projectsWithQuotas(session)));
  return { status: 200, body: { quotas: [...all].map(([projectId, states]) => view(projectId, states)) } };
};

/** The word `tenant` or `project` instead of an id asks whose token this is. */
const showQuota: Handler = async (request, cloud) => {
  const projectId = projectOf(request);
  if (projectId === 'tenant' || projectId === 'project')
    return { status: 200, body: { [projectId]: { [`${projectId}_id`]: request.caller.projectId } } };
  return { status: 200, body: { quota: view(projectId, await statesOf(request, cloud)) } };
};

const showDefault: Handler = async (request, cloud) => {
  await statesOf(request, cloud);
  const projectId = projectOf(request);
  return { status: 200, body: { quota: { ...defaultQuotas, project_id: projectId, tenant_id: projectId } } };
};

const showDetails: Handler = async (request, cloud) => {
  const states = await statesOf(request, cloud);
  const quota = Object.fromEntries(quotaResources.map((name) => [name, { ...states[name], reserved: 0 }]));
  return { status: 200, body: { quota } };
};

const updateQuota: Handler = async (request, cloud) => {
  const projectId = projectOf(request);
  cloud.policy.require(request.caller, 'network:quotas:update', { project_id: projectId });
  const given = (request.body as { quota?: unknown } | undefined)?.quota;
  if (typeof given !== 'object' || given === null) throw badRequest("Unable to find 'quota' in request body");
  const wanted = readUpdate(attributes, given as Record<string, unknown>);
  await cloud.db.write((session) => setQuotas(session, projectId, wanted));
  const states = (await cloud.db.read((session) => quotasOf(session, [projectId]))).get(projectId);
  return { status: 200, body: { quota: states ? view(projectId, states) : {} } };
};

const deleteQuota: Handler = async (request, cloud) => {
  const projectId = projectOf(request);
  cloud.policy.require(request.caller, 'network:quotas:delete', { project_id: projectId });
  const had = await cloud.db.write((session) => resetQuotas(session, projectId));
  if (!had) throw new NotFoundError(`Quota for project ${projectId} could not be found.`, 'ProjectQuotaNotFound');
  return { status: 204 };
};

export const quotaRoutes: readonly Route[] = [
  { method: 'GET', path: '/quotas', handler: listQuotas },
  { method: 'GET', path: '/quotas/:project', handler: showQuota },
  { method: 'GET', path: '/quotas/:project/default', handler: showDefault },
  { method: 'GET', path: '/quotas/:project/details', handler: showDetails },
  { method: 'PUT', path: '/quotas/:project', handler: updateQuota },
  { method: 'DELETE', path: '/quotas/:project', handler: deleteQuota },
];
