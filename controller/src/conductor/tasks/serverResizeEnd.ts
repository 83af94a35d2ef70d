// The end of a resize: confirmed, reverted, or undone when it failed. Afterwards the server has one host, one disk and one claim again.
import type { Cloud } from '../../cloud';
import type { WriteSession } from '../../db';
import {
  PowerState,
  type Server,
  type ServerFlavor,
  type ServerMigration,
  type TaskState,
} from '../../db/entities/compute';
import type { Task } from '../../db/entities/tasks';
import { closeMigration, closeUnmoved, markMigration } from '../../services/compute/migrations';
import { giveBackQuota } from '../../services/compute/quotas';
import { bindServerPorts, type PortChange } from '../../services/network/serverPorts';
import { done, fail, next, wait, type Fault, type Step, type StepContext, type TaskKind } from '../task';
import { ASK_AGAIN, askDomain, prepare } from './serverCreate';
import { isSilent } from './serverElsewhere';
import { destOf, faultRow, hostOf, migrationOf, serverOf, setServer, targetOf } from './serverState';
import { givesUp, leaveResidue } from './serverTeardown';

/** What one flavor has more than the other goes back to the quota. */
const giveBackDifference = (session: WriteSession, server: Server, held: ServerFlavor, kept: ServerFlavor) =>
  giveBackQuota(session, server.project_id, {
    instances: 0,
    cores: Math.max(0, held.vcpus - kept.vcpus),
    ram: Math.max(0, held.ram - kept.ram),
  });

/**
 * The disk of the side that is not taken: where the server stays only that revision, elsewhere everything. What both hosts have is the
 * business of the one where the server stays.
 */
async function dropSide(
  { cloud, task, ask }: StepContext,
  then: string,
  side: { readonly host: string; readonly revision: number },
) {
  const [server, { shared_disk }] = [await serverOf(cloud, task), await migrationOf(cloud, task)];
  const { revision } = side;
  if (revision === server.disk_revision) return next(then, { message: 'the server has the disk that it had' });
  const host = shared_disk ? hostOf(server) : side.host;
  const here = host === server.host;
  if (await givesUp(cloud, task, host, 'storage'))
    return next(then, {
      message: 'the host can not be reached; the disk goes when it comes back',
      // Where the server stays, its next start removes what other revisions left.
      write: here ? () => Promise.resolve() : (session) => leaveResidue(session, cloud, server, host, 'storage'),
    });
  const body = { server_id: server.id, ...(here ? { revision } : {}) };
  const gone = await ask('disk.remove', targetOf(server, host), body);
  return gone ? next(then, { message: 'the disk that is not needed any more is gone' }) : wait(ASK_AGAIN);
}

const drop: Step = async (context) => {
  const { source_host: host, old_revision: revision } = await migrationOf(context.cloud, context.task);
  return dropSide(context, 'end', { host, revision });
};

const confirmed: Step = async ({ cloud, task }) => {
  const [server, migration] = [await serverOf(cloud, task), await migrationOf(cloud, task)];
  return done({
    message: 'the resize is confirmed',
    write: async (session) => {
      await closeMigration(session, cloud, migration, 'confirmed');
      await giveBackDifference(session, server, migration.old_flavor, migration.new_flavor);
      const off = server.power_state === PowerState.shutdown || server.power_state === PowerState.crashed;
      await setServer(session, cloud, server.id, { vm_state: off ? 'stopped' : 'active', task_state: null });
    },
  });
};

const confirmKind: TaskKind = {
  kind: 'server.confirmResize',
  first: 'drop',
  steps: { drop, end: confirmed },
  onFail: 'never',
  onDelete: 'server.delete',
};

/** Whether the server is the new one by now. */
const isMoved = (server: Server, { old_revision, new_revision, dest_host }: ServerMigration): boolean =>
  server.disk_revision === new_revision && (old_revision !== new_revision || server.host === dest_host);

/** Whether nothing was asked that changes the server or its disks: it may well run. */
const isUntouched = (server: Server, migration: ServerMigration, task: Task): boolean =>
  server.vm_state === migration.vm_state && task.state['disk'] === undefined;

/** Whether a host that can't be asked may run the server. */
const mayRun = (server: Server, task: Task): boolean =>
  server.vm_state === 'resized' || server.vm_state === 'error' || task.state['started'] === true;

/** The new domain goes first: two copies of a server never run. */
const clear: Step = async ({ cloud, task, ask }) => {
  const [server, migration] = [await serverOf(cloud, task), await migrationOf(cloud, task)];
  const { dest_host: host } = migration;
  if (host === null || isUntouched(server, migration, task))
    return next('settle', { facts: { untouched: true }, message: 'the server was not touched' });
  if (!isMoved(server, migration)) return next('return', { message: 'the server was not moved yet' });
  if (await givesUp(cloud, task, host, 'compute')) {
    const residue = next('return', {
      message: 'the new host can not be reached; it removes the domain when it comes back',
      write: (session) => leaveResidue(session, cloud, server, host, 'compute'),
    });
    return mayRun(server, task) ? next('strand', { message: 'the new host may run the server' }) : residue;
  }
  const gone = await ask('server.remove', targetOf(server, host), { server_id: server.id });
  return gone ? next('return', { message: 'the new domain is gone' }) : wait(ASK_AGAIN);
};

