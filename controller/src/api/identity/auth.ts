// What a token opens: the projects, domains and system its user may enter, and its catalog.
import type { Cloud } from '../../cloud';
import { ForbiddenError } from '../../errors';
import { accessibleDomains, accessibleProjects, hasSystemAccess } from '../../services/identity/access';
import { buildCatalog } from '../../services/identity/catalog';
import { withTags } from '../../services/identity/projects';
import type { ApiRequest, ApiResponse, Route } from '../route';
import { domainView } from './domainView';
import { collection } from './listing';
import { projectView } from './projectView';

const self = (request: ApiRequest): object => ({ self: request.origin + request.path });

async function projects(request: ApiRequest, cloud: Cloud): Promise<ApiResponse> {
  const rows = (await accessibleProjects(cloud, request.caller.userId)).filter((row) => row.enabled && !row.is_domain);
  const tagged = await cloud.db.read((session) => withTags(session, rows));
  return collection(
    request,
    'projects',
    tagged.map((row) => projectView(request, row)),
  );
}

async function domains(request: ApiRequest, cloud: Cloud): Promise<ApiResponse> {
  const rows = (await accessibleDomains(cloud, request.caller.userId)).filter((row) => row.enabled);
  const tagged = await cloud.db.read((session) => withTags(session, rows));
  return collection(
    request,
    'domains',
    tagged.map((row) => domainView(request, row)),
  );
}

async function system(request: ApiRequest, cloud: Cloud): Promise<ApiResponse> {
  const access = await hasSystemAccess(cloud, request.caller.userId);
  return { status: 200, body: { system: access ? [{ all: true }] : [], links: self(request) } };
}

async function catalog(request: ApiRequest, cloud: Cloud): Promise<ApiResponse> {
  const { caller } = request;
  if (caller.projectId === null)
    throw new ForbiddenError('A project-scoped token is required to produce a service catalog.');
  const entries = buildCatalog(await cloud.identity.catalog.rows(), request.origin, caller);
  return { status: 200, body: { catalog: entries, links: self(request) } };
}

export const authRoutes: readonly Route[] = [
  { method: 'GET', path: '/auth/projects', handler: projects },
  { method: 'GET', path: '/auth/domains', handler: domains },
  { method: 'GET', path: '/auth/system', handler: system },
  { method: 'GET', path: '/auth/catalog', handler: catalog },
];
