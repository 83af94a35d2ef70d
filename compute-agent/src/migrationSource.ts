// The side of a migration that has the guest: sends it, and knows afterwards whether it is gone, stays, or that it can't know.
import {
  CumuletError,
  HostError,
  messageOf,
  type CommandContext,
  type MigrationChannel,
  type MigrationOf,
  type MigrationOutcome,
  type MigrationPeer,
  type MigrationSend,
  type Neighbours,
} from '@cumulet/common';
import { ErrorCode, hasCode, XmlFlag, type DomainStateName, type OutgoingMigration } from '@cumulet/libvirt';
import { findDomain, type ServerContext } from './ensureServer';
import { doing, faultOf } from './faults';
import type { Hypervisor } from './hypervisor';
import { migrationOptions } from './migrationOptions';
import { openRelays, socketUris } from './migrationSockets';

const POLL_MS = 250;
const PROGRESS_MS = 1_000;
/** Within so many milliseconds a hypervisor notices that the way of its disks is gone, or ends because it has no more need of it. */
const NOTICED_MS = 3_000;
const FIGURES = ['memory', 'disk'].flatMap((what) =>
  ['total', 'processed', 'remaining'].map((part) => `${what}_${part}`),
);

interface Sending {
  outcome: MigrationOutcome | undefined;
  /** The guest is to be stopped until it is there. */
  forced: boolean;
  /** Stops the guest; set while it is being sent. */
  stopGuest?: () => Promise<void>;
}

export interface MigrationSource {
  /** Carries out `migration.send`. Told again, it answers what came of the first. @throws HostError */
  send(context: ServerContext, body: MigrationSend, command: CommandContext): Promise<void>;
  /** Carries out `migration.abort`, which comes when nothing is being sent any more. */
  abort(context: ServerContext, body: MigrationOf): Promise<MigrationOutcome>;
  /** Carries out `migration.force`. */
  force(body: MigrationOf): Promise<void>;
}

const unknown = (cause: unknown): HostError =>
  new HostError(
    'outcome_unknown',
    'the word of the new host was lost, so it is not known here whether it runs the server',
    {
      retryable: true,
      facts: { error: messageOf(cause) },
      cause,
    },
  );

const stays = (code: string, message: string, cause?: unknown): HostError =>
  new HostError(code, `${message}; it stays where it is`, {
    retryable: false,
    ...(cause === undefined ? {} : { cause }),
  });

/** What the other host refused, in its own words. */
async function orStays<T>(work: Promise<T>): Promise<T> {
  try {
    return await work;
  } catch (error) {
    if (!(error instanceof CumuletError)) throw error;
    throw stays(error.code, `the server could not be sent: ${error.message}`, error);
  }
}

/** Ends the job of a domain, if it has one. */
async function endJob(hypervisor: Hypervisor, serverId: string): Promise<void> {
  try {
    await hypervisor.abortJob(serverId);
  } catch (error) {
    // It ended this moment, or has not begun.
    if (!hasCode(error, ErrorCode.OPERATION_INVALID, ErrorCode.NO_DOMAIN)) throw error;
  }
}

/** Whether a domain has a job. One that is off has none, and libvirt refuses to be asked. */
async function hasJob(hypervisor: Hypervisor, serverId: string): Promise<boolean> {
  try {
    return (await hypervisor.jobStats(serverId)).type !== 'none';
  } catch (error) {
    if (hasCode(error, ErrorCode.OPERATION_INVALID, ErrorCode.NO_DOMAIN)) return false;
    throw error;
  }
}

/** What is known of a job of the hypervisor while it works on it. */
interface Job {
  ended: boolean;
  /** When the way of the disks went, in milliseconds since the epoch: unless the job has just done its work, it can come to nothing. */
  lostAt?: number;
}

/** Tells how far it has come, and ends it when it is to end, until the hypervisor says that it has ended. */
async function follow(
  { hypervisor, clock, log }: ServerContext,
  serverId: string,
  { signal, progress }: CommandContext,
  job: Job,
): Promise<void> {
  let told = clock.now();
  const look = async (): Promise<void> => {
    const lost = job.lostAt !== undefined && clock.now() - job.lostAt >= NOTICED_MS;
    if (signal.aborted || lost) return endJob(hypervisor, serverId);
    if (clock.now() - told < PROGRESS_MS) return;
    told = clock.now();
    const { statistics } = await hypervisor.jobStats(serverId);
    if (job.ended) return;
    await progress(Object.fromEntries(FIGURES.map((name) => [`${name}_bytes`, Number(statistics[name] ?? 0)])));
  };
  while (!job.ended) {
    // What could not be seen or ended once is tried again: nobody else ends it.
    await look().catch((error: unknown) =>
      log.warn({ err: error, server: serverId }, 'a migration could not be looked at or ended; it is tried again'),
    );
    await clock.sleep(POLL_MS);
  }
}

interface Work {
  readonly context: ServerContext;
  readonly body: MigrationSend;
  readonly command: CommandContext;
  readonly sending: Sending;
  readonly peer: MigrationPeer;
}

/** Whether the guest goes on here after it was not sent; when that is not certain, the other host is asked before it does. */
async function goesOn({ context, body }: Work, before: DomainStateName, stopped: boolean): Promise<boolean> {
  const { hypervisor, log } = context;
  try {
    if (stopped) await hypervisor.resumeDomain(body.server_id);
    return (await hypervisor.domainState(body.server_id))?.state === before;
  } catch (error) {
    log.warn({ err: error, server: body.server_id }, 'what a server does that was not sent could not be seen');
    return false;
  }
}

