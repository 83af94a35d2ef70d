// server.create: choose and claim a host, make disk and ports there, start the domain; on another host when one can't.
import type { PortsEnsure, PowerTarget, ServerEnsure } from '@cumulet/common';
import type { Cloud } from '../../cloud';
import type { WriteSession } from '../../db';
import { PowerState, type Server, type TaskState } from '../../db/entities/compute';
import type { Port } from '../../db/entities/network';
import { claimHost } from '../../db/repositories/claims';
import { refuseByGroup } from '../../scheduler/hintFilters';
import { explain, explainByHost, silentHost } from '../../scheduler/scheduler';
import { needOf, spreadOf } from '../../services/compute/placementRequest';
import { holdGroup } from '../../services/compute/serverGroups';
import { sightOf } from '../../services/compute/sight';
import { forgiveHost } from '../../services/hosts';
import { bindServerPorts, type PortChange } from '../../services/network/serverPorts';
import { done, fail, next, wait, type Facts, type Step, type StepContext, type TaskKind } from '../task';
import { decide, lastFault, leavingSteps, orElsewhere, triedHosts } from './serverElsewhere';
import { diskFacts, disksOf, domainOf, hostOf, portsOf, serverOf, setServer, targetOf } from './serverState';

/** Seconds without an answer after which a host is asked again; one that works for longer says so in between. */
export const ASK_AGAIN = 10;

/** How long a server waits for a host that only has to be heard again, as after a restart. */
export const SILENCE_MS = 60_000;

/** Claims the first candidate that still has room and that the server's group still allows. @throws Error when none is left */
export async function claimFirst(
  session: WriteSession,
  cloud: Cloud,
  server: Server,
  candidates: readonly string[],
): Promise<string> {
  if (server.server_group_id !== null) await holdGroup(session, server.server_group_id);
  const group = await spreadOf(session, server);
  for (const host of candidates) {
    if (group && refuseByGroup(host, group) !== undefined) continue;
    if (await claimHost(session, host, server.id, needOf(server), cloud.clock.now())) return host;
  }
  throw new Error('the room was taken by other servers meanwhile');
}

async function claimBest(
  session: WriteSession,
  cloud: Cloud,
  server: Server,
  { candidates, failed }: Awaited<ReturnType<typeof decide>>,
  known: readonly Port[],
): Promise<Facts> {
  const host = await claimFirst(session, cloud, server, candidates);
  await setServer(session, cloud, server.id, { host, generation: server.generation + 1, task_state: 'spawning' });
  return { ports: await bindServerPorts(session, cloud, server.id, host, known), hasFailed: failed.has(host) };
}

/** Chooses a host for a server that has none, and claims its room. The server shows from then on that it is built there. */
export const chooseHost: Step = async ({ cloud, task, together }) => {
  const sight = sightOf(cloud, together);
  const server = await sight.server(task.resource_id);
  const known = await sight.ports(server.id);
  const decision = await decide(cloud, sight, server, triedHosts(task));
  if (decision.candidates.length === 0) {
    if (silentHost(decision) && cloud.clock.now() - task.created_at < SILENCE_MS) throw new Error(explain(decision));
    const before = lastFault(task);
    const message = before ? `${before.message} No other host is left. ${explain(decision)}` : explain(decision);
    return fail({ code: 'no_valid_host', message, details: explainByHost(decision) });
  }
  return next('prepare', {
    message: 'a host was chosen and its room claimed',
    // What is claimed late has been taken by others.
    urgent: true,
    write: (session) => claimBest(session, cloud, server, decision, known),
  });
};

/** Asks for the server's ports on its host; a server without any needs nothing. */
async function askPorts(
  { cloud, task, ask }: StepContext,
  server: Server,
  until: PortsEnsure['until'],
): Promise<Facts | undefined> {
  const { portIds: bound, sequence } = task.state['ports'] as PortChange;
  if (bound.length === 0) return {};
  return ask('ports.ensure', targetOf(server), async () => {
    // Their owner may have deleted some meanwhile.
    const there = new Set((await portsOf(cloud, server)).map(({ id }) => id));
    const portIds = bound.filter((id) => there.has(id));
    return portIds.length === 0 ? undefined : { port_ids: portIds, sequence, until };
  });
}

/**
 * Disk and ports, asked for together: neither needs the other. A domain that is to be started needs no more than taps. The server shows
 * `taskState` then, if it does not already.
 */
export const prepare =
  (then: string, taskState: TaskState | null, until: PortsEnsure['until'] = 'made'): Step =>
  async (context) => {
    const { cloud, task, ask } = context;
    const server = await serverOf(cloud, task);
    const disk = await ask('disk.ensure', targetOf(server), () => disksOf(cloud, server));
    const ports = await askPorts(context, server, until);
    if (!disk || !ports) return wait(ASK_AGAIN);
    return next(then, {
      facts: { disk: diskFacts(disk) },
      message: 'disk and ports are there',
      ...(server.task_state === taskState
        ? {}
        : { write: (session) => setServer(session, cloud, server.id, { task_state: taskState }) }),
    });
  };

/**
 * Brings the domain to its state while its ports are wired: a tap is on no bridge before its rules hold, so a guest that is early
 * talks to nobody. Undefined until both are done.
 */
export async function askDomain(
  context: StepContext,
  server: Server,
  power: PowerTarget,
  changes: Parameters<typeof domainOf>[4] = {},
): Promise<Facts | undefined> {
  const { cloud, task, ask } = context;
  const disk = task.state['disk'] as ServerEnsure['disk'];
  const observed = await ask('server.ensure', targetOf(server), () => domainOf(cloud, server, disk, power, changes));
  const wired = await askPorts(context, server, 'wired');
  return wired && observed;
}

const spawn: Step = async (context) => {
  const { cloud, task } = context;
  const server = await serverOf(cloud, task);
  if (!(await askDomain(context, server, 'running'))) return wait(ASK_AGAIN);
  const now = cloud.clock.now();
  return done({
    message: 'the server runs',
    write: async (session) => {
      // What has failed there since it was chosen is for those to forgive that are built after it.
      if (task.state['hasFailed'] === true) await forgiveHost(session, hostOf(server));
      await setServer(session, cloud, server.id, {
        vm_state: 'active',
        task_state: null,
        power_state: PowerState.running,
        launched_at: now,
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
