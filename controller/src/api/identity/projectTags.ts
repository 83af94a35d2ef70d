// Tags of projects: list, replace, add, check and remove; and the filters by tags.
import type { Cloud } from '../../cloud';
import { NotFoundError } from '../../errors';
import { addTag, findProject, removeTag, setTags, type ProjectWithTags } from '../../services/identity/projects';
import { checkBody } from '../body';
import { param, queryValue } from '../query';
import type { ApiRequest, ApiResponse, Query, Route } from '../route';
import { allowed, targetOf } from './access';
import { linkBase } from './listing';
import { Tag, TagsUpdate } from './projectSchema';

/** Whether a project's tags fit tags, tags-any, not-tags and not-tags-any of a query; each is a list with commas. */
export function fitsTags(query: Query, tags: readonly string[]): boolean {
  const wanted = (key: string): readonly string[] | undefined => queryValue(query, key)?.split(',');
  const has = (tag: string): boolean => tags.includes(tag);
  const all = wanted('tags');
  const any = wanted('tags-any');
  const notAll = wanted('not-tags');
  const notAny = wanted('not-tags-any');
  return (
    (all?.every(has) ?? true) &&
    (any?.some(has) ?? true) &&
    !(notAll?.every(has) ?? false) &&
    !(notAny?.some(has) ?? false)
  );
}

async function find(request: ApiRequest, cloud: Cloud, rule: string): Promise<ProjectWithTags> {
  const id = param(request, 'project_id');
  return allowed(request, cloud, rule, await findProject(cloud, id), targetOf.project, `project: ${id}`);
}

const answer = (request: ApiRequest, tags: readonly string[]): ApiResponse => ({
  status: 200,
  body: { tags, links: { self: request.origin + request.path } },
});

async function list(request: ApiRequest, cloud: Cloud): Promise<ApiResponse> {
  return answer(request, (await find(request, cloud, 'identity:list_project_tags')).tags);
}

async function replace(request: ApiRequest, cloud: Cloud): Promise<ApiResponse> {
  const project = await find(request, cloud, 'identity:update_project_tags');
  const { tags } = request.body as TagsUpdate;
  await setTags(cloud, project, tags);
  return answer(request, tags);
}

async function removeAll(request: ApiRequest, cloud: Cloud): Promise<ApiResponse> {
  await setTags(cloud, await find(request, cloud, 'identity:delete_project_tags'), []);
  return { status: 204 };
}

async function check(request: ApiRequest, cloud: Cloud): Promise<ApiResponse> {
  const project = await find(request, cloud, 'identity:get_project_tag');
  const tag = param(request, 'tag');
  if (!project.tags.includes(tag)) throw new NotFoundError(`Could not find project tag: ${tag}.`);
  return { status: 204 };
}

async function add(request: ApiRequest, cloud: Cloud): Promise<ApiResponse> {
  const project = await find(request, cloud, 'identity:create_project_tag');
  const tag = param(request, 'tag');
  checkBody(Tag, tag);
  await addTag(cloud, project, tag);
  const location = `${linkBase(request)}/projects/${project.id}/tags/${encodeURIComponent(tag)}`;
  return { status: 201, headers: { location } };
}

async function remove(request: ApiRequest, cloud: Cloud): Promise<ApiResponse> {
  const project = await find(request, cloud, 'identity:delete_project_tag');
  await removeTag(cloud, project, param(request, 'tag'));
  return { status: 204 };
}

export const projectTagRoutes: readonly Route[] = [
  { method: 'GET', path: '/projects/:project_id/tags', handler: list },
  { method: 'PUT', path: '/projects/:project_id/tags', schema: TagsUpdate, handler: replace },
  { method: 'DELETE', path: '/projects/:project_id/tags', handler: removeAll },
  { method: 'GET', path: '/projects/:project_id/tags/:tag', handler: check },
  { method: 'PUT', path: '/projects/:project_id/tags/:tag', handler: add },
  { method: 'DELETE', path: '/projects/:project_id/tags/:tag', handler: remove },
];
