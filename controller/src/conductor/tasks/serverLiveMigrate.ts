// server.liveMigrate: a server goes to another host while it runs. It is wired there first, then sent, and then removed where it was.
import type { Cloud } from '../../cloud';
import type { WriteSession } from '../../db';
import { serverMigrations, type Server, type ServerMigration } from '../../db/entities/compute';
import { renameClaims } from '../../db/repositories/claims';
import { explain, explainByHost, silentHost } from '../../scheduler/scheduler';
import { decideLive } from '../../services/compute/liveTarget';
import { markMigration } from '../../services/compute/migrations';
import { sharesDisks } from '../../services/compute/sharedDisks';
import { agentListener } from '../../services/hosts';
import { expectServerPorts } from '../../services/network/portMoves';
import type { PortChange } from '../../services/network/serverPorts';
import { fail, HostFault, next, wait, type Fault, type Step, type StepContext, type TaskKind } from '../task';
import { ASK_AGAIN, claimFirst, SILENCE_MS } from './serverCreate';
import { isSilent } from './serverElsewhere';
import { arrivalSteps, powerBefore } from './serverArrival';
import { destOf, diskFacts, diskOf, domainOf, migrationOf, serverOf, sharedDiskOf, targetOf } from './serverState';

/** Room on both hosts: what the server has is claimed in the migration's name, and what it shall have in its own. */
async function claimTarget(
  session: WriteSession,
  cloud: Cloud,
  server: Server,
  migration: ServerMigration,
  candidates: readonly string[],
): Promise<{ ports: PortChange }> {
  const { uuid, source_host, old_revision, new_revision } = migration;
  await renameClaims(session, server.id, uuid);
  const dest_host = await claimFirst(session, cloud, server, candidates);
  const shared_disk = await sharesDisks(session, source_host, dest_host);
  const set = { dest_host, shared_disk, new_revision: shared_disk ? old_revision : new_revision };
  await session.update(serverMigrations, { uuid }, set);
  await markMigration(session, cloud, migration, 'preparing');
  return { ports: await expectServerPorts(session, cloud, server.id, dest_host) };
}

const cancelled = fail({ code: 'cancelled', message: 'The migration was ended before the server was sent.' });

const chooseHost: Step = async ({ cloud, task }) => {
  const [server, migration] = [await serverOf(cloud, task), await migrationOf(cloud, task)];
  if (migration.wish === 'abort') return cancelled;
  const { host = null, block = null } = task.params as { host?: string | null; block?: boolean | null };
  const decision = await cloud.db.read((session) => decideLive(session, cloud, server, { host, block }));
  if (decision.candidates.length > 0)
    return next('prepare', {
      message: 'a host was chosen and its room claimed',
      write: (session) => claimTarget(session, cloud, server, migration, decision.candidates),
    });
  if (silentHost(decision) && cloud.clock.now() - task.created_at < SILENCE_MS) throw new Error(explain(decision));
  return fail({ code: 'no_valid_host', message: explain(decision), details: explainByHost(decision) });
};

/** Everything that the server needs on its new host is there before it is sent: disk, ports, and somebody who expects it. */
const prepareTarget: Step = async (context) => {
  const { cloud, task, ask } = context;
  const [server, migration] = [await serverOf(cloud, task), await migrationOf(cloud, task)];
  if (migration.wish === 'abort') return cancelled;
  const { uuid: migration_id, source_host: from, new_revision, shared_disk } = migration;
  const target = targetOf(server, destOf(migration));
  if (await isSilent(context, target.host, ['compute', 'storage', 'network']))
    return fail({ code: 'host_silent', message: 'The host that the server was to go to does not answer.' });
  const disk = shared_disk
    ? await ask('disk.find', target, await sharedDiskOf(cloud, server, from, { revision: new_revision, take: false }))
    : await ask('disk.ensure', target, diskOf({ ...server, disk_revision: new_revision }));
  const { portIds: port_ids, sequence } = task.state['ports'] as PortChange;
  const wired =
    port_ids.length === 0 || (await ask('ports.ensure', target, { port_ids, sequence, until: 'wired' as const }));
  if (!disk || !wired) return wait(ASK_AGAIN);
  const facts = diskFacts(disk);
  const there = await domainOf(cloud, server, facts, powerBefore(migration));
  const expected = await ask('migration.expect', target, { migration_id, from, server: there, shared_disk });
  if (!expected) return wait(ASK_AGAIN);
  return next('send', {
    facts: { disk: facts, asked: true },
    message: 'disk and ports are there, and the host expects the server',
    write: (session) => markMigration(session, cloud, migration, 'running'),
  });
};

