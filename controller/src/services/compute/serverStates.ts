// What a server's states mean to users: one word for status, and which operation is possible when.
import type { Server, TaskState, VmState } from '../../db/entities/compute';
import { ConflictError } from '../../errors';
import type { Caller } from '../caller';

const base: Readonly<Record<VmState, string>> = {
  building: 'BUILD',
  active: 'ACTIVE',
  stopped: 'SHUTOFF',
  paused: 'PAUSED',
  suspended: 'SUSPENDED',
  error: 'ERROR',
  deleted: 'DELETED',
};
/** Where a running operation shows instead. */
const during: Partial<Record<VmState, Partial<Record<TaskState, string>>>> = {
  active: { rebooting: 'REBOOT', rebooting_hard: 'HARD_REBOOT', rebuilding: 'REBUILD' },
  stopped: { rebuilding: 'REBUILD' },
  // A client that waits for a failed server to be gone gives up when it sees ERROR on the way.
  error: { rebuilding: 'REBUILD', deleting: 'DELETED' },
};

/** The status of a server. */
export function statusOf(server: Pick<Server, 'vm_state' | 'task_state' | 'deleted_at'>): string {
  if (server.deleted_at !== null) return 'DELETED';
  const shown = server.task_state === null ? undefined : during[server.vm_state]?.[server.task_state];
  return shown ?? base[server.vm_state];
}

export interface StatesOfStatus {
  readonly vmStates: readonly VmState[];
  /** Null: whatever the task state is. */
  readonly taskStates: readonly TaskState[] | null;
}

/** The states behind some statuses in any case; undefined when there is no such status. */
export function statesOfStatuses(statuses: readonly string[]): StatesOfStatus | undefined {
  const wanted = new Set(statuses.map((status) => status.toUpperCase()));
  const vmStates = new Set<VmState>();
  const taskStates = new Set<TaskState>();
  let any = false;
  for (const [vmState, status] of Object.entries(base) as [VmState, string][]) {
    if (wanted.has(status)) {
      vmStates.add(vmState);
      any = true;
    }
    for (const [taskState, shown] of Object.entries(during[vmState] ?? {}) as [TaskState, string][]) {
      if (!wanted.has(shown) || shown === 'DELETED') continue;
      vmStates.add(vmState);
      taskStates.add(taskState);
    }
  }
  if (vmStates.size === 0) return undefined;
  return { vmStates: [...vmStates], taskStates: any ? null : [...taskStates] };
}

/** Operations that users ask for, with the states in which each is possible. */
const possible: Readonly<Record<string, { readonly vm: readonly VmState[]; readonly task?: readonly TaskState[] }>> = {
  start: { vm: ['stopped'] },
  stop: { vm: ['active', 'error'] },
  reboot: { vm: ['active'] },
  // Cutting the power is the way out of a reboot that hangs, and of most other states.
  reboot_hard: { vm: ['active', 'stopped', 'paused', 'suspended', 'error'], task: ['rebooting', 'rebooting_hard'] },
  pause: { vm: ['active'] },
  unpause: { vm: ['paused'] },
  suspend: { vm: ['active'] },
  resume: { vm: ['suspended'] },
  rebuild: { vm: ['active', 'stopped', 'error'] },
  changePassword: { vm: ['active'] },
  createImage: { vm: ['active', 'stopped', 'paused', 'suspended'] },
  attach_interface: { vm: ['active', 'paused', 'stopped'] },
  detach_interface: { vm: ['active', 'paused', 'stopped'] },
  update_metadata: { vm: ['active', 'paused', 'suspended', 'stopped'] },
  update_tags: { vm: ['active', 'paused', 'suspended', 'stopped'] },
};
export type Operation =
  'start' | 'stop' | 'reboot' | 'reboot_hard' | 'pause' | 'unpause' | 'suspend' | 'resume' | 'rebuild';

const refuse = (server: Server, name: string, attribute: string, state: string): ConflictError =>
  new ConflictError(
    `Cannot '${name}' instance ${server.id} while it is in ${attribute} ${state}`,
    'InstanceInvalidState',
  );

/**
 * Checks that an operation is possible now.
 * @param name as users know it, for the words of the error
 * @throws ConflictError that names the state
 */
export function requireState(server: Server, operation: string, name = operation): void {
  const { vm, task = [] } = possible[operation] ?? { vm: [] };
  if (!vm.includes(server.vm_state)) throw refuse(server, name, 'vm_state', server.vm_state);
  if (server.task_state !== null && !task.includes(server.task_state))
    throw refuse(server, name, 'task_state', server.task_state);
}

/** @throws ConflictError when the server is locked and the caller is no administrator */
export function requireUnlocked(server: Server, caller: Caller): void {
  if (server.locked && !caller.isAdmin) throw new ConflictError(`Instance ${server.id} is locked`, 'InstanceIsLocked');
}
