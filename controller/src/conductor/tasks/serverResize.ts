// server.resize and server.migrate: the server goes to a copy of its disk, with another flavor or on another host, and what it left stays.
import type { ServerEnsure } from '@cumulet/common';
import type { Cloud } from '../../cloud';
import type { WriteSession } from '../../db';
import { PowerState, serverMigrations, type Server, type ServerMigration } from '../../db/entities/compute';
import type { Task } from '../../db/entities/tasks';
import { renameClaims } from '../../db/repositories/claims';
import { explain, explainByHost, schedule, silentHost, type Decision } from '../../scheduler/scheduler';
import { markMigration } from '../../services/compute/migrations';
import { placementRequest } from '../../services/compute/placementRequest';
import { sharesDisks } from '../../services/compute/sharedDisks';
import { hostViews } from '../../services/hosts';
import { bindServerPorts, type PortChange } from '../../services/network/serverPorts';
import { done, fail, next, wait, type Step, type TaskKind } from '../task';
import { ASK_AGAIN, askDomain, claimFirst, prepare, SILENCE_MS } from './serverCreate';
import { isSilent } from './serverElsewhere';
import { destOf, diskOf, domainOf, migrationOf, serverOf, setServer, sharedDiskOf, targetOf } from './serverState';
import { givesUp, leaveResidue } from './serverTeardown';

/** The server as it is to be, where it is to be placed. */
const wanted = (server: Server, migration: ServerMigration, host: string | null): Server => ({
  ...server,
  flavor: migration.new_flavor,
  requested_host: host,
});

/** Where the server can go. A resize stays where it is if it can: no disk has to travel then. */
async function decide(cloud: Cloud, task: Task, server: Server, migration: ServerMigration): Promise<Decision> {
  const { source_host: source, type } = migration;
  const host = (task.params['host'] ?? null) as string | null;
  const decision = await cloud.db.read(async (session) =>
    schedule(
      await hostViews(session, cloud.clock.now()),
      await placementRequest(session, wanted(server, migration, host), [], type === 'migration' ? source : null),
    ),
  );
  const stays = decision.candidates.includes(source) ? [source] : [];
  return { ...decision, candidates: [...stays, ...decision.candidates.filter((name) => name !== source)] };
}

/** Room for both: what the server has is claimed in the migration's name from now on, what it shall have in its own. */
async function claimSecond(
  session: WriteSession,
  cloud: Cloud,
  server: Server,
  migration: ServerMigration,
  candidates: readonly string[],
): Promise<void> {
  await renameClaims(session, server.id, migration.uuid);
  const dest_host = await claimFirst(session, cloud, wanted(server, migration, null), candidates);
  const { uuid, source_host, type, old_revision, new_revision } = migration;
  const shared_disk = await sharesDisks(session, source_host, dest_host);
  // A server that stays as large as it is goes on with the disk that both hosts have.
  const revision = shared_disk && type === 'migration' ? old_revision : new_revision;
  await session.update(serverMigrations, { uuid }, { dest_host, shared_disk, new_revision: revision });
  await markMigration(session, cloud, migration, 'migrating');
  await setServer(session, cloud, server.id, { task_state: 'resize_migrating' });
}

const chooseHost: Step = async ({ cloud, task }) => {
  const [server, migration] = [await serverOf(cloud, task), await migrationOf(cloud, task)];
  const decision = await decide(cloud, task, server, migration);
  if (decision.candidates.length > 0)
    return next('bind', {
      message: 'a host was chosen and its room claimed',
      write: (session) => claimSecond(session, cloud, server, migration, decision.candidates),
    });
  if (silentHost(decision) && cloud.clock.now() - task.created_at < SILENCE_MS) throw new Error(explain(decision));
  return fail({ code: 'no_valid_host', message: explain(decision), details: explainByHost(decision) });
};

/** Fails when a host has been silent for some rounds: nobody waits hours for one that is dead. */
const unlessSilent =
  (step: Step): Step =>
  async (context) => {
    const result = await step(context);
    if (result.type !== 'wait') return result;
    const migration = await migrationOf(context.cloud, context.task);
    for (const host of [migration.source_host, destOf(migration)])
      if (await isSilent(context, host, ['compute', 'storage', 'network']))
        return fail({ code: 'host_silent', message: 'A host that is needed for this does not answer.' });
    return result;
  };

const bind: Step = async ({ cloud, task }) => {
  const { source_host } = await migrationOf(cloud, task);
  return next('ready', {
    message: 'what the server has is looked at once more',
    write: async (session) => ({ ports: await bindServerPorts(session, cloud, task.resource_id, source_host) }),
  });
};