/** Why a migration that runs must end, if it must. */
async function endOf(context: StepContext, migration: ServerMigration): Promise<Fault | undefined> {
  if (migration.wish === 'abort')
    return { code: 'cancelled', message: 'The migration was aborted; the server stays where it is.' };
  if (await isSilent(context, destOf(migration), ['compute']))
    return { code: 'host_silent', message: 'The host that the server was to go to does not answer.' };
  const { timeout, timeout_action } = context.cloud.config.live_migration;
  if (timeout_action !== 'abort' || !isLate(context)) return undefined;
  return { code: 'too_slow', message: `The server could not be sent within ${timeout} s; it stays where it is.` };
}

const isLate = ({ cloud, task }: Pick<StepContext, 'cloud' | 'task'>): boolean =>
  cloud.clock.now() - task.created_at > cloud.config.live_migration.timeout * 1000;

/** What the host that sends makes of the migration; undefined while it works on it. */
async function askToSend(
  context: StepContext,
  server: Server,
  migration: ServerMigration,
): Promise<'moved' | Fault | undefined> {
  const { cloud, ask } = context;
  const { auto_converge, bandwidth } = cloud.config.live_migration;
  const { uuid: migration_id, source_host, shared_disk } = migration;
  const host = destOf(migration);
  const address = await cloud.db.read((session) => agentListener(session, host, 'compute'));
  const to = { host, address };
  const body = { server_id: server.id, migration_id, to, shared_disk, auto_converge, bandwidth };
  try {
    return (await ask('migration.send', targetOf(server, source_host), body)) && 'moved';
  } catch (error) {
    if (error instanceof HostFault) return error.fault;
    throw error;
  }
}

const send: Step = async (context) => {
  const { cloud, task, ask } = context;
  const [server, migration] = [await serverOf(cloud, task), await migrationOf(cloud, task)];
  const source = targetOf(server, migration.source_host);
  const of = { server_id: server.id, migration_id: migration.uuid };
  const end = await endOf(context, migration);
  if (await isSilent(context, source.host, ['compute']))
    return fail({ code: 'outcome_unknown', message: 'The host that the server is on does not answer.' });
  // It answers for the sending too, which it ends.
  if (end) {
    const ended = await ask('migration.abort', source, of);
    if (!ended) return wait(ASK_AGAIN);
    if (ended['outcome'] === 'moved')
      return next('land', { message: 'the server was there before it could be held back' });
    return ended['outcome'] === 'stayed' ? next('refuse', { facts: { why: end } }) : fail(end);
  }
  const outcome = await askToSend(context, server, migration);
  if (outcome === 'moved') return next('land', { message: 'the server runs on its new host' });
  // The host knows best, unless it does not know whether the other one has started the guest.
  if (outcome) return outcome.code === 'outcome_unknown' ? fail(outcome) : next('refuse', { facts: { why: outcome } });
  const forced =
    migration.wish === 'force' || (cloud.config.live_migration.timeout_action !== 'abort' && isLate(context));
  // Under its own name: a host ends what it does for a server when something else is asked for that server.
  if (forced) await ask('migration.force', { ...source, resource: migration.uuid }, of);
  return wait(ASK_AGAIN);
};

/** Known for sure, so that nobody has to be asked: the server was not sent, and stays. */
const refuse: Step = ({ task }) => Promise.resolve(fail(task.state['why'] as Fault));

export const serverLiveMigrate: TaskKind = {
  kind: 'server.liveMigrate',
  first: 'schedule',
  steps: { schedule: chooseHost, prepare: prepareTarget, send, refuse, ...arrivalSteps },
  onFail: { teardown: 'server.undoLiveMigration' },
  onDelete: 'server.delete',
};
