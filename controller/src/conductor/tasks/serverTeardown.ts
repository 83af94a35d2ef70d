// The one teardown path: what a user's delete runs is what a failed create runs. It observes before it acts and never gives up.
import { newId, type AgentRole } from '@cumulet/common';
import type { Cloud } from '../../cloud';
import type { WriteSession } from '../../db';
import { PowerState, type Server } from '../../db/entities/compute';
import { residues, type Task } from '../../db/entities/tasks';
import { releaseClaims } from '../../db/repositories/claims';
import { hostsOf, openMigration } from '../../services/compute/migrations';
import { forgetServer } from '../../services/compute/serverEnd';
import { removeShelvedImage } from '../../services/compute/shelvedImage';
import { agentAlive } from '../../services/hosts';
import { releaseServerPorts, type PortChange } from '../../services/network/serverPorts';
import {
  done,
  next,
  wait,
  type Facts,
  type Fault,
  type Step,
  type StepContext,
  type StepResult,
  type StepWrite,
  type TaskKind,
} from '../task';
import { faultRow, serverOf, setServer, targetOf } from './serverState';

/** Tries of one removal on a host before what is left there is written down as its residue. */
const TRIES = 6;
const ASK_AGAIN = 5;

/** Whether to stop asking: the agent is silent, or has failed again and again. */
export async function givesUp(
  cloud: Cloud,
  task: Task,
  host: string,
  role: AgentRole,
  tries = TRIES,
): Promise<boolean> {
  if (task.attempt >= tries) return true;
  const alive = await cloud.db.read((session) => agentAlive(session, host, role, cloud.clock.now()));
  return !alive && task.send > 2;
}

/** Writes down what a host still has of the server; its agent removes it when it registers again. */
export async function leaveResidue(
  session: WriteSession,
  cloud: Cloud,
  server: Server,
  host: string,
  role: AgentRole,
  facts: Facts = {},
): Promise<void> {
  await session.insert(residues, {
    id: newId(),
    host,
    resource_type: role,
    resource_id: server.id,
    generation: server.generation,
    facts: { ...facts },
    created_at: cloud.clock.now(),
  });
}

/** What was asked of several hosts: who still works on it, and who can't be asked. */
interface Asked {
  readonly waiting: boolean;
  readonly silent: readonly string[];
}

/** Asks every host that may have something of the server: after a resize that is open, two may. */
async function askHosts(
  { cloud, task }: Pick<StepContext, 'cloud' | 'task'>,
  hosts: readonly string[],
  role: AgentRole,
  ask: (host: string) => Promise<unknown>,
): Promise<Asked> {
  const silent: string[] = [];
  let waiting = false;
  for (const host of hosts) {
    if (await givesUp(cloud, task, host, role)) silent.push(host);
    else if (!(await ask(host))) waiting = true;
  }
  return { waiting, silent };
}

/** Written down with the step that goes on without them. */
const leaveResidues =
  (cloud: Cloud, server: Server, role: AgentRole, silent: readonly string[]): StepWrite =>
  async (session) => {
    for (const host of silent) await leaveResidue(session, cloud, server, host, role);
  };

const removeDomains = (context: StepContext, server: Server, hosts: readonly string[]): Promise<Asked> =>
  askHosts(context, hosts, 'compute', (host) =>
    context.ask('server.remove', targetOf(server, host), { server_id: server.id }),
  );

/** Disks and taps, asked for together; `silent` are those whose disks are left. */
async function clearHosts(
  context: StepContext,
  server: Server,
  hosts: readonly string[],
  { keepDisk = false } = {},
): Promise<Asked> {
  const { task, ask } = context;
  const disks = await askHosts(context, keepDisk ? [] : hosts, 'storage', (host) =>
    ask('disk.remove', targetOf(server, host), { server_id: server.id }),
  );
  const { portIds, sequence } = task.state['ports'] as PortChange;
  // A network agent that is away removes taps by itself when it comes back: its feed no longer has the ports.
  const wired = portIds.length === 0 ? [] : hosts;
  const taps = await askHosts(context, wired, 'network', (host) =>
    ask('ports.remove', targetOf(server, host), { port_ids: portIds, sequence }),
  );
  return { waiting: disks.waiting || taps.waiting, silent: disks.silent };
}

