// Handlers of /servers/{id}/metadata.
import type { Cloud } from '../../cloud';
import type { WriteSession } from '../../db';
import { servers, type Server } from '../../db/entities/compute';
import { InvalidError, NotFoundError } from '../../errors';
import { findServer } from '../../services/compute/findServer';
import { requireWithinItemQuota } from '../../services/compute/servers';
import { requireUnlocked } from '../../services/compute/serverStates';
import { param } from '../query';
import type { ApiRequest, Handler, Route } from '../route';
import { metadata, object } from './schemaTypes';
import { serverIdOf } from './servers';

type Metadata = Record<string, string>;

const allSchema = object({ metadata }, ['metadata']);
const itemSchema = object({ meta: { ...metadata, minProperties: 1, maxProperties: 1 } }, ['meta']);
const keyOf = (request: ApiRequest): string => param(request, 'key');
const noItem = (): NotFoundError => new NotFoundError('Metadata item was not found', 'InstanceMetadataNotFound');

/** Changes the metadata of a server. @throws NotFoundError, ConflictError, OverQuotaError */
async function change(
  cloud: Cloud,
  request: ApiRequest,
  make: (old: Readonly<Metadata>) => Metadata,
): Promise<Metadata> {
  return cloud.db.write(async (session: WriteSession) => {
    const server = await findServer(session, request.caller, serverIdOf(request));
    requireUnlocked(server, request.caller);
    const changed = make(server.metadata);
    const { userId } = request.caller;
    await requireWithinItemQuota(session, server.project_id, userId, { metadata: changed, personality: [] });
    const set: Partial<Server> = { metadata: changed, updated_at: cloud.clock.now() };
    await session.update(servers, { id: server.id }, set);
    return changed;
  });
}

const index: Handler = (request, cloud) =>
  cloud.db.read(async (session) => ({
    status: 200,
    body: { metadata: (await findServer(session, request.caller, serverIdOf(request))).metadata },
  }));

const merge: Handler = async (request, cloud) => {
  const body = request.body as { metadata: Metadata };
  return {
    status: 200,
    body: { metadata: await change(cloud, request, (old) => ({ ...old, ...body.metadata })) },
  };
};

const replace: Handler = async (request, cloud) => {
  const body = request.body as { metadata: Metadata };
  return { status: 200, body: { metadata: await change(cloud, request, () => ({ ...body.metadata })) } };
};

const show: Handler = (request, cloud) =>
  cloud.db.read(async (session) => {
    const server = await findServer(session, request.caller, serverIdOf(request));
    const value = server.metadata[keyOf(request)];
    if (value === undefined) throw noItem();
    return { status: 200, body: { meta: { [keyOf(request)]: value } } };
  });

const update: Handler = async (request, cloud) => {
  const { meta } = request.body as { meta: Metadata };
  if (!(keyOf(request) in meta)) throw new InvalidError('Request body and URI mismatch');
  await change(cloud, request, (old) => ({ ...old, ...meta }));
  return { status: 200, body: { meta } };
};

const remove: Handler = async (request, cloud) => {
  await change(cloud, request, (old) => {
    if (!(keyOf(request) in old)) throw noItem();
    return Object.fromEntries(Object.entries(old).filter(([key]) => key !== keyOf(request)));
  });
  return { status: 204 };
};

const rule = (operation: string): string => `os_compute_api:server-metadata:${operation}`;
const path = '/servers/:id/metadata';
export const serverMetadataRoutes: readonly Route[] = [
  { method: 'GET', path, handler: index, policy: rule('index') },
  { method: 'POST', path, handler: merge, policy: rule('create'), schema: allSchema },
  { method: 'PUT', path, handler: replace, policy: rule('update_all'), schema: allSchema },
  { method: 'GET', path: `${path}/:key`, handler: show, policy: rule('show') },
  { method: 'PUT', path: `${path}/:key`, handler: update, policy: rule('update'), schema: itemSchema },
  { method: 'DELETE', path: `${path}/:key`, handler: remove, policy: rule('delete') },
];
