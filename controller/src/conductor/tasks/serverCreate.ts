// server.create: choose and claim a host, make disk and ports there, start the domain.
import type { ServerEnsure } from '@cumulet/common';
import { hostViews } from '../../services/hosts';
import { bindServerPorts, type PortChange } from '../../services/network/serverPorts';
import { claimHost } from '../../db/repositories/claims';
import { PowerState, type TaskState } from '../../db/entities/compute';
import { explain, explainByHost, schedule, silentHost } from '../../scheduler/scheduler';
import { done, fail, next, wait, type Step, type TaskKind } from '../task';
import { diskFacts, diskOf, domainOf, needOf, serverOf, setServer, targetOf } from './serverState';

/** Seconds without an answer after which a host is asked again. */
export const ASK_AGAIN = 30;

/** How long a new server waits for a host that only has to be heard again, as after a restart. */
const SILENCE_MS = 60_000;

const chooseHost: Step = async ({ cloud, task }) => {
  const server = await serverOf(cloud, task);
  const need = needOf(server);
  const hosts = await cloud.db.read((session) => hostViews(session, cloud.clock.now()));
  const decision = schedule(hosts, {
    need,
    zone: server.availability_zone,
    host: server.requested_host,
    excludedHosts: [],
  });
  const [host] = decision.candidates;
  if (host === undefined && silentHost(decision) && cloud.clock.now() - task.created_at < SILENCE_MS)
    throw new Error(explain(decision));
  if (host === undefined)
    return fail({ code: 'no_valid_host', message: explain(decision), details: explainByHost(decision) });
  return next('prepare', {
    message: 'a host was chosen and its room claimed',
    write: async (session) => {
      const claimed = await claimHost(session, host, server.id, need, cloud.clock.now());
      if (!claimed) throw new Error('the room was taken by another server meanwhile');
      await setServer(session, cloud, server.id, { host, generation: server.generation + 1, task_state: 'networking' });
      return { ports: await bindServerPorts(session, cloud, server.id, host) };
    },
  });
};

/** Disk and ports, asked for together: neither needs the other. */
export const prepare =
  (then: string, taskState: TaskState | null): Step =>
  async ({ cloud, task, ask }) => {
    const server = await serverOf(cloud, task);
    const host = server.host ?? '';
    const { portIds, sequence } = task.state['ports'] as PortChange;
    const disk = await ask('disk.ensure', targetOf(server, host), diskOf(server));
    const wired =
      portIds.length === 0 ? {} : await ask('ports.ensure', targetOf(server, host), { port_ids: portIds, sequence });
    if (!disk || !wired) return wait(ASK_AGAIN);
    return next(then, {
      facts: { disk: diskFacts(disk) },
      message: 'disk and ports are there',
      write: (session) => setServer(session, cloud, server.id, { task_state: taskState }),
    });
  };

const spawn: Step = async ({ cloud, task, ask }) => {
  const server = await serverOf(cloud, task);
  const disk = task.state['disk'] as ServerEnsure['disk'];
  const observed = await ask(
    'server.ensure',
    targetOf(server, server.host ?? ''),
    await domainOf(cloud, server, disk, 'running'),
  );
  if (!observed) return wait(ASK_AGAIN);
  const now = cloud.clock.now();
  return done({
    message: 'the server runs',
    write: (session) =>
      setServer(session, cloud, server.id, {
        vm_state: 'active',
        task_state: null,
        power_state: PowerState.running,
        launched_at: server.launched_at ?? now,
        fault: null,
      }),
  });
};

export const serverCreate: TaskKind = {
  kind: 'server.create',
  first: 'schedule',
  steps: { schedule: chooseHost, prepare: prepare('spawn', 'spawning'), spawn },
  onFail: { teardown: 'server.cleanup' },
  onDelete: 'server.delete',
};
