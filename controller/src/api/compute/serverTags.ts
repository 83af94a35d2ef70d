// Handlers of /servers/{id}/tags, from 2.26 on.
import type { WriteSession } from '../../db';
import { serverTags, type Server } from '../../db/entities/compute';
import { InvalidError, NotFoundError } from '../../errors';
import { findServer } from '../../services/compute/findServer';
import { tagsOf } from '../../services/compute/serverFacts';
import { requireUnlocked } from '../../services/compute/serverStates';
import type { Cloud } from '../../cloud';
import { schemaProblem } from '@cumulet/common';
import { param } from '../query';
import type { ApiRequest, Handler, Route } from '../route';
import { selfHref } from './links';
import { object, tag as tagSchema } from './schemaTypes';
import { serverIdOf } from './servers';

const MAX_TAGS = 50;
const replaceSchema = object({ tags: { type: 'array', items: tagSchema, maxItems: MAX_TAGS } }, ['tags']);
const tagOf = (request: ApiRequest): string => param(request, 'tag');

const noTag = (server: Server, tag: string): NotFoundError =>
  new NotFoundError(`Server ${server.id} has no tag '${tag}'`, 'InstanceTagNotFound');

/** @throws InvalidError for a tag that can't be one */
function checkTag(tag: string): void {
  const problem = schemaProblem(tagSchema, tag);
  if (problem) throw new InvalidError(`Tag '${tag}' is invalid: it ${problem.message}.`, 'ValidationError');
}

const changing = <T>(
  cloud: Cloud,
  request: ApiRequest,
  work: (session: WriteSession, server: Server) => Promise<T>,
): Promise<T> =>
  cloud.db.write(async (session) => {
    const server = await findServer(session, request.caller, serverIdOf(request));
    requireUnlocked(server, request.caller);
    return work(session, server);
  });

const index: Handler = (request, cloud) =>
  cloud.db.read(async (session) => {
    const server = await findServer(session, request.caller, serverIdOf(request));
    return { status: 200, body: { tags: (await tagsOf(session, [server.id])).get(server.id) ?? [] } };
  });

const show: Handler = (request, cloud) =>
  cloud.db.read(async (session) => {
    const server = await findServer(session, request.caller, serverIdOf(request));
    if (!(await session.findOne(serverTags, { server_id: server.id, tag: tagOf(request) })))
      throw noTag(server, tagOf(request));
    return { status: 204 };
  });

const add: Handler = (request, cloud) => {
  const tag = tagOf(request);
  checkTag(tag);
  return changing(cloud, request, async (session, server) => {
    const tags = (await tagsOf(session, [server.id])).get(server.id) ?? [];
    if (tags.includes(tag)) return { status: 204 };
    if (tags.length >= MAX_TAGS) throw new InvalidError(`The number of tags exceeded the per-server limit ${MAX_TAGS}`);
    await session.insert(serverTags, { server_id: server.id, tag });
    return { status: 201, headers: { location: selfHref(request, `servers/${server.id}/tags`, tag) } };
  });
};

const replace: Handler = (request, cloud) => {
  const tags = [...new Set((request.body as { tags: string[] }).tags)];
  return changing(cloud, request, async (session, server) => {
    await session.delete(serverTags, { server_id: server.id });
    if (tags.length > 0)
      await session.insert(
        serverTags,
        tags.map((tag) => ({ server_id: server.id, tag })),
      );
    return { status: 200, body: { tags: [...tags].sort() } };
  });
};

const remove: Handler = (request, cloud) =>
  changing(cloud, request, async (session, server) => {
    const gone = await session.delete(serverTags, { server_id: server.id, tag: tagOf(request) });
    if (gone === 0) throw noTag(server, tagOf(request));
    return { status: 204 };
  });

const removeAll: Handler = (request, cloud) =>
  changing(cloud, request, async (session, server) => {
    await session.delete(serverTags, { server_id: server.id });
    return { status: 204 };
  });

const rule = (operation: string): string => `os_compute_api:os-server-tags:${operation}`;
const path = '/servers/:id/tags';
export const serverTagRoutes: readonly Route[] = [
  { method: 'GET', path, handler: index, policy: rule('index'), since: 26 },
  { method: 'PUT', path, handler: replace, policy: rule('update_all'), schema: replaceSchema, since: 26 },
  { method: 'DELETE', path, handler: removeAll, policy: rule('delete_all'), since: 26 },
  { method: 'GET', path: `${path}/:tag`, handler: show, policy: rule('show'), since: 26 },
  { method: 'PUT', path: `${path}/:tag`, handler: add, policy: rule('update'), since: 26 },
  { method: 'DELETE', path: `${path}/:tag`, handler: remove, policy: rule('delete'), since: 26 },
];
