// Create, list, show, change and delete domains.
import type { Cloud } from '../../cloud';
import { projects } from '../../db/entities/identity';
import { deleteDomain } from '../../services/identity/domains';
import { identityId } from '../../services/identity/ids';
import {
  createProject,
  findProject,
  updateProject,
  withTags,
  type ProjectWithTags,
} from '../../services/identity/projects';
import { param } from '../query';
import type { ApiRequest, ApiResponse, Route } from '../route';
import { allowed, targetOf } from './access';
import { DomainCreate, DomainUpdate } from './domainSchema';
import { domainView } from './domainView';
import { extraOf, mergeOptions, requireMatchingId } from './fields';
import { collection, listRows } from './listing';
import { projectChange } from './projects';
import { PROJECT_FIELDS } from './projectSchema';

const FIELDS = [...PROJECT_FIELDS, 'explicit_domain_id'];

async function find(request: ApiRequest, cloud: Cloud, rule: string): Promise<ProjectWithTags> {
  const id = param(request, 'domain_id');
  const row = await findProject(cloud, id);
  return allowed(request, cloud, rule, row?.is_domain ? row : undefined, targetOf.domain, `domain: ${id}`);
}

async function create(request: ApiRequest, cloud: Cloud): Promise<ApiResponse> {
  cloud.policy.require(request.caller, 'identity:create_domain');
  const body = (request.body as { domain: DomainCreate }).domain;
  const domain = await createProject(cloud, {
    id: body.explicit_domain_id ?? identityId(),
    name: body.name,
    domain_id: '',
    parent_id: null,
    is_domain: true,
    enabled: body.enabled ?? true,
    description: body.description ?? '',
    options: mergeOptions({}, body.options),
    extra: extraOf(body, FIELDS),
    tags: body.tags ?? [],
    created_at: cloud.clock.now(),
  });
  return { status: 201, body: { domain: domainView(request, domain) } };
}

async function listAll(request: ApiRequest, cloud: Cloud): Promise<ApiResponse> {
  const { domainId } = request.caller;
  cloud.policy.require(request.caller, 'identity:list_domains', { 'target.domain.id': domainId });
  const own = domainId === null ? [] : [{ column: 'id', op: '=', value: domainId } as const];
  const onlyDomains = { column: 'is_domain', op: '=', value: true } as const;
  const rows = await cloud.db.read(async (session) =>
    withTags(
      session,
      await listRows(session, projects, request.query, { name: 'text', enabled: 'flag' }, [...own, onlyDomains]),
    ),
  );
  return collection(
    request,
    'domains',
    rows.map((row) => domainView(request, row)),
  );
}

async function show(request: ApiRequest, cloud: Cloud): Promise<ApiResponse> {
  return { status: 200, body: { domain: domainView(request, await find(request, cloud, 'identity:get_domain')) } };
}

async function update(request: ApiRequest, cloud: Cloud): Promise<ApiResponse> {
  const before = await find(request, cloud, 'identity:update_domain');
  const body = (request.body as { domain: DomainUpdate }).domain;
  requireMatchingId(body, before.id);
  const domain = await updateProject(cloud, before, projectChange(before, body));
  return { status: 200, body: { domain: domainView(request, domain) } };
}

async function remove(request: ApiRequest, cloud: Cloud): Promise<ApiResponse> {
  await deleteDomain(cloud, await find(request, cloud, 'identity:delete_domain'));
  return { status: 204 };
}

export const domainRoutes: readonly Route[] = [
  { method: 'GET', path: '/domains', handler: listAll },
  { method: 'POST', path: '/domains', schema: DomainCreate, handler: create },
  { method: 'GET', path: '/domains/:domain_id', handler: show },
  { method: 'PATCH', path: '/domains/:domain_id', schema: DomainUpdate, handler: update },
  { method: 'DELETE', path: '/domains/:domain_id', handler: remove },
];