/** The row is the old one's again. A new generation: nothing that was asked before may come late. */
const goBack =
  (taskState: TaskState): Step =>
  async ({ cloud, task }) => {
    const [server, migration] = [await serverOf(cloud, task), await migrationOf(cloud, task)];
    return next('prepare', {
      message: 'the server is the old one again',
      write: async (session) => {
        await setServer(session, cloud, server.id, {
          host: migration.source_host,
          flavor: migration.old_flavor,
          disk_revision: migration.old_revision,
          generation: server.generation + 1,
          task_state: taskState,
        });
        return { ports: await bindServerPorts(session, cloud, server.id, migration.source_host) };
      },
    });
  };

const restart: Step = async (context) => {
  const { cloud, task } = context;
  const [server, migration] = [await serverOf(cloud, task), await migrationOf(cloud, task)];
  const power = migration.vm_state === 'stopped' ? 'shutdown' : 'running';
  if (!(await askDomain(context, server, power))) return wait(ASK_AGAIN);
  return next('vacate', { message: 'the server is what it was' });
};

/** What is left on the side that the server does not take. */
const vacate: Step = async (context) => {
  const { cloud, task, ask } = context;
  const [server, migration] = [await serverOf(cloud, task), await migrationOf(cloud, task)];
  const host = destOf(migration);
  const dropped = await dropSide(context, 'settle', { host, revision: migration.new_revision });
  const { portIds, sequence } = task.state['ports'] as PortChange;
  const idle = host === server.host || portIds.length === 0 || (await givesUp(cloud, task, host, 'network'));
  const unwired = idle || (await ask('ports.remove', targetOf(server, host), { port_ids: portIds, sequence }));
  return unwired ? dropped : wait(ASK_AGAIN);
};

/** Claims and quota are those of the old flavor again. */
async function settleOld(
  session: WriteSession,
  cloud: Cloud,
  server: Server,
  migration: ServerMigration,
  status: 'reverted' | 'error',
): Promise<void> {
  await closeUnmoved(session, cloud, migration, status);
  await giveBackDifference(session, server, migration.new_flavor, migration.old_flavor);
}

const asBefore = ({ vm_state }: ServerMigration): Partial<Server> => ({
  vm_state,
  power_state: vm_state === 'stopped' ? PowerState.shutdown : PowerState.running,
  fault: null,
});

const settle =
  (status: 'reverted' | 'error'): Step =>
  async ({ cloud, task }) => {
    const [server, migration] = [await serverOf(cloud, task), await migrationOf(cloud, task)];
    const lost = task.state['lost'] as Fault | undefined;
    return done({
      message: lost ? lost.message : 'the server is what it was before the resize',
      write: async (session) => {
        await settleOld(session, cloud, server, migration, status);
        const found = task.state['untouched'] === true ? {} : asBefore(migration);
        const state = lost ? { vm_state: 'error' as const, fault: faultRow(cloud, lost) } : found;
        await setServer(session, cloud, server.id, { ...state, task_state: null });
      },
    });
  };

/** On the way back a host that does not do its part is given up: the server is there, and a hard reboot starts it later. */
const orLost =
  (step: Step): Step =>
  async (context) => {
    const { cloud, task } = context;
    const { source_host } = await migrationOf(cloud, task);
    if (!(await givesUp(cloud, task, source_host, 'compute')) && !(await isSilent(context, source_host)))
      return step(context);
    const fault = task.state['fault'] as Fault | undefined;
    const why = 'The host that the server came from does not start it again; a hard reboot tries anew.';
    const lost: Fault = { code: 'not_restarted', message: [fault?.message, why].join(' ').trim() };
    return next('vacate', { facts: { lost }, message: why });
  };

/**
 * The new host may run the server and can't be asked, so nothing is started elsewhere: what was to be reverted stays resized, and what
 * failed half way is in ERROR, from where a revert tries again.
 */
const strand: Step = async ({ cloud, task }) => {
  const [server, migration] = [await serverOf(cloud, task), await migrationOf(cloud, task)];
  const resized = server.vm_state === 'resized';
  const fault = task.state['fault'] as Fault | undefined;
  const why = "The new host can't be asked to take the server back; revert again when it answers.";
  const message = [fault?.message, why].join(' ').trim();
  return done({
    message: why,
    write: async (session) => {
      await markMigration(session, cloud, migration, resized ? 'finished' : 'error');
      await setServer(session, cloud, server.id, {
        task_state: null,
        ...(resized ? {} : { vm_state: 'error', fault: faultRow(cloud, { code: 'host_unreachable', message }) }),
      });
    },
  });
};

/** A user's revert. What keeps it from its end is the undoing's work, which ends in any case. */
const revertKind: TaskKind = {
  kind: 'server.revertResize',
  first: 'clear',
  steps: {
    clear,
    strand: () => Promise.resolve(fail({ code: 'host_unreachable', message: 'The new host does not answer.' })),
    return: goBack('resize_reverting'),
    prepare: prepare('spawn', 'resize_reverting'),
    spawn: restart,
    vacate,
    settle: settle('reverted'),
  },
  onFail: { teardown: 'server.undoResize' },
  onDelete: 'server.delete',
};

/** After a failure: back to what the server was. */
const undoKind: TaskKind = {
  kind: 'server.undoResize',
  first: 'clear',
  steps: {
    clear,
    strand,
    return: goBack('resize_finish'),
    prepare: orLost(prepare('spawn', 'resize_finish')),
    spawn: orLost(restart),
    vacate,
    settle: settle('error'),
  },
  onFail: 'never',
  onDelete: 'server.delete',
};

export const serverResizeEndKinds: readonly TaskKind[] = [confirmKind, revertKind, undoKind];
