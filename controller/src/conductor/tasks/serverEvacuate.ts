// server.evacuate: the host that is down is fenced, only then the server is built anew on another one, with its disk if that one has it.
import type { Cloud } from '../../cloud';
import type { WriteSession } from '../../db';
import { PowerState, type Server } from '../../db/entities/compute';
import type { Task } from '../../db/entities/tasks';
import { releaseClaims } from '../../db/repositories/claims';
import { filters, type Filter } from '../../scheduler/filters';
import { explain, explainByHost, schedule, type Decision } from '../../scheduler/scheduler';
import { nextDiskRevision } from '../../services/compute/migrations';
import { placementRequest } from '../../services/compute/placementRequest';
import { recordEvacuation } from '../../services/compute/serverEvacuate';
import { sharesDisks, sharingHosts } from '../../services/compute/sharedDisks';
import { hostViews } from '../../services/hosts';
import { bindServerPorts } from '../../services/network/serverPorts';
import { done, fail, next, wait, type Facts, type Step, type StepResult, type TaskKind } from '../task';
import { releaseHeld, TURNED_OFF, turnOff } from '../fencing';
import { ASK_AGAIN, askDomain, claimFirst, prepare } from './serverCreate';
import { faultRow, hostOf, serverOf, setServer, sharedDiskOf, targetOf } from './serverState';
import { leaveResidue } from './serverTeardown';

const unfenced = (why: string): StepResult =>
  fail({ code: 'not_fenced', message: `Nothing was started elsewhere, and the server stays where it is: ${why}` });

/** What the guest has written is kept where it can be: only who names a host may lose it. */
const keepsDisk = (sharing: readonly string[]): Filter => ({
  name: 'disks',
  asks:
    () =>
    ({ name }) =>
      sharing.includes(name) ? undefined : 'it does not have the disks of the host of the server',
});

async function decide(cloud: Cloud, task: Task, server: Server): Promise<Decision> {
  const host = (task.params['host'] ?? null) as string | null;
  const source = hostOf(server);
  return cloud.db.read(async (session) => {
    const request = await placementRequest(session, { ...server, requested_host: host }, [], source);
    const sharing = await sharingHosts(session, source);
    const keeping = host === null && sharing.length > 0 ? [keepsDisk(sharing)] : [];
    return schedule(await hostViews(session, cloud.clock.now()), request, [...filters, ...keeping]);
  });
}

const nowhere = (decision: Decision): StepResult =>
  fail({ code: 'no_valid_host', message: explain(decision), details: explainByHost(decision) });

/** Nothing happens before the host is off. */
const fence: Step = async ({ cloud, task, signal }) => {
  const server = await serverOf(cloud, task);
  const host = hostOf(server);
  // No host is turned off for a server that has nowhere to go. When no host is heard the silence is the controllers' own.
  const decision = await decide(cloud, task, server);
  if (decision.candidates.length === 0) return nowhere(decision);
  const why = await turnOff({ cloud, signal }, host);
  if (why !== undefined) return unfenced(why);
  return next('schedule', { message: TURNED_OFF, write: (session) => releaseHeld(session, host) });
};

/** From here on the server is the new one; the old host removes its copy when it comes back. */
async function move(
  session: WriteSession,
  cloud: Cloud,
  server: Server,
  candidates: readonly string[],
  { image, keepDisk }: { readonly image: Server['image']; readonly keepDisk: boolean },
): Promise<Facts> {
  const source = hostOf(server);
  await releaseClaims(session, server.id);
  const host = await claimFirst(session, cloud, server, candidates);
  for (const role of ['compute', 'storage'] as const)
    await leaveResidue(session, cloud, server, source, role, { fenced: true });
  await setServer(session, cloud, server.id, {
    host,
    // Of one that was shelved the old disk stands on another image than a new one.
    ...(keepDisk ? {} : { image, disk_revision: await nextDiskRevision(session, server) }),
    generation: server.generation + 1,
  });
  return { moved: true, ports: await bindServerPorts(session, cloud, server.id, host) };
}

const chooseHost: Step = async ({ cloud, task, ask }) => {
  const server = await serverOf(cloud, task);
  const source = hostOf(server);
  const decision = await decide(cloud, task, server);
  const [best] = decision.candidates;
  if (best === undefined) return nowhere(decision);
  const keeps = await cloud.db.read((session) => sharesDisks(session, source, best));
  // Before the server is the new host's: that it sees the disk is not believed but looked at.
  if (keeps) {
    const disk = await sharedDiskOf(cloud, server, source, { revision: server.disk_revision, take: false });
    if (!(await ask('disk.find', targetOf(server, best), disk))) return wait(ASK_AGAIN);
  }
  return next('prepare', {
    message: `another host was chosen and its room claimed; the disk is ${keeps ? 'the one that it had' : 'made anew'}`,
    write: (session) =>
      move(session, cloud, server, keeps ? [best] : decision.candidates, {
        image: (task.params['image'] ?? server.image) as Server['image'],
        keepDisk: keeps,
      }),
  });
};

const spawn: Step = async (context) => {
  const { cloud, task } = context;
  const server = await serverOf(cloud, task);
  const power = task.params['power'] as 'running' | 'shutdown';
  if (!(await askDomain(context, server, power))) return wait(ASK_AGAIN);
  return done({
    message: power === 'running' ? 'the server runs on its new host' : 'the server is on its new host, and off',
    write: async (session) => {
      await recordEvacuation(session, cloud, task, 'done');
      await setServer(session, cloud, server.id, {
        vm_state: power === 'running' ? 'active' : 'stopped',
        power_state: PowerState[power],
        task_state: null,
        launched_at: cloud.clock.now(),
        fault: null,
      });
    },
  });
};

export const serverEvacuate: TaskKind = {
  kind: 'server.evacuate',
  first: 'fence',
  steps: { fence, schedule: chooseHost, prepare: prepare('spawn', 'rebuilding'), spawn },
  onFail: {
    // One that was moved is the new host's by now: a rebuild or a hard reboot tries again there.
    write: async (session, task, fault, cloud) => {
      const lost = { vm_state: 'error' as const, fault: faultRow(cloud, fault) };
      await recordEvacuation(session, cloud, task, 'failed');
      await setServer(session, cloud, task.resource_id, {
        task_state: null,
        ...(task.state['moved'] === true ? lost : {}),
      });
    },
  },
  onDelete: 'server.delete',
};
