// Handlers of /os-migrations and of a server's migrations in progress.
import { createHash } from 'node:crypto';
import type { Cloud } from '../../cloud';
import type { ReadSession } from '../../db';
import type { MigrationStatus, Server, ServerMigration } from '../../db/entities/compute';
import { InvalidError } from '../../errors';
import { findServer } from '../../services/compute/findServer';
import { listMigrations, type MigrationFilters } from '../../services/compute/migrationList';
import type { Actor } from '../../services/compute/serverActions';
import { findLiveMigration, liveMigrationOf, wishOfMigration } from '../../services/compute/serverLiveMigrate';
import { param, queryValue } from '../query';
import type { ApiRequest, Handler, Route } from '../route';
import { MAX_PAGE, nextPage, readPage } from './links';
import { refuseUnknownQuery } from './queryKeys';
import { forceCompleteSchema } from './serverActionSchema';
import { readTime } from './serverFilters';
import { serverIdOf } from './servers';
import { isoMicroseconds } from './times';

/** The reference shows numbers of its database, which nothing resolves; ours are made of the flavor's id, so they stay. */
const flavorNumber = (flavorId: string): number =>
  Number.parseInt(createHash('sha256').update(flavorId).digest('hex').slice(0, 7), 16);

/** Hosts and nodes are the same here. */
const placesOf = ({ source_host, dest_host }: ServerMigration): object => ({
  source_compute: source_host,
  source_node: source_host,
  dest_compute: dest_host,
  dest_node: dest_host,
  // An address, where the reference has a network for this; disks travel through controllers and agents here.
  dest_host: null,
});

function view(migration: ServerMigration, minor: number): object {
  return {
    id: migration.sequence,
    instance_uuid: migration.server_id,
    status: migration.status,
    ...placesOf(migration),
    old_instance_type_id: flavorNumber(migration.old_flavor.id),
    new_instance_type_id: flavorNumber(migration.new_flavor.id),
    created_at: isoMicroseconds(migration.created_at),
    updated_at: isoMicroseconds(migration.updated_at),
    ...(minor >= 23 ? { migration_type: migration.type } : {}),
    ...(minor >= 59 ? { uuid: migration.uuid } : {}),
    ...(minor >= 80 ? { user_id: migration.user_id, project_id: migration.project_id } : {}),
  };
}

/** The keys that filter, by the microversion they came with; unknown ones are refused from 2.59 on. */
const keysAt = (minor: number): string[] => [
  ...['hidden', 'host', 'instance_uuid', 'source_compute', 'status', 'migration_type'],
  ...(minor >= 59 ? ['limit', 'marker', 'changes-since'] : []),
  ...(minor >= 66 ? ['changes-before'] : []),
  ...(minor >= 80 ? ['user_id', 'project_id'] : []),
];

function filtersOf({ query, microversion }: ApiRequest): MigrationFilters {
  const known = keysAt(microversion.minor);
  const value = (key: string): string | undefined => (known.includes(key) ? queryValue(query, key) : undefined);
  const time = (key: string): number | undefined => {
    const text = value(key);
    return text === undefined ? undefined : readTime(text, key);
  };
  const filters = {
    host: value('host'),
    sourceHost: value('source_compute'),
    serverId: value('instance_uuid'),
    status: value('status'),
    type: value('migration_type'),
    userId: value('user_id'),
    projectId: value('project_id'),
    since: time('changes-since'),
    before: time('changes-before'),
  };
  if (filters.since !== undefined && filters.before !== undefined && filters.before < filters.since)
    throw new InvalidError('The value of changes-since must be less than or equal to changes-before.');
  return Object.fromEntries(Object.entries(filters).filter(([, wanted]) => wanted !== undefined));
}