/** Sends memory and disks. When it resolves, the guest is stopped and all of it is there. */
async function perform(
  work: Work,
  outgoing: OutgoingMigration,
  cookie: Buffer,
  before: DomainStateName,
): Promise<Buffer> {
  const { context, body, command, sending, peer } = work;
  const { hypervisor, dir } = context;
  const { server_id: id, migration_id, shared_disk } = body;
  const job: Job = { ended: false };
  const connect = (channel: MigrationChannel) => peer.open(migration_id, channel);
  const close = await openRelays(context, id, connect, (channel) => {
    // A hypervisor that may send only so much sleeps over a lost disk; it notices when the way of the memory is gone.
    if (channel === 'disks') job.lostAt ??= context.clock.now();
  });
  let stopped = false;
  sending.stopGuest = async () => {
    if (before === 'running') await hypervisor.suspendDomain(id);
    stopped = before === 'running';
  };
  const following = follow(context, id, command, job);
  try {
    if (sending.forced) await sending.stopGuest();
    return await outgoing.perform(cookie, socketUris(dir, id, !shared_disk));
  } catch (error) {
    job.ended = true;
    if (!(await goesOn(work, before, stopped))) {
      sending.outcome = 'unknown';
      throw unknown(error);
    }
    if (command.signal.aborted) throw stays('aborted', 'the migration was ended before the server was there', error);
    if (job.lostAt !== undefined) throw stays('way_lost', 'the way to the hypervisor of the new host was lost', error);
    throw faultOf(error, 'sending the server');
  } finally {
    job.ended = true;
    delete sending.stopGuest;
    await following;
    await close();
  }
}

/** Has the guest started there. Only a clear no lets it go on here. */
async function handOver({ body, sending, peer }: Work, outgoing: OutgoingMigration, cookie: Buffer): Promise<void> {
  sending.outcome = 'unknown';
  try {
    await peer.finish(body.migration_id, cookie);
  } catch (error) {
    if (!(error instanceof CumuletError) || error.code === 'unreachable') throw unknown(error);
    await doing('going on with the server', () => outgoing.takeBack(Buffer.alloc(0)));
    sending.outcome = 'stayed';
    throw stays(error.code, `the new host could not start the server: ${error.message}`, error);
  }
  sending.outcome = 'moved';
}

async function sendTo(work: Work): Promise<void> {
  const { context, body, peer } = work;
  const { hypervisor } = context;
  const { server_id: id, migration_id } = body;
  const state = (await findDomain(context, id)) ? (await hypervisor.domainState(id))?.state : undefined;
  if (state !== 'running' && state !== 'paused')
    throw stays('not_running', 'the server does not run, so it was not sent');
  const live = await hypervisor.domainXml(id, XmlFlag.SECURE | XmlFlag.MIGRATABLE);
  const there = await orStays(peer.examine(migration_id, live));
  const { shared_disk: sharedDisk, auto_converge: autoConverge, bandwidth } = body;
  const options = migrationOptions({ sharedDisk, autoConverge, bandwidth });
  const outgoing = await doing('sending the server', () => hypervisor.sendDomain(id, options, there));
  try {
    const { xml, cookie } = outgoing;
    const answer = await orStays(peer.prepare(migration_id, { xml, cookie }));
    await handOver(work, outgoing, await perform(work, outgoing, answer, state));
  } finally {
    await outgoing.close();
  }
}

export function createMigrationSource(neighbours: Neighbours | undefined): MigrationSource {
  const known = new Map<string, Sending>();

  /** What an agent before this one may have begun is judged by what the guest does. */
  const look = async (context: ServerContext, serverId: string): Promise<MigrationOutcome> => {
    const { hypervisor, clock } = context;
    if (!(await findDomain(context, serverId))) return 'unknown';
    while (await hasJob(hypervisor, serverId)) {
      await endJob(hypervisor, serverId);
      await clock.sleep(POLL_MS);
    }
    const state = await hypervisor.domainState(serverId);
    return state?.state === 'running' ? 'stayed' : 'unknown';
  };

  return {
    async send(context, body, command) {
      const { migration_id: id, to } = body;
      const before = known.get(id);
      if (before?.outcome === 'moved') return;
      if (before?.outcome === 'stayed') throw stays('already_over', 'the migration has failed before');
      if (before?.outcome === 'unknown') throw unknown(new Error('it was lost before'));
      if (!neighbours || to.address === null)
        throw stays('no_way', 'the server could not be sent: its host has no way to other hosts');
      const sending: Sending = before ?? { outcome: undefined, forced: false };
      known.set(id, sending);
      const peer = neighbours(to.host, to.address);
      try {
        await sendTo({ context, body, command, sending, peer });
      } catch (error) {
        sending.outcome ??= 'stayed';
        throw error;
      } finally {
        peer.close();
      }
    },
    async abort(context, { server_id, migration_id }) {
      const outcome = known.get(migration_id)?.outcome ?? (await look(context, server_id));
      // Whatever comes late for this migration finds it over.
      known.set(migration_id, { outcome, forced: false });
      return outcome;
    },
    async force({ migration_id }) {
      const sending = known.get(migration_id) ?? { outcome: undefined, forced: false };
      known.set(migration_id, sending);
      sending.forced = true;
      await sending.stopGuest?.();
    },
  };
}
