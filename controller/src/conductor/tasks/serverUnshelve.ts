// server.unshelve: started where it is, or built from its image on a host that has room; the image goes when it runs.
import type { ServerEnsure } from '@cumulet/common';
import { PowerState, shelvedServers } from '../../db/entities/compute';
import { releaseClaims } from '../../db/repositories/claims';
import type { Task } from '../../db/entities/tasks';
import { bindServerPorts } from '../../services/network/serverPorts';
import { removeShelvedImage } from '../../services/compute/shelvedImage';
import { done, next, wait, type Fault, type Step, type TaskKind } from '../task';
import { ASK_AGAIN, askDomain, chooseHost, prepare } from './serverCreate';
import { leavingSteps, orElsewhere, unbind } from './serverElsewhere';
import { domainOf, faultRow, hostOf, serverOf, setServer, targetOf } from './serverState';
import { givesUp, removeRemains, stopDomain } from './serverTeardown';

/** Whether its disk was on its host all the time, and may be nowhere else. */
const hasStayed = (task: Task): boolean => task.params['was'] === 'shelved';

const schedule: Step = async (context) => {
  const { cloud, task } = context;
  if (!hasStayed(task)) return chooseHost(context);
  const server = await serverOf(cloud, task);
  return next('prepare', {
    message: 'the server is still on its host',
    write: async (session) => ({ ports: await bindServerPorts(session, cloud, server.id, hostOf(server)) }),
  });
};

const unlessStayed = (step: Step, options: Parameters<typeof orElsewhere>[1] = {}): Step => {
  const elsewhere = orElsewhere(step, options);
  return (context) => (hasStayed(context.task) ? step(context) : elsewhere(context));
};

const spawn: Step = async (context) => {
  const server = await serverOf(context.cloud, context.task);
  if (!(await askDomain(context, server, 'running'))) return wait(ASK_AGAIN);
  return next('discard', { message: 'the server runs' });
};

/** The image is needed no more: the server's disk has it all. */
const discard: Step = async ({ cloud, task }) => {
  const { id } = await serverOf(cloud, task);
  await removeShelvedImage(cloud, id);
  return done({
    message: 'its image is deleted',
    write: async (session) => {
      await session.delete(shelvedServers, { server_id: id });
      await setServer(session, cloud, id, {
        vm_state: 'active',
        task_state: null,
        power_state: PowerState.running,
        launched_at: cloud.clock.now(),
        fault: null,
      });
    },
  });
};

export const serverUnshelve: TaskKind = {
  kind: 'server.unshelve',
  first: 'schedule',
  steps: {
    schedule,
    prepare: unlessStayed(prepare('spawn', 'spawning'), { silence: true }),
    spawn: unlessStayed(spawn),
    discard,
    ...leavingSteps,
  },
  onFail: { teardown: 'server.undoUnshelve' },
  onDelete: 'server.delete',
};

const begin: Step = async ({ cloud, task }) => {
  const { host } = await serverOf(cloud, task);
  if (host === null) return next('end', { message: 'no host was involved' });
  return next(hasStayed(task) ? 'stop' : 'domain');
};

/** One that stayed is shut down again where it is. */
const stop: Step = async ({ cloud, task, ask }) => {
  const server = await serverOf(cloud, task);
  const disk = task.state['disk'] as ServerEnsure['disk'] | undefined;
  if (disk === undefined || (await givesUp(cloud, task, hostOf(server), 'compute'))) return next('end');
  const off = await ask('server.ensure', targetOf(server), await domainOf(cloud, server, disk, 'shutdown'));
  return off ? next('end', { message: 'the guest is off' }) : wait(ASK_AGAIN);
};

/** A host that can't be asked may run the server: then it stays this host's, and is never started on another one too. */
const mayRun = ({ state }: Task): boolean => state['disk'] !== undefined && state['disk'] !== null;

const strand: Step = async ({ cloud, task }) => {
  const { id } = await serverOf(cloud, task);
  const fault = task.state['fault'] as Fault | undefined;
  const why = "The host can't be asked to give the server back; a hard reboot starts it when the host answers.";
  const message = [fault?.message, why].join(' ').trim();
  return done({
    message: why,
    write: (session) =>
      setServer(session, cloud, id, {
        task_state: null,
        vm_state: 'error',
        fault: faultRow(cloud, { code: 'host_unreachable', message }),
      }),
  });
};

const end: Step = async ({ cloud, task }) => {
  const { id } = await serverOf(cloud, task);
  const stayed = hasStayed(task);
  return done({
    message: 'the server is shelved as before',
    write: async (session) => {
      if (!stayed) await releaseClaims(session, id);
      await setServer(session, cloud, id, {
        ...(stayed ? {} : { host: null }),
        task_state: null,
        power_state: PowerState.shutdown,
      });
    },
  });
};

/** After a failure: shelved again, with its image. */
export const serverUndoUnshelve: TaskKind = {
  kind: 'server.undoUnshelve',
  first: 'begin',
  steps: {
    begin,
    stop,
    domain: stopDomain('unbind', (task) => (mayRun(task) ? next('strand') : undefined)),
    unbind,
    vacate: removeRemains('end'),
    strand,
    end,
  },
  onFail: 'never',
  onDelete: 'server.delete',
};
