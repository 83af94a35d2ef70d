// server.create: choose and claim a host, make disk and ports there, start the domain; on another host when one can't.
import type { ServerEnsure } from '@cumulet/common';
import type { Cloud } from '../../cloud';
import type { WriteSession } from '../../db';
import { PowerState, type Server, type TaskState } from '../../db/entities/compute';
import { claimHost } from '../../db/repositories/claims';
import { refuseByGroup } from '../../scheduler/hintFilters';
import { explain, explainByHost, silentHost } from '../../scheduler/scheduler';
import { needOf, spreadOf } from '../../services/compute/placementRequest';
import { holdGroup } from '../../services/compute/serverGroups';
import { forgiveHost } from '../../services/hosts';
import { bindServerPorts, type PortChange } from '../../services/network/serverPorts';
import { done, fail, next, wait, type Facts, type Step, type TaskKind } from '../task';
import { decide, lastFault, leavingSteps, orElsewhere, triedHosts } from './serverElsewhere';
import { diskFacts, diskOf, domainOf, serverOf, setServer, targetOf } from './serverState';

/** Seconds without an answer after which a host is asked again. */
export const ASK_AGAIN = 30;

/** How long a new server waits for a host that only has to be heard again, as after a restart. */
const SILENCE_MS = 60_000;

/** Claims the first candidate that still has room and that the server's group still allows. */
async function claimBest(
  session: WriteSession,
  cloud: Cloud,
  server: Server,
  candidates: readonly string[],
): Promise<Facts> {
  if (server.server_group_id !== null) await holdGroup(session, server.server_group_id);
  const group = await spreadOf(session, server);
  for (const host of candidates) {
    if (group && refuseByGroup(host, group) !== undefined) continue;
    if (!(await claimHost(session, host, server.id, needOf(server), cloud.clock.now()))) continue;
    await setServer(session, cloud, server.id, { host, generation: server.generation + 1, task_state: 'networking' });
    return { ports: await bindServerPorts(session, cloud, server.id, host) };
  }
  throw new Error('the room was taken by other servers meanwhile');
}

const chooseHost: Step = async ({ cloud, task }) => {
  const server = await serverOf(cloud, task);
  const decision = await decide(cloud, task, triedHosts(task));
  if (decision.candidates.length === 0) {
    if (silentHost(decision) && cloud.clock.now() - task.created_at < SILENCE_MS) throw new Error(explain(decision));
    const before = lastFault(task);
    const message = before ? `${before.message} No other host is left. ${explain(decision)}` : explain(decision);
    return fail({ code: 'no_valid_host', message, details: explainByHost(decision) });
  }
  return next('prepare', {
    message: 'a host was chosen and its room claimed',
    write: (session) => claimBest(session, cloud, server, decision.candidates),
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
    write: async (session) => {
      await forgiveHost(session, server.host ?? '');
      await setServer(session, cloud, server.id, {
        vm_state: 'active',
        task_state: null,
        power_state: PowerState.running,
        launched_at: server.launched_at ?? now,
        fault: null,
      });
    },
  });
};

export const serverCreate: TaskKind = {
  kind: 'server.create',
  first: 'schedule',
  steps: {
    schedule: chooseHost,
    prepare: orElsewhere(prepare('spawn', 'spawning'), { silence: true }),
    spawn: orElsewhere(spawn),
    ...leavingSteps,
  },
  onFail: { teardown: 'server.cleanup' },
  onDelete: 'server.delete',
};