const index: Handler = (request, cloud) => {
  const { minor } = request.microversion;
  refuseUnknownQuery(request, keysAt(minor), 59);
  const paged = minor >= 59;
  const page = paged ? readPage(request) : { limit: MAX_PAGE, marker: undefined };
  const filters = filtersOf(request);
  return cloud.db.read(async (session) => {
    const found = await listMigrations(session, filters, { ...page, newestFirst: paged });
    const links = paged ? nextPage(request, 'os-migrations', page, found.at(-1)?.uuid, found.length) : undefined;
    return {
      status: 200,
      body: {
        migrations: found.map((migration) => view(migration, minor)),
        ...(links ? { migrations_links: links } : {}),
      },
    };
  });
};

const rule = (operation: string): string => `os_compute_api:${operation}`;

/** The server whose live migrations are asked for. Who may not know of it does not learn that it exists. */
async function serverFor(session: ReadSession, cloud: Cloud, request: ApiRequest, operation: string): Promise<Server> {
  const server = await findServer(session, request.caller, serverIdOf(request));
  const target = { project_id: server.project_id, user_id: server.user_id };
  cloud.policy.require(request.caller, rule(`servers:migrations:${operation}`), target);
  return server;
}

/** A live migration under way. */
function progressView(migration: ServerMigration, minor: number): object {
  const unknown = { total: null, processed: null, remaining: null };
  const figures = Object.keys(unknown).flatMap((part) => [`memory_${part}_bytes`, `disk_${part}_bytes`]);
  return {
    id: migration.sequence,
    server_uuid: migration.server_id,
    status: migration.status,
    ...placesOf(migration),
    ...(migration.progress ?? Object.fromEntries(figures.map((name) => [name, null]))),
    created_at: isoMicroseconds(migration.created_at),
    updated_at: isoMicroseconds(migration.updated_at),
    ...(minor >= 59 ? { uuid: migration.uuid } : {}),
    ...(minor >= 80 ? { user_id: migration.user_id, project_id: migration.project_id } : {}),
  };
}

const inProgress: Handler = (request, cloud) =>
  cloud.db.read(async (session) => {
    const { id } = await serverFor(session, cloud, request, 'index');
    const migration = await liveMigrationOf(session, id);
    const found = migration ? [progressView(migration, request.microversion.minor)] : [];
    return { status: 200, body: { migrations: found } };
  });

const showInProgress: Handler = (request, cloud) =>
  cloud.db.read(async (session) => {
    const { id } = await serverFor(session, cloud, request, 'show');
    const migration = await findLiveMigration(session, id, param(request, 'migration'));
    return { status: 200, body: { migration: progressView(migration, request.microversion.minor) } };
  });

const actorOf = (request: ApiRequest): Actor => ({ caller: request.caller, requestId: request.id });

/** Until 2.64 only what is being sent can be aborted. */
const abort: Handler = async (request, cloud) => {
  const states: MigrationStatus[] = request.microversion.minor < 65 ? ['running'] : ['queued', 'preparing', 'running'];
  await cloud.db.write(async (session) => {
    const server = await serverFor(session, cloud, request, 'delete');
    const wanted = { number: param(request, 'migration'), wish: 'abort' as const, states };
    await wishOfMigration(session, cloud, actorOf(request), server, wanted);
  });
  return { status: 202 };
};

const forceComplete: Handler = async (request, cloud) => {
  await cloud.db.write(async (session) => {
    const server = await serverFor(session, cloud, request, 'force_complete');
    const states: MigrationStatus[] = ['running'];
    const wanted = { number: param(request, 'migration'), wish: 'force' as const, states };
    await wishOfMigration(session, cloud, actorOf(request), server, wanted);
  });
  return { status: 202 };
};

export const migrationRoutes: readonly Route[] = [
  { method: 'GET', path: '/os-migrations', handler: index, policy: rule('os-migrations:index') },
  { method: 'GET', path: '/servers/:id/migrations', handler: inProgress, since: 23 },
  { method: 'GET', path: '/servers/:id/migrations/:migration', handler: showInProgress, since: 23 },
  { method: 'DELETE', path: '/servers/:id/migrations/:migration', handler: abort, since: 24 },
  {
    method: 'POST',
    path: '/servers/:id/migrations/:migration/action',
    handler: forceComplete,
    schema: forceCompleteSchema,
    since: 22,
  },
];