/**
 * Removes all that one host has of a server that is another host's: the domain, then what it stood on.
 * @returns undefined while the host works on it; `left` when it can't be asked, and the write that then belongs to the step's end
 */
export async function emptyHost(
  context: StepContext,
  server: Server,
  host: string,
  keep: { readonly keepDisk: boolean },
): Promise<{ readonly left: boolean; readonly write: StepWrite } | undefined> {
  const domains = await removeDomains(context, server, [host]);
  if (domains.waiting) return undefined;
  const rest = await clearHosts(context, server, [host], keep);
  if (rest.waiting) return undefined;
  const { cloud } = context;
  return {
    left: domains.silent.length + rest.silent.length > 0,
    write: async (session) => {
      await leaveResidues(cloud, server, 'compute', domains.silent)(session);
      await leaveResidues(cloud, server, 'storage', rest.silent)(session);
    },
  };
}

async function hostsOfTask({ cloud, task }: StepContext): Promise<{ server: Server; hosts: readonly string[] }> {
  const server = await serverOf(cloud, task);
  const migration = await cloud.db.read((session) => openMigration(session, server.id));
  return { server, hosts: hostsOf(server, migration) };
}

/**
 * The domain first: nothing else of a server may go while it runs. `refuse`: what to do instead of going on without a host that can't
 * be reached.
 */
export const stopDomain =
  (then: string, refuse: (task: Task) => StepResult | undefined = () => undefined): Step =>
  async (context) => {
    const { server, hosts } = await hostsOfTask(context);
    if (hosts.length === 0) return next(then, { message: 'no host was involved' });
    const { waiting, silent } = await removeDomains(context, server, hosts);
    if (waiting) return wait(ASK_AGAIN);
    if (silent.length === 0) return next(then, { message: 'the domain is gone' });
    const residue = next(then, {
      message: 'the host can not be reached; it removes the domain when it comes back',
      write: leaveResidues(context.cloud, server, 'compute', silent),
    });
    return refuse(context.task) ?? residue;
  };

/** Gives ports and addresses back; their taps go when the network agent sees the change. */
const releasePorts: Step = async ({ cloud, task }) => {
  const server = await serverOf(cloud, task);
  return next('remains', {
    message: 'ports and addresses are released',
    write: async (session) => ({ ports: await releaseServerPorts(session, cloud, server.id) }),
  });
};

/** Disk and taps. */
export const removeRemains =
  (then: string): Step =>
  async (context) => {
    const { server, hosts } = await hostsOfTask(context);
    const { waiting, silent } = await clearHosts(context, server, hosts);
    if (waiting) return wait(ASK_AGAIN);
    if (silent.length === 0) return next(then, { message: 'disk and taps are gone' });
    return next(then, {
      message: 'the host can not be reached; it removes the disk when it comes back',
      write: leaveResidues(context.cloud, server, 'storage', silent),
    });
  };

type End = (session: WriteSession, cloud: Cloud, server: Server, task: Task) => Promise<void>;

const teardown = (end: End): TaskKind['steps'] => ({
  domain: stopDomain('ports'),
  ports: releasePorts,
  remains: removeRemains('end'),
  end: async ({ cloud, task }) => {
    const server = await serverOf(cloud, task);
    await removeShelvedImage(cloud, server.id);
    return done({
      write: async (session) => {
        await releaseClaims(session, server.id);
        await end(session, cloud, server, task);
      },
    });
  },
});

/** A user's delete: the server is gone and its quota free. */
export const serverDelete: TaskKind = {
  kind: 'server.delete',
  first: 'domain',
  steps: teardown((session, cloud, server) => forgetServer(session, cloud, server)),
  onFail: 'never',
};

/** After a failed create: the server stays, in ERROR with the reason, until its owner deletes it. */
export const serverCleanup: TaskKind = {
  kind: 'server.cleanup',
  first: 'domain',
  steps: teardown(async (session, cloud, server, task) => {
    const fault = task.state['fault'] as Fault;
    await setServer(session, cloud, server.id, {
      host: null,
      vm_state: 'error',
      task_state: null,
      power_state: PowerState.nostate,
      fault: faultRow(cloud, fault),
    });
  }),
  onFail: 'never',
  onDelete: 'server.delete',
};
