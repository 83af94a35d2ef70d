// Live migration as it is asked for: checked, written down and started; and what its administrator wants of one that runs.
import type { Cloud } from '../../cloud';
import type { ReadSession, WriteSession } from '../../db';
import { serverMigrations, type MigrationStatus, type Server, type ServerMigration } from '../../db/entities/compute';
import { hosts } from '../../db/entities/tasks';
import { ConflictError, InvalidError, NotFoundError } from '../../errors';
import { explain } from '../../scheduler/scheduler';
import { rouseTasks } from '../tasks';
import { decideLive, type LiveRequest } from './liveTarget';
import { insertMigration, nextDiskRevision, openMigration } from './migrations';
import { record, startAction, type Actor } from './serverActions';
import { requireUp } from './serverResize';
import { requireHost, requireState, requireUnlocked } from './serverStates';

const ACTION = 'os-migrateLive';

/** @throws InvalidError for a host that is not there or the server's own */
async function requireTarget(session: ReadSession, server: Server, host: string): Promise<void> {
  if (!(await session.findOne(hosts, { name: host })))
    throw new InvalidError(`Compute host ${host} could not be found.`, 'ComputeHostNotFound');
  if (host === server.host)
    throw new InvalidError(
      `Unable to migrate instance (${server.id}) to current host (${host}).`,
      'UnableToMigrateToSelf',
    );
}

/**
 * Starts a live migration.
 * @param checked whether the caller hears at once that no host can take the server, and not from the migration
 * @throws ConflictError for the state, InvalidError for a host that can't be its target
 */
export async function liveMigrateServer(
  session: WriteSession,
  cloud: Cloud,
  actor: Actor,
  server: Server,
  request: LiveRequest,
  checked: boolean,
): Promise<void> {
  requireUnlocked(server, actor.caller);
  requireState(server, 'liveMigrate', ACTION);
  const source_host = requireHost(server);
  if (request.host !== null) await requireTarget(session, server, request.host);
  await requireUp(session, cloud, source_host);
  const decision = checked ? await decideLive(session, cloud, server, request) : undefined;
  if (decision?.candidates.length === 0) throw new InvalidError(explain(decision), 'NoValidHost');
  await startAction(session, cloud, actor, server, 'liveMigrate', {}, { ...request });
  await insertMigration(session, cloud, server, {
    user_id: actor.caller.userId,
    type: 'live-migration',
    status: 'queued',
    source_host,
    new_revision: await nextDiskRevision(session, server),
  });
}

/** The live migration of a server that is under way; undefined when none is. */
export async function liveMigrationOf(session: ReadSession, serverId: string): Promise<ServerMigration | undefined> {
  const migration = await openMigration(session, serverId);
  return migration?.type === 'live-migration' ? migration : undefined;
}

/** The same by its number. @throws NotFoundError in the words that clients know */
export async function findLiveMigration(
  session: ReadSession,
  serverId: string,
  number: string,
): Promise<ServerMigration> {
  const sequence = /^\d{1,15}$/.test(number) ? Number(number) : -1;
  const migration = await session.findOne(serverMigrations, { server_id: serverId, sequence });
  const words = `ive migration ${number}`;
  if (!migration) throw new NotFoundError(`In-progress l${words} is not found for server ${serverId}.`);
  if (migration.type !== 'live-migration')
    throw new NotFoundError(`Migration ${number} for server ${serverId} is not live-migration.`);
  if (migration.open !== 1) throw new NotFoundError(`L${words} for server ${serverId} is not in progress.`);
  return migration;
}

const WISHES = {
  abort: { name: 'abort live migration', kind: 'server.abortLiveMigration', words: 'the live migration shall end' },
  force: { name: 'force complete', kind: 'server.forceLiveMigration', words: 'the live migration shall be completed' },
} as const;

/**
 * Has a migration that is under way end as it is wanted.
 * @param states in which that is possible
 * @throws ConflictError when the server is not migrating, NotFoundError, InvalidError for the state of the migration
 */
export async function wishOfMigration(
  session: WriteSession,
  cloud: Cloud,
  actor: Actor,
  server: Server,
  { number, wish, states }: { number: string; wish: 'abort' | 'force'; states: readonly MigrationStatus[] },
): Promise<void> {
  const { name, kind, words } = WISHES[wish];
  requireUnlocked(server, actor.caller);
  if (server.task_state !== 'migrating')
    throw new ConflictError(
      `Cannot '${name}' instance ${server.id} while it is in task_state ${server.task_state ?? 'None'}`,
      'InstanceInvalidState',
    );
  const migration = await findLiveMigration(session, server.id, number);
  if (!states.includes(migration.status))
    throw new InvalidError(
      `Migration ${number} state of instance ${server.id} is ${migration.status}. ` +
        `Cannot ${name} while the migration is in this state.`,
      'InvalidMigrationState',
    );
  await session.update(serverMigrations, { uuid: migration.uuid, open: 1 }, { wish });
  await record(session, cloud, actor, server, kind, words);
  await rouseTasks(session, cloud, 'server', [server.id]);
}
