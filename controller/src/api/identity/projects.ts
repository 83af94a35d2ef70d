// Create, list, show, change and delete projects.
import type { Cloud } from '../../cloud';
import { projects, type Project } from '../../db/entities/identity';
import { ForbiddenError, InvalidError } from '../../errors';
import { identityId } from '../../services/identity/ids';
import {
  createProject,
  deleteProject,
  domainOfParent,
  findProject,
  updateProject,
  withTags,
  type ProjectChange,
  type ProjectWithTags,
} from '../../services/identity/projects';
import { deleteDomain } from '../../services/identity/domains';
import { param } from '../query';
import type { ApiRequest, ApiResponse, Route } from '../route';
import { allowed, targetOf } from './access';
import { extraOf, mergeOptions, requireMatchingId } from './fields';
import { collection, listRows } from './listing';
import { fitsTags } from './projectTags';
import { expandProject } from './projectTree';
import { PROJECT_FIELDS, ProjectCreate, ProjectUpdate } from './projectSchema';
import { projectView } from './projectView';

async function find(request: ApiRequest, cloud: Cloud, rule: string): Promise<ProjectWithTags> {
  const id = param(request, 'project_id');
  return allowed(request, cloud, rule, await findProject(cloud, id), targetOf.project, `project: ${id}`);
}

/** The domain of a new project: as given, its parent's, or the caller's. */
async function domainFor(request: ApiRequest, cloud: Cloud, body: ProjectCreate): Promise<string> {
  const { caller } = request;
  if (typeof body.domain_id === 'string') return body.domain_id;
  const ofParent = typeof body.parent_id === 'string' ? await domainOfParent(cloud, body.parent_id) : undefined;
  return ofParent ?? caller.domainId ?? caller.projectDomainId ?? caller.userDomainId;
}

async function create(request: ApiRequest, cloud: Cloud): Promise<ApiResponse> {
  const body = (request.body as { project: ProjectCreate }).project;
  const is_domain = body.is_domain === true;
  const id = identityId();
  const domain_id = is_domain ? '' : await domainFor(request, cloud, body);
  if (is_domain && (body.parent_id ?? body.domain_id ?? null) !== null)
    throw new InvalidError('A project that acts as a domain has neither parent nor domain.', 'ValidationError');
  const target = targetOf.project({ id, domain_id, is_domain: false });
  cloud.policy.require(request.caller, is_domain ? 'identity:create_domain' : 'identity:create_project', target);
  const project = await createProject(cloud, {
    id,
    name: body.name,
    domain_id,
    parent_id: body.parent_id ?? null,
    is_domain,
    enabled: body.enabled ?? true,
    description: body.description ?? '',
    options: mergeOptions({}, body.options),
    extra: extraOf(body, PROJECT_FIELDS),
    tags: body.tags ?? [],
    created_at: cloud.clock.now(),
  });
  return { status: 201, body: { project: projectView(request, project) } };
}

async function listAll(request: ApiRequest, cloud: Cloud): Promise<ApiResponse> {
  const { domainId } = request.caller;
  cloud.policy.require(request.caller, 'identity:list_projects', { 'target.project.domain_id': domainId });
  const { query } = request;
  const own = domainId === null ? [] : [{ column: 'domain_id', op: '=', value: domainId } as const];
  const kind = query.has('is_domain') ? [] : [{ column: 'is_domain', op: '=', value: false } as const];
  const filters = { name: 'text', domain_id: 'text', parent_id: 'text', enabled: 'flag', is_domain: 'flag' } as const;
  const rows = await cloud.db.read(async (session) =>
    withTags(session, await listRows(session, projects, query, filters, [...own, ...kind])),
  );
  const fitting = rows.filter((row) => fitsTags(query, row.tags));
  return collection(
    request,
    'projects',
    fitting.map((row) => projectView(request, row)),
  );
}

async function show(request: ApiRequest, cloud: Cloud): Promise<ApiResponse> {
  const row = await find(request, cloud, 'identity:get_project');
  const view = { ...projectView(request, row), ...(await expandProject(request, cloud, row)) };
  return { status: 200, body: { project: view } };
}

/** Where a project stands can't be changed; saying what it is already is no change. */
function requireSamePlace(before: Project, body: ProjectUpdate): void {
  const domain_id = before.is_domain ? null : before.domain_id;
  if (body.domain_id !== undefined && body.domain_id !== domain_id)
    throw new InvalidError('Cannot change Domain ID', 'ValidationError');
  if (body.is_domain !== undefined && body.is_domain !== before.is_domain)
    throw new InvalidError('Update of `is_domain` is not allowed.', 'ValidationError');
  if (body.parent_id !== undefined && body.parent_id !== before.parent_id)
    throw new ForbiddenError('Update of `parent_id` is not allowed.');
}

/** The columns that a body changes. */
export function projectChange(before: Project, body: ProjectUpdate): ProjectChange {
  const { name, description, enabled, tags, options } = body;
  return {
    ...(name === undefined ? {} : { name }),
    ...(description === undefined ? {} : { description }),
    ...(enabled === undefined ? {} : { enabled }),
    ...(tags === undefined ? {} : { tags }),
    ...(options === undefined ? {} : { options: mergeOptions(before.options, options) }),
    extra: { ...before.extra, ...extraOf(body, PROJECT_FIELDS) },
  };
}

async function update(request: ApiRequest, cloud: Cloud): Promise<ApiResponse> {
  const before = await find(request, cloud, 'identity:update_project');
  const body = (request.body as { project: ProjectUpdate }).project;
  if (before.is_domain) cloud.policy.require(request.caller, 'identity:update_domain', targetOf.domain(before));
  requireMatchingId(body, before.id);
  requireSamePlace(before, body);
  const project = await updateProject(cloud, before, projectChange(before, body));
  return { status: 200, body: { project: projectView(request, project) } };
}

async function remove(request: ApiRequest, cloud: Cloud): Promise<ApiResponse> {
  const row = await find(request, cloud, 'identity:delete_project');
  if (row.is_domain) {
    cloud.policy.require(request.caller, 'identity:delete_domain', targetOf.domain(row));
    await deleteDomain(cloud, row);
  } else await deleteProject(cloud, row);
  return { status: 204 };
}

export const projectRoutes: readonly Route[] = [
  { method: 'GET', path: '/projects', handler: listAll },
  { method: 'POST', path: '/projects', schema: ProjectCreate, handler: create },
  { method: 'GET', path: '/projects/:project_id', handler: show },
  { method: 'PATCH', path: '/projects/:project_id', schema: ProjectUpdate, handler: update },
  { method: 'DELETE', path: '/projects/:project_id', handler: remove },
];
