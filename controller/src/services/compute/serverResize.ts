// Resize and cold migration: what is wanted is written down and held, then a task does it; later it is confirmed or reverted.
import type { Cloud } from '../../cloud';
import type { WriteSession } from '../../db';
import type { Server, ServerFlavor } from '../../db/entities/compute';
import { hosts } from '../../db/entities/tasks';
import { ConflictError, InvalidError } from '../../errors';
import { hostAlive } from '../hosts';
import { requireImageFits, rootDiskBytes } from './bootImage';
import { extraSpecsOf } from './flavors';
import { insertMigration, markMigration, nextDiskRevision, openMigration } from './migrations';
import { readAccount, takeQuota } from './quotas';
import { startAction, type Actor } from './serverActions';
import { requireHost, requireState, requireUnlocked } from './serverStates';
import { flavorFor, serverFlavor } from './servers';

const GIB = 1024 ** 3;

const undersized = (reason: string): InvalidError =>
  new InvalidError(`Server disk was unable to be resized because: ${reason}`, 'CannotResizeDisk');

/** A root disk keeps its size or grows. @throws InvalidError */
function requireDiskKept(server: Server, flavor: ServerFlavor): void {
  if (flavor.disk === 0 && server.flavor.disk !== 0) throw undersized('Resize to zero disk flavor is not allowed.');
  const now = rootDiskBytes(server);
  if (rootDiskBytes({ flavor, image: server.image }) >= now) return;
  throw undersized(`the disk has ${now / GIB} GiB and can not shrink to ${flavor.disk} GiB.`);
}

/** Takes what the new flavor has more than the old one; less is given back at the confirmation. @throws OverQuotaError */
async function takeDifference(session: WriteSession, server: Server, flavor: ServerFlavor): Promise<void> {
  const amount = {
    instances: 0,
    cores: Math.max(0, flavor.vcpus - server.flavor.vcpus),
    ram: Math.max(0, flavor.ram - server.flavor.ram),
  };
  await takeQuota(session, await readAccount(session, server.project_id, server.user_id), amount);
}

/** A host that is silent neither lets a server go nor takes it back. @throws ConflictError */
export async function requireUp(session: WriteSession, cloud: Cloud, host: string): Promise<void> {
  if (await hostAlive(session, host, cloud.clock.now())) return;
  throw new ConflictError('Service is unavailable at this time.', 'ServiceUnavailable');
}

async function beginMove(
  session: WriteSession,
  cloud: Cloud,
  actor: Actor,
  server: Server,
  flavor: ServerFlavor,
  operation: 'resize' | 'migrate',
  set: Partial<Server> = {},
  params: Readonly<Record<string, unknown>> = {},
): Promise<void> {
  const source_host = requireHost(server);
  await requireUp(session, cloud, source_host);
  await startAction(session, cloud, actor, server, operation, set, params);
  await insertMigration(session, cloud, server, {
    user_id: actor.caller.userId,
    type: operation === 'resize' ? 'resize' : 'migration',
    status: 'pre-migrating',
    source_host,
    new_flavor: flavor,
    new_revision: await nextDiskRevision(session, server),
  });
}

export interface ResizeRequest {
  readonly flavorId: string;
  readonly diskConfig?: string;
}

/**
 * Starts a resize.
 * @throws ConflictError for the state, InvalidError for a flavor that is not there, the same or too small, OverQuotaError
 */
export async function resizeServer(
  session: WriteSession,
  cloud: Cloud,
  actor: Actor,
  server: Server,
  request: ResizeRequest,
): Promise<void> {
  requireUnlocked(server, actor.caller);
  requireState(server, 'resize');
  requireHost(server);
  const found = await flavorFor(session, actor.caller, request.flavorId);
  const flavor = serverFlavor(found, (await extraSpecsOf(session, [found.flavorid])).get(found.flavorid) ?? {});
  if (flavor.id === server.flavor.id)
    throw new InvalidError('When resizing, instances must change flavor!', 'CannotResizeToSameFlavor');
  requireDiskKept(server, flavor);
  if (server.image) requireImageFits(server.image, flavor);
  await takeDifference(session, server, flavor);
  const { diskConfig } = request;
  await beginMove(session, cloud, actor, server, flavor, 'resize', diskConfig ? { disk_config: diskConfig } : {});
}

/**
 * Starts a cold migration; `host` null: the scheduler chooses.
 * @throws ConflictError for the state, InvalidError for a host that is not there or the server's own
 */
export async function migrateServer(
  session: WriteSession,
  cloud: Cloud,
  actor: Actor,
  server: Server,
  host: string | null,
): Promise<void> {
  requireUnlocked(server, actor.caller);
  requireState(server, 'migrate');
  if (host !== null && host === requireHost(server))
    throw new InvalidError('Cannot migrate to the host where the server exists.', 'CannotMigrateToSameHost');
  if (host !== null && !(await session.findOne(hosts, { name: host })))
    throw new InvalidError(`Compute host ${host} could not be found.`, 'ComputeHostNotFound');
  await beginMove(session, cloud, actor, server, server.flavor, 'migrate', {}, { host });
}

/**
 * Starts the end of a resize: what was left stays left, or is gone back to.
 * @throws ConflictError for the state, InvalidError when nothing was resized
 */
export async function endResize(
  session: WriteSession,
  cloud: Cloud,
  actor: Actor,
  server: Server,
  operation: 'confirmResize' | 'revertResize',
): Promise<void> {
  const migration = await openMigration(session, server.id);
  requireUnlocked(server, actor.caller);
  // Only a way back that failed leaves an open migration to a server in ERROR.
  requireState(server, migration ? operation : 'confirmResize', operation);
  if (!migration) throw new InvalidError('Instance has not been resized.', 'MigrationNotFound');
  if (operation === 'revertResize') await requireUp(session, cloud, migration.source_host);
  await startAction(session, cloud, actor, server, operation);
  await markMigration(session, cloud, migration, operation === 'confirmResize' ? 'confirming' : 'reverting');
}
