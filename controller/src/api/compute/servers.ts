// Handlers of /servers: list, show, change, delete.
import { isUuid } from '@cumulet/common';
import { IsNull } from '../../db';
import { servers } from '../../db/entities/compute';
import { factsOf } from '../../services/compute/serverFacts';
import { findServer, serverNotFound } from '../../services/compute/findServer';
import { renamePorts } from '../../services/compute/portNames';
import { deleteServer } from '../../services/compute/serverDelete';
import { listServers } from '../../services/compute/serverList';
import { shownServer } from '../../services/compute/shownServers';
import type { Cloud } from '../../cloud';
import type { Server } from '../../db/entities/compute';
import type { ReadSession } from '../../db';
import { mapInSlices } from '../../slices';
import { param } from '../query';
import type { ApiRequest, Handler, Route } from '../route';
import { nextPage } from './links';
import { readServerFilters } from './serverFilters';
import { serverUpdate } from './serverSchema';
import { serverSummary, serverView, viewOptions, type ServerViewOptions } from './serverView';

/** The id in the path; anything that is no id is a server nobody has. @throws NotFoundError */
export function serverIdOf(request: ApiRequest): string {
  const id = param(request, 'id');
  if (!isUuid(id)) throw serverNotFound(id);
  return id;
}

/** One server as an answer shows it. */
export async function viewOf(
  session: ReadSession,
  cloud: Cloud,
  request: ApiRequest,
  server: Server,
  kind: ServerViewOptions['kind'],
): Promise<object> {
  const facts = (await factsOf(session, cloud, [server])).get(server.id);
  if (!facts) throw serverNotFound(server.id);
  return serverView(request, server, facts, viewOptions(cloud, request, kind));
}

const listHandler =
  (detailed: boolean): Handler =>
  async (request, cloud) => {
    const filters = readServerFilters(cloud, request, detailed);
    if (!filters) return { status: 200, body: { servers: [] } };
    return cloud.db.read(async (session) => {
      const rows = await listServers(session, filters);
      const facts = await factsOf(session, cloud, detailed ? rows : []);
      const options = viewOptions(cloud, request, 'detail');
      const views = await mapInSlices(rows, (row) => {
        const known = facts.get(row.id);
        return known ? serverView(request, row, known, options) : serverSummary(request, row);
      });
      const page = { limit: filters.limit, marker: filters.marker };
      const path = detailed ? 'servers/detail' : 'servers';
      const links = nextPage(request, path, page, rows.at(-1)?.id, rows.length);
      return { status: 200, body: { servers: views, ...(links ? { servers_links: links } : {}) } };
    });
  };

const show: Handler = async (request, cloud) => {
  const { server, facts } = await shownServer(cloud, request.caller, serverIdOf(request));
  return { status: 200, body: { server: serverView(request, server, facts, viewOptions(cloud, request, 'show')) } };
};

interface UpdateBody {
  readonly name?: string;
  readonly description?: string | null;
  readonly hostname?: string;
  readonly accessIPv4?: string;
  readonly accessIPv6?: string;
  readonly 'OS-DCF:diskConfig'?: string;
}

function changesOf(body: UpdateBody): Partial<Server> {
  const disk = body['OS-DCF:diskConfig'];
  return {
    ...(body.name === undefined ? {} : { name: body.name.trim() }),
    ...(body.description === undefined ? {} : { description: body.description }),
    ...(body.hostname === undefined ? {} : { hostname: body.hostname }),
    ...(body.accessIPv4 === undefined ? {} : { access_ip_v4: body.accessIPv4 }),
    ...(body.accessIPv6 === undefined ? {} : { access_ip_v6: body.accessIPv6 }),
    ...(disk === undefined ? {} : { disk_config: disk }),
  };
}

const update: Handler = async (request, cloud) => {
  const { server: body } = request.body as { server: UpdateBody };
  const id = serverIdOf(request);
  const server = await cloud.db.write(async (session) => {
    const found = await findServer(session, request.caller, id);
    if (body.hostname !== undefined) await renamePorts(session, cloud, found, body.hostname);
    const set = { ...changesOf(body), updated_at: cloud.clock.now() };
    await session.update(servers, { id, deleted_at: IsNull() }, set);
    return { ...found, ...set };
  });
  return cloud.db.read(async (session) => ({
    status: 200,
    body: { server: await viewOf(session, cloud, request, server, 'update') },
  }));
};

const remove: Handler = async (request, cloud) => {
  await cloud.db.write(async (session) => {
    const server = await findServer(session, request.caller, serverIdOf(request));
    await deleteServer(session, cloud, request.caller, request.id, server);
  });
  return { status: 204 };
};

const rule = (operation: string): string => `os_compute_api:servers:${operation}`;
export const serverRoutes: readonly Route[] = [
  { method: 'GET', path: '/servers', handler: listHandler(false), policy: rule('index') },
  { method: 'GET', path: '/servers/detail', handler: listHandler(true), policy: rule('detail') },
  { method: 'GET', path: '/servers/:id', handler: show, policy: rule('show') },
  { method: 'PUT', path: '/servers/:id', handler: update, policy: rule('update'), schema: serverUpdate },
  { method: 'DELETE', path: '/servers/:id', handler: remove, policy: rule('delete') },
];
