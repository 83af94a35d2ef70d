// Resizes and migrations as records: which one is open for a server, what it holds meanwhile, and its end.
import { newId } from '@cumulet/common';
import type { Cloud } from '../../cloud';
import { In, type ReadSession, type WriteSession } from '../../db';
import {
  serverMigrations,
  type MigrationProgress,
  type MigrationStatus,
  type Server,
  type ServerMigration,
} from '../../db/entities/compute';
import { releaseClaims, renameClaims } from '../../db/repositories/claims';
import type { Usage } from './quotas';

/** The resize or migration of a server that is neither confirmed nor reverted. */
export const openMigration = (session: ReadSession, serverId: string): Promise<ServerMigration | undefined> =>
  session.findOne(serverMigrations, { server_id: serverId, open: 1 });

/** Those of a host: what comes to it and what leaves it. */
export async function migrationsOfHost(session: ReadSession, host: string): Promise<ServerMigration[]> {
  const leaving = await session.find(serverMigrations, { where: { source_host: host, open: 1 } });
  const coming = await session.find(serverMigrations, { where: { dest_host: host, open: 1 } });
  const known = new Set(leaving.map(({ uuid }) => uuid));
  return [...leaving, ...coming.filter(({ uuid }) => !known.has(uuid))];
}

/** Hosts that may have something of a server: its own, and the other one of an open migration. */
export function hostsOf(server: Pick<Server, 'host'>, migration: ServerMigration | undefined): string[] {
  const hosts = [server.host, migration?.source_host, migration?.dest_host];
  return [...new Set(hosts.flatMap((host) => host ?? []))];
}

/** What of the flavors counts against the quota: of both the larger part, so that either end of a resize finds its own. */
export function heldQuota(
  server: Pick<Server, 'flavor'>,
  migration: Pick<ServerMigration, 'old_flavor' | 'new_flavor'> | undefined,
): Usage {
  const flavors = migration ? [migration.old_flavor, migration.new_flavor] : [server.flavor];
  return {
    instances: 1,
    cores: Math.max(...flavors.map(({ vcpus }) => vcpus)),
    ram: Math.max(...flavors.map(({ ram }) => ram)),
  };
}

/** Open migrations by server, of some projects or of all. */
export async function openMigrations(
  session: ReadSession,
  projectIds?: readonly string[],
): Promise<Map<string, ServerMigration>> {
  const where = { open: 1, ...(projectIds ? { project_id: In([...projectIds]) } : {}) };
  return new Map((await session.find(serverMigrations, { where })).map((row) => [row.server_id, row]));
}

/** Of a disk that is made anew: never a number that any disk of the server had, so what is left somewhere is never taken for it. */
export async function nextDiskRevision(
  session: ReadSession,
  server: Pick<Server, 'id' | 'disk_revision'>,
): Promise<number> {
  const before = await session.find(serverMigrations, { where: { server_id: server.id } });
  return Math.max(server.disk_revision, ...before.map(({ new_revision }) => new_revision)) + 1;
}

/** What differs between the ways to move a server. */
type Move = Pick<ServerMigration, 'user_id' | 'type' | 'status' | 'source_host'> & Partial<ServerMigration>;

/** Writes down that a server moves; open, with its target not known yet, unless `move` says otherwise. */
export async function insertMigration(session: WriteSession, cloud: Cloud, server: Server, move: Move): Promise<void> {
  const now = cloud.clock.now();
  await session.insert(serverMigrations, {
    uuid: newId(),
    server_id: server.id,
    project_id: server.project_id,
    open: 1,
    dest_host: null,
    old_flavor: server.flavor,
    new_flavor: server.flavor,
    old_revision: server.disk_revision,
    new_revision: server.disk_revision,
    vm_state: server.vm_state,
    shared_disk: false,
    wish: null,
    progress: null,
    created_at: now,
    updated_at: now,
    ...move,
  });
}

/** How far it has come. */
export async function markMigration(
  session: WriteSession,
  cloud: Cloud,
  { uuid }: Pick<ServerMigration, 'uuid'>,
  status: MigrationStatus,
): Promise<void> {
  await session.update(serverMigrations, { uuid }, { status, updated_at: cloud.clock.now() });
}

/** What was wished of it is over: only what is wished from now on counts. */
export async function forgetWish(session: WriteSession, { uuid }: Pick<ServerMigration, 'uuid'>): Promise<void> {
  await session.update(serverMigrations, { uuid }, { wish: null });
}

/** Closes it and gives back what is claimed in its name. Twice is once. */
export async function closeMigration(
  session: WriteSession,
  cloud: Cloud,
  { uuid }: Pick<ServerMigration, 'uuid'>,
  status: MigrationStatus,
): Promise<void> {
  await releaseClaims(session, uuid);
  await session.update(serverMigrations, { uuid, open: 1 }, { status, open: null, updated_at: cloud.clock.now() });
}

/** Closes one whose server is where it was: what was claimed in its name is the server's own again. */
export async function closeUnmoved(
  session: WriteSession,
  cloud: Cloud,
  migration: ServerMigration,
  status: MigrationStatus,
): Promise<void> {
  if (migration.dest_host !== null) {
    await releaseClaims(session, migration.server_id);
    await renameClaims(session, migration.uuid, migration.server_id);
  }
  await closeMigration(session, cloud, migration, status);
}

const FIGURES = ['memory', 'disk'].flatMap((what) =>
  ['total', 'processed', 'remaining'].map((part) => `${what}_${part}_bytes` as keyof MigrationProgress),
);

/** Keeps what the host that a server leaves tells of the way; nobody else's word counts. */
export async function recordProgress(
  session: WriteSession,
  serverId: string,
  host: string,
  observed: Readonly<Record<string, unknown>>,
): Promise<void> {
  const figures = FIGURES.map((name) => [name, Number(observed[name]) || 0]);
  const progress = Object.fromEntries(figures) as Record<keyof MigrationProgress, number>;
  await session.update(serverMigrations, { server_id: serverId, open: 1, source_host: host }, { progress });
}
