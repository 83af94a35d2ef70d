// start, stop, reboot, pause, unpause, suspend, resume and rebuild: the same domain, another desired state.
import type { PowerTarget } from '@cumulet/common';
import { PowerState, type TaskState, type VmState } from '../../db/entities/compute';
import { bindServerPorts } from '../../services/network/serverPorts';
import { done, next, wait, type Step, type TaskKind } from '../task';
import { ASK_AGAIN, askDomain, prepare } from './serverCreate';
import { faultRow, hostOf, serverOf, setServer, targetOf } from './serverState';

interface PowerAction {
  readonly kind: string;
  readonly power: PowerTarget;
  readonly during: TaskState;
  readonly vmState: VmState;
  readonly powerState: number;
}

const on = { power: 'running', vmState: 'active', powerState: PowerState.running } as const;
const off = { power: 'shutdown', vmState: 'stopped', powerState: PowerState.shutdown } as const;

const actions: readonly PowerAction[] = [
  { kind: 'server.start', during: 'powering-on', ...on },
  { kind: 'server.reboot', during: 'rebooting', ...on },
  { kind: 'server.unpause', during: 'unpausing', ...on },
  { kind: 'server.resume', during: 'resuming', ...on },
  { kind: 'server.stop', during: 'powering-off', ...off },
  { kind: 'server.pause', power: 'paused', during: 'pausing', vmState: 'paused', powerState: PowerState.paused },
  {
    kind: 'server.suspend',
    power: 'suspended',
    during: 'suspending',
    vmState: 'suspended',
    powerState: PowerState.shutdown,
  },
];

/** Ports are bound once more, so that a host that lost them makes them anew. */
export const bind: Step = async ({ cloud, task }) => {
  const server = await serverOf(cloud, task);
  return next('prepare', {
    write: async (session) => ({ ports: await bindServerPorts(session, cloud, server.id, hostOf(server)) }),
  });
};

/** What a reboot asks for: the task's id makes it happen once. */
function rebootOf(task: { kind: string; id: string; params: Record<string, unknown> }) {
  if (task.kind !== 'server.reboot') return {};
  const type = task.params['type'] === 'HARD' ? ('hard' as const) : ('soft' as const);
  return { reboot: { nonce: task.id, type }, redefine: type === 'hard' };
}

const apply =
  (action: Pick<PowerAction, 'power' | 'vmState' | 'powerState'>): Step =>
  async (context) => {
    const { cloud, task } = context;
    const server = await serverOf(cloud, task);
    if (!(await askDomain(context, server, action.power, rebootOf(task)))) return wait(ASK_AGAIN);
    return done({
      write: (session) =>
        setServer(session, cloud, server.id, {
          // One whose host was restarted goes on to wait for its confirmation.
          vm_state: task.params['was'] === 'resized' ? 'resized' : action.vmState,
          power_state: action.powerState,
          task_state: null,
          fault: null,
        }),
    });
  };

const powerKind = (action: PowerAction): TaskKind => ({
  kind: action.kind,
  first: 'bind',
  steps: { bind, prepare: prepare('apply', action.during), apply: apply(action) },
  onDelete: 'server.delete',
  onFail: {
    // The server stays what it was; the action's own record says why it failed. Only a reboot may leave a guest that is neither.
    write: (session, task, fault, cloud) =>
      setServer(session, cloud, task.resource_id, {
        task_state: null,
        ...(task.kind === 'server.reboot' ? { vm_state: 'error', fault: faultRow(cloud, fault) } : {}),
      }),
  },
});

/** The old domain goes, its disk is made anew from the image that the row names by now. */
const clear: Step = async ({ cloud, task, ask }) => {
  const server = await serverOf(cloud, task);
  const gone = await ask('server.remove', targetOf(server), { server_id: server.id });
  return gone ? next('bind', { message: 'the old domain is gone' }) : wait(ASK_AGAIN);
};

/** A server that was off stays off: its new disk is booted when its owner starts it. */
const rebuilt: Step = (context) => apply(context.task.params['was'] === 'stopped' ? off : on)(context);

const serverRebuild: TaskKind = {
  kind: 'server.rebuild',
  first: 'clear',
  steps: { clear, bind, prepare: prepare('apply', 'rebuilding'), apply: rebuilt },
  onDelete: 'server.delete',
  onFail: {
    write: (session, task, fault, cloud) =>
      setServer(session, cloud, task.resource_id, {
        task_state: null,
        vm_state: 'error',
        fault: faultRow(cloud, fault),
      }),
  },
};

export const serverPowerKinds: readonly TaskKind[] = [...actions.map(powerKind), serverRebuild];
