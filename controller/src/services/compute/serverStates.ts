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
  resized: 'VERIFY_RESIZE',
  shelved: 'SHELVED',
  shelved_offloaded: 'SHELVED_OFFLOADED',
  error: 'ERROR',
  deleted: 'DELETED',
};
const resizing = {
  resize_prep: 'RESIZE',
  resize_migrating: 'RESIZE',
  resize_migrated: 'RESIZE',
  resize_finish: 'RESIZE',
} as const;
/** Where a running operation shows instead. */
const during: Partial<Record<VmState, Partial<Record<TaskState, string>>>> = {
  active: {
    rebooting: 'REBOOT',
    rebooting_hard: 'HARD_REBOOT',
    rebuilding: 'REBUILD',
    migrating: 'MIGRATING',
    ...resizing,
  },
  paused: { migrating: 'MIGRATING' },
  stopped: { rebuilding: 'REBUILD', ...resizing },
  resized: { resize_reverting: 'REVERT_RESIZE' },
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

/** Operations that users ask for, with the states in which each is possible while nothing else runs. */
const possible: Readonly<Record<Operation, readonly VmState[]>> = {
  start: ['stopped'],
  stop: ['active', 'error'],
  reboot: ['active'],
  reboot_hard: ['active', 'stopped', 'paused', 'suspended', 'error'],
  pause: ['active'],
  unpause: ['paused'],
  suspend: ['active'],
  resume: ['suspended'],
  rebuild: ['active', 'stopped', 'error'],
  changePassword: ['active'],
  createImage: ['active', 'stopped', 'paused', 'suspended'],
  createBackup: ['active', 'stopped', 'paused', 'suspended'],
  attach_interface: ['active', 'paused', 'stopped'],
  detach_interface: ['active', 'paused', 'stopped'],
  resize: ['active', 'stopped'],
  migrate: ['active', 'stopped'],
  liveMigrate: ['active', 'paused'],
  evacuate: ['active', 'stopped', 'error'],
  shelve: ['active', 'stopped', 'paused', 'suspended'],
  shelveOffload: ['shelved'],
  unshelve: ['shelved', 'shelved_offloaded'],
  confirmResize: ['resized'],
  // After a way back that failed, another try; see `revertResize`.
  revertResize: ['resized', 'error'],
};
export type Operation =
  | 'start'
  | 'stop'
  | 'reboot'
  | 'reboot_hard'
  | 'pause'
  | 'unpause'
  | 'suspend'
  | 'resume'
  | 'rebuild'
  | 'changePassword'
  | 'createImage'
  | 'createBackup'
  | 'attach_interface'
  | 'detach_interface'
  | 'resize'
  | 'migrate'
  | 'liveMigrate'
  | 'evacuate'
  | 'shelve'
  | 'shelveOffload'
  | 'unshelve'
  | 'confirmResize'
  | 'revertResize';

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
export function requireState(server: Server, operation: Operation, name: string = operation): void {
  if (!possible[operation].includes(server.vm_state)) throw refuse(server, name, 'vm_state', server.vm_state);
  if (server.task_state !== null) throw refuse(server, name, 'task_state', server.task_state);
}

/** Checks that a server has a host to be asked. @throws ConflictError */
export function requireHost(server: Server): string {
  if (server.host === null) throw new ConflictError(`Instance ${server.id} is not ready`, 'InstanceNotReady');
  return server.host;
}

/** @throws ConflictError when the server is locked and the caller is no administrator */
export function requireUnlocked(server: Server, caller: Caller): void {
  if (server.locked && !caller.isAdmin) throw new ConflictError(`Instance ${server.id} is locked`, 'InstanceIsLocked');
}