/** The guest is asked to shut down, as by a stop: what it has in memory is not copied. */
export const shutDown =
  (then: string): Step =>
  async ({ cloud, task, ask }) => {
    const server = await serverOf(cloud, task);
    const disk = task.state['disk'] as ServerEnsure['disk'];
    const domain = await domainOf(cloud, server, disk, 'shutdown');
    const off = await ask('server.ensure', targetOf(server), domain);
    return off ? next(then, { message: 'the guest is off' }) : wait(ASK_AGAIN);
  };

const copy: Step = async ({ cloud, task, ask }) => {
  const [server, migration] = [await serverOf(cloud, task), await migrationOf(cloud, task)];
  const { source_host, old_revision, new_revision, shared_disk } = migration;
  const host = destOf(migration);
  if (shared_disk) {
    const old = await sharedDiskOf(cloud, server, source_host, { revision: old_revision, take: false });
    if (!(await ask('disk.find', targetOf(server, host), old))) return wait(ASK_AGAIN);
    if (old_revision === new_revision) return next('move', { message: 'the new host has the disk' });
  }
  const { server_id, image } = diskOf(server);
  const from = { revision: old_revision, elsewhere: host !== source_host && !shared_disk };
  const body = { server_id, image, revision: new_revision, from };
  const copied = await ask('disk.adopt', targetOf(server, host), body);
  return copied ? next('move', { message: 'the disk is copied' }) : wait(ASK_AGAIN);
};

/** From here on the server is the new one; the old one's disk and room stay until somebody says which it shall be. */
const move: Step = async ({ cloud, task }) => {
  const [server, migration] = [await serverOf(cloud, task), await migrationOf(cloud, task)];
  const host = destOf(migration);
  return next('prepare', {
    message: 'the server is the new one now; the old one is kept',
    write: async (session) => {
      await setServer(session, cloud, server.id, {
        host,
        flavor: migration.new_flavor,
        disk_revision: migration.new_revision,
        generation: server.generation + 1,
        task_state: 'resize_migrated',
      });
      await markMigration(session, cloud, migration, 'post-migrating');
      return { ports: await bindServerPorts(session, cloud, server.id, host) };
    },
  });
};

/** The domain, which is off, and the taps of the host that is left. One that can't be reached removes them when it comes back. */
const depart: Step = async ({ cloud, task, ask }) => {
  const [server, migration] = [await serverOf(cloud, task), await migrationOf(cloud, task)];
  const { source_host: source } = migration;
  // From now on the new host may run it.
  const facts = { started: true };
  if (source === destOf(migration)) return next('spawn', { facts });
  if (await givesUp(cloud, task, source, 'compute'))
    return next('spawn', {
      facts,
      message: 'the host that is left can not be reached; it removes the domain when it comes back',
      write: (session) => leaveResidue(session, cloud, server, source, 'compute'),
    });
  const target = targetOf(server, source);
  const { portIds, sequence } = task.state['ports'] as PortChange;
  const gone = await ask('server.remove', target, { server_id: server.id });
  const unwired =
    portIds.length === 0 ||
    (await givesUp(cloud, task, source, 'network')) ||
    (await ask('ports.remove', target, { port_ids: portIds, sequence }));
  return gone && unwired
    ? next('spawn', { facts, message: 'the old host has no part in it any more' })
    : wait(ASK_AGAIN);
};

const spawn: Step = async (context) => {
  const { cloud, task } = context;
  const [server, migration] = [await serverOf(cloud, task), await migrationOf(cloud, task)];
  const off = migration.vm_state === 'stopped';
  if (!(await askDomain(context, server, off ? 'shutdown' : 'running'))) return wait(ASK_AGAIN);
  return done({
    message: 'the server waits for its resize to be confirmed or reverted',
    write: async (session) => {
      await markMigration(session, cloud, migration, 'finished');
      await setServer(session, cloud, server.id, {
        vm_state: 'resized',
        task_state: null,
        power_state: off ? PowerState.shutdown : PowerState.running,
        launched_at: cloud.clock.now(),
        fault: null,
      });
    },
  });
};

const kind = (name: string): TaskKind => ({
  kind: name,
  first: 'schedule',
  steps: {
    schedule: chooseHost,
    bind,
    ready: unlessSilent(prepare('stop', 'resize_migrating')),
    stop: unlessSilent(shutDown('copy')),
    copy: unlessSilent(copy),
    move,
    prepare: unlessSilent(prepare('depart', 'resize_finish')),
    depart,
    spawn: unlessSilent(spawn),
  },
  onFail: { teardown: 'server.undoResize' },
  onDelete: 'server.delete',
});

export const serverResizeKinds: readonly TaskKind[] = [kind('server.resize'), kind('server.migrate')];
