// When a host could not build a server: it is left clean, and another one is tried.
import { messageOf, type AgentRole } from '@cumulet/common';
import type { Cloud } from '../../cloud';
import { addToCounter } from '../../db';
import type { Server } from '../../db/entities/compute';
import { hosts as hostRows, type Resources, type Task } from '../../db/entities/tasks';
import { releaseClaims } from '../../db/repositories/claims';
import { schedule, type Decision } from '../../scheduler/scheduler';
import { placementRequest } from '../../services/compute/placementRequest';
import { sightOf, type Sight } from '../../services/compute/sight';
import { agentAlive } from '../../services/hosts';
import { unbindServerPorts } from '../../services/network/serverPorts';
import { fail, HostFault, next, type Fault, type Step, type StepContext, type StepResult } from '../task';
import { hostOf, serverOf, setServer } from './serverState';
import { removeRemains, stopDomain } from './serverTeardown';

/** Hosts that a server is tried on before it fails. */
const MOST_HOSTS = 3;
/** Failures in place before another host is tried, when the host says that trying again may help. */
const TRIES_IN_PLACE = 2;

/** Hosts that have failed to build the task's server. */
export const triedHosts = (task: Task): string[] => (task.state['tried'] as string[] | undefined) ?? [];
/** Why the last of them failed. */
export const lastFault = (task: Task): Fault | undefined => task.state['lastFault'] as Fault | undefined;

const sumOf = (one: Resources, other: Resources): Resources => ({
  vcpus: one.vcpus + other.vcpus,
  memoryMib: one.memoryMib + other.memoryMib,
  diskGib: one.diskGib + other.diskGib,
});

/** Where the server could go when some hosts are left out, and which hosts have failed lately. */
export async function decide(
  cloud: Cloud,
  sight: Sight,
  server: Server,
  excluded: readonly string[],
): Promise<Decision & { readonly failed: ReadonlySet<string> }> {
  const request = await cloud.db.read((session) =>
    placementRequest(session, server, excluded, null, (id) => sight.imageHosts(id)),
  );
  const hosts = await sight.hosts();
  const decision = schedule(hosts, request);
  const at = hosts.findIndex(({ name }) => name === decision.candidates[0]);
  const best = hosts[at];
  // The other decisions of the round find this room taken.
  if (best) hosts[at] = { ...best, used: sumOf(best.used, request.need) };
  const failed = hosts.filter(({ failedBuilds }) => failedBuilds > 0).map(({ name }) => name);
  return { ...decision, failed: new Set(failed) };
}

/** Goes to `leave` when another host could take the server. */
async function goElsewhere({ cloud, task }: StepContext, fault: Fault): Promise<StepResult | undefined> {
  const server = await serverOf(cloud, task);
  const tried = [...new Set([...triedHosts(task), hostOf(server)])];
  if (
    tried.length >= MOST_HOSTS ||
    (await decide(cloud, sightOf(cloud, [server.id]), server, tried)).candidates.length === 0
  )
    return undefined;
  return next('leave', { facts: { tried, lastFault: fault }, message: `${fault.message}; another host is tried` });
}

const waitsForLong = (task: Task): boolean => task.send > 2;

/** Whether an agent that the step waits for has been silent for several rounds. */
export async function isSilent(
  { cloud, task }: StepContext,
  host: string,
  roles: readonly AgentRole[] = ['storage', 'network'],
): Promise<boolean> {
  if (!waitsForLong(task)) return false;
  const now = cloud.clock.now();
  const alive = await cloud.db.read((session) =>
    Promise.all(roles.map((role) => agentAlive(session, host, role, now))),
  );
  return alive.includes(false);
}

/**
 * A step on the server's host; what another host may be spared makes the server leave this one. `silence`: a silent host is
 * left too, which is right only before it was told to start the server.
 */
export const orElsewhere =
  (step: Step, { silence = false } = {}): Step =>
  async (context) => {
    try {
      const result = await step(context);
      if (result.type !== 'wait' || !silence || !waitsForLong(context.task)) return result;
      if (!(await isSilent(context, hostOf(await serverOf(context.cloud, context.task))))) return result;
      return (await goElsewhere(context, { code: 'host_silent', message: 'The host does not answer.' })) ?? result;
    } catch (error) {
      if (!(error instanceof HostFault) || (error.retryable && context.task.attempt < TRIES_IN_PLACE)) throw error;
      const elsewhere = await goElsewhere(context, { code: error.fault.code, message: messageOf(error) });
      if (!elsewhere) throw error;
      return elsewhere;
    }
  };

/** A server that may run on a host that can't be asked is not started on another one. */
function refuseToDouble(task: Task): StepResult | undefined {
  const mayRun = task.state['disk'] !== undefined && task.state['disk'] !== null;
  if (!mayRun) return undefined;
  const message = "The host can't be asked to take the server back, so no other host was tried.";
  return fail({ code: 'host_unreachable', message: [lastFault(task)?.message, message].join(' ').trim() });
}

export const unbind: Step = ({ cloud, task }) =>
  Promise.resolve(
    next('vacate', {
      message: 'ports are off the host; they keep their addresses',
      write: async (session) => ({ ports: await unbindServerPorts(session, cloud, task.resource_id) }),
    }),
  );

const release: Step = async ({ cloud, task }) => {
  const server = await serverOf(cloud, task);
  return next('schedule', {
    facts: { disk: null },
    message: 'the host is left and its room given back',
    write: async (session) => {
      await releaseClaims(session, server.id);
      await addToCounter(session, hostRows, { name: hostOf(server) }, 'failed_builds', 1);
      await setServer(session, cloud, server.id, { host: null, task_state: 'scheduling' });
    },
  });
};

/** From a host that failed back to `schedule`: the steps of a teardown, but the ports stay the server's. */
export const leavingSteps: Readonly<Record<string, Step>> = {
  leave: stopDomain('unbind', refuseToDouble),
  unbind,
  vacate: removeRemains('release'),
  release,
};
