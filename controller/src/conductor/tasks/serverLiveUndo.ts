// server.undoLiveMigration: what failed on the way. Where the server runs is asked until it is known: never on two hosts, never on none.
import type { Server, ServerMigration } from '../../db/entities/compute';
import type { Task } from '../../db/entities/tasks';
import { closeUnmoved, forgetWish } from '../../services/compute/migrations';
import { leaveServerPorts } from '../../services/network/portMoves';
import { releaseHeld, TURNED_OFF, turnOff } from '../fencing';
import {
  done,
  next,
  wait,
  type Facts,
  type Fault,
  type Step,
  type StepContext,
  type StepResult,
  type TaskKind,
} from '../task';
import { arrivalSteps, isHere, powerBefore } from './serverArrival';
import { ASK_AGAIN } from './serverCreate';
import {
  destOf,
  diskFacts,
  disksOf,
  domainOf,
  faultRow,
  migrationOf,
  serverOf,
  setServer,
  targetOf,
} from './serverState';
import { emptyHost, givesUp } from './serverTeardown';

/** What either host says; one that can't be asked says nothing. `waiting`: one that can has not answered yet. */
async function hear(
  { cloud, task, ask }: StepContext,
  server: Server,
  migration: ServerMigration,
): Promise<{ readonly heard: readonly Facts[]; readonly waiting: boolean }> {
  const of = { server_id: server.id, migration_id: migration.uuid };
  const questions = [
    [migration.source_host, 'migration.abort'],
    [destOf(migration), 'migration.conclude'],
  ] as const;
  const heard: Facts[] = [];
  let waiting = false;
  for (const [host, kind] of questions) {
    if (await givesUp(cloud, task, host, 'compute', Infinity)) continue;
    const answer = await ask(kind, targetOf(server, host), of);
    if (answer) heard.push(answer);
    else waiting = true;
  }
  return { heard, waiting };
}

/**
 * The host that sent it says whether it kept it, the other one whether it got it. Either is enough: who kept it never lets the other
 * start it, and who says that it did not get it never will. Undefined: neither knows.
 */
function follows(heard: readonly Facts[]): StepResult | undefined {
  const by = new Map(heard.map((answer) => [answer['outcome'], answer]));
  if (by.has('moved')) return next('land', { message: 'the server runs on its new host' });
  if (by.has('stayed')) return next('unbind', { message: 'the server runs where it was' });
  const refused = by.get('refused');
  if (!refused) return undefined;
  return next('resume', {
    facts: { mayHaveRun: refused['may_have_run'] === true },
    message: 'the new host does not have it and takes it no more',
  });
}

const decide: Step = async (context) => {
  const { cloud, task } = context;
  const [server, migration] = [await serverOf(cloud, task), await migrationOf(cloud, task)];
  if (migration.dest_host === null) return next('restore');
  if (isHere(server, migration)) return next('settle', { message: 'the server is on its new host' });
  if (task.state['asked'] !== true || task.state['why'] !== undefined)
    return next('unbind', { message: 'the server was never away' });
  const { heard, waiting } = await hear(context, server, migration);
  const known = follows(heard);
  if (known) return known;
  if (waiting) return wait(ASK_AGAIN);
  return next('unknown', {
    message:
      'whether the server runs on its new host is not known while that host is not heard: the server waits; an administrator who ' +
      'aborts the migration has that host turned off, and the server goes on where it was',
    write: (session) => forgetWish(session, migration),
  });
};

/** Nobody knows, until the new host is heard, or is known to be off. That costs all that runs there, so it must be asked for. */
const unknown: Step = async (context) => {
  const { cloud, task } = context;
  const [server, migration] = [await serverOf(cloud, task), await migrationOf(cloud, task)];
  const known = follows((await hear(context, server, migration)).heard);
  if (known) return known;
  if (migration.wish !== 'abort') return wait(ASK_AGAIN);
  const host = destOf(migration);
  const why = await turnOff(context, host);
  if (why === undefined)
    return next('resume', {
      facts: { fenced: true, mayHaveRun: true },
      message: TURNED_OFF,
      write: (session) => releaseHeld(session, host),
    });
  return next('unknown', {
    message: `the server still waits: ${why}`,
    write: (session) => forgetWish(session, migration),
  });
};

/**
 * Whether the guest must not go on from what it remembers: the new host may have run it before it was off, and what it wrote then is on
 * the disk that both have.
 */
const isStale = ({ state }: Task, migration: ServerMigration): boolean =>
  state['mayHaveRun'] === true && migration.shared_disk && powerBefore(migration) === 'running';

/** It was stopped to be started elsewhere, and goes on where it is. */
const resume: Step = async ({ cloud, task, ask }) => {
  const [server, migration] = [await serverOf(cloud, task), await migrationOf(cloud, task)];
  if (await givesUp(cloud, task, migration.source_host, 'compute')) {
    const why = 'The host that it is on does not go on with it; a hard reboot tries anew.';
    return next('unbind', { facts: { lost: { code: 'not_resumed', message: why } }, message: why });
  }
  const disk = await ask('disk.ensure', targetOf(server), await disksOf(cloud, server));
  if (!disk) return wait(ASK_AGAIN);
  const forgets = isStale(task, migration);
  if (forgets && !(await ask('server.remove', targetOf(server), { server_id: server.id }))) return wait(ASK_AGAIN);
  const domain = await domainOf(cloud, server, diskFacts(disk), powerBefore(migration));
  const on = await ask('server.ensure', targetOf(server), domain);
  if (!on) return wait(ASK_AGAIN);
  return next('unbind', {
    message: forgets ? 'the server begins anew where it was' : 'the server goes on where it was',
  });
};

const unbind: Step = async ({ cloud, task }) => {
  const server = await serverOf(cloud, task);
  return next('vacate', {
    message: 'its ports are on one host again',
    write: async (session) => ({ ports: await leaveServerPorts(session, cloud, server.id) }),
  });
};

/** What was made for the server on the host that it does not go to. */
const vacate: Step = async (context) => {
  const { cloud, task } = context;
  const [server, migration] = [await serverOf(cloud, task), await migrationOf(cloud, task)];
  const emptied = await emptyHost(context, server, destOf(migration), { keepDisk: migration.shared_disk });
  if (!emptied) return wait(ASK_AGAIN);
  return next('restore', {
    message: emptied.left
      ? 'the other host can not be reached; it removes what it has when it comes back'
      : 'nothing of it is left on the other host',
    write: async (session) => {
      await emptied.write(session);
      if (task.state['fenced'] === true) await releaseHeld(session, destOf(migration));
    },
  });
};

const restore: Step = async ({ cloud, task }) => {
  const [server, migration] = [await serverOf(cloud, task), await migrationOf(cloud, task)];
  const fault = task.state['fault'] as Fault;
  const lost = task.state['lost'] as Fault | undefined;
  return done({
    message: 'the server is where it was',
    write: async (session) => {
      await closeUnmoved(session, cloud, migration, fault.code === 'cancelled' ? 'cancelled' : 'error');
      const message = [fault.message, lost?.message].join(' ');
      const state = lost ? { vm_state: 'error' as const, fault: faultRow(cloud, { ...lost, message }) } : {};
      await setServer(session, cloud, server.id, { ...state, task_state: null });
    },
  });
};

export const serverUndoLiveMigration: TaskKind = {
  kind: 'server.undoLiveMigration',
  first: 'decide',
  steps: { decide, unknown, resume, unbind, vacate, restore, ...arrivalSteps },
  onFail: 'never',
  onDelete: 'server.delete',
};
