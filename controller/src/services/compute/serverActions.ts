// What users do with a server that exists: each action checks the state, writes what is wanted and starts a task.
import type { Cloud } from '../../cloud';
import { IsNull, type WriteSession } from '../../db';
import { servers, type Server, type TaskState } from '../../db/entities/compute';
import { ConflictError, ForbiddenError } from '../../errors';
import type { Caller } from '../caller';
import { createTask, recordDone } from '../tasks';
import { openMigration } from './migrations';
import { requireHost, requireState, requireUnlocked, type Operation } from './serverStates';

/** Seconds after which an action that has not ended has failed. */
const DEADLINE_SECONDS = 300;
const REBUILD_DEADLINE_SECONDS = 900;
/** A large disk is copied twice: on its host, and into the image. */
const IMAGE_DEADLINE_SECONDS = 4 * 3600;
/** A large disk is copied, maybe to another host. */
const RESIZE_DEADLINE_SECONDS = 4 * 3600;

interface Action {
  readonly kind: string;
  /** As users know it. */
  readonly name: string;
  /** Null: the action does not show in the server. */
  readonly taskState: TaskState | null;
  readonly params?: Readonly<Record<string, unknown>>;
  readonly deadlineSeconds?: number;
  /** A lock keeps a server from being changed, and this changes nothing. */
  readonly evenLocked?: boolean;
  /** A server without a host can do it. */
  readonly hostless?: boolean;
  /** It ends an open resize; everything else must wait for that. */
  readonly endsResize?: boolean;
}

/** What a task on the host does; a password is changed while the request waits. */
export type HostAction = Exclude<Operation, 'changePassword'>;

const actions: Readonly<Record<HostAction, Action>> = {
  start: { kind: 'server.start', name: 'start', taskState: 'powering-on' },
  stop: { kind: 'server.stop', name: 'stop', taskState: 'powering-off' },
  reboot: { kind: 'server.reboot', name: 'reboot', taskState: 'rebooting', params: { type: 'SOFT' } },
  reboot_hard: { kind: 'server.reboot', name: 'reboot', taskState: 'rebooting_hard', params: { type: 'HARD' } },
  pause: { kind: 'server.pause', name: 'pause', taskState: 'pausing' },
  unpause: { kind: 'server.unpause', name: 'unpause', taskState: 'unpausing' },
  suspend: { kind: 'server.suspend', name: 'suspend', taskState: 'suspending' },
  resume: { kind: 'server.resume', name: 'resume', taskState: 'resuming' },
  rebuild: {
    kind: 'server.rebuild',
    name: 'rebuild',
    taskState: 'rebuilding',
    deadlineSeconds: REBUILD_DEADLINE_SECONDS,
  },
  evacuate: {
    kind: 'server.evacuate',
    name: 'evacuate',
    taskState: 'rebuilding',
    deadlineSeconds: REBUILD_DEADLINE_SECONDS,
  },
  attach_interface: { kind: 'server.attachInterface', name: 'attach_interface', taskState: null },
  detach_interface: { kind: 'server.detachInterface', name: 'detach_interface', taskState: null },
  createImage: {
    kind: 'server.createImage',
    name: 'createImage',
    taskState: 'image_snapshot',
    evenLocked: true,
    deadlineSeconds: IMAGE_DEADLINE_SECONDS,
  },
  createBackup: {
    kind: 'server.createBackup',
    name: 'createBackup',
    taskState: 'image_backup',
    evenLocked: true,
    deadlineSeconds: IMAGE_DEADLINE_SECONDS,
  },
  resize: {
    kind: 'server.resize',
    name: 'resize',
    taskState: 'resize_prep',
    deadlineSeconds: RESIZE_DEADLINE_SECONDS,
  },
  migrate: {
    kind: 'server.migrate',
    name: 'migrate',
    taskState: 'resize_prep',
    deadlineSeconds: RESIZE_DEADLINE_SECONDS,
  },
  liveMigrate: {
    kind: 'server.liveMigrate',
    name: 'live-migration',
    taskState: 'migrating',
    deadlineSeconds: RESIZE_DEADLINE_SECONDS,
  },
  shelve: { kind: 'server.shelve', name: 'shelve', taskState: 'shelving', deadlineSeconds: IMAGE_DEADLINE_SECONDS },
  shelveOffload: { kind: 'server.shelveOffload', name: 'shelveOffload', taskState: 'shelving_offloading' },
  unshelve: {
    kind: 'server.unshelve',
    name: 'unshelve',
    taskState: 'unshelving',
    hostless: true,
    deadlineSeconds: REBUILD_DEADLINE_SECONDS,
  },
  confirmResize: {
    kind: 'server.confirmResize',
    name: 'confirmResize',
    taskState: 'resize_confirming',
    endsResize: true,
  },
  revertResize: {
    kind: 'server.revertResize',
    name: 'revertResize',
    taskState: 'resize_reverting',
    endsResize: true,
    deadlineSeconds: REBUILD_DEADLINE_SECONDS,
  },
};

/** Who acts, and in which request: the record of an action names both. */
export interface Actor {
  readonly caller: Caller;
  readonly requestId: string;
}

/**
 * Starts an action of the host. `set` is what changes of the server besides, `params` what its task needs to know.
 * @throws ConflictError in the words that clients know: locked, wrong state, not ready, something else running
 */
export async function startAction(
  session: WriteSession,
  cloud: Cloud,
  actor: Actor,
  server: Server,
  operation: HostAction,
  set: Partial<Server> = {},
  params: Readonly<Record<string, unknown>> = {},
): Promise<Server> {
  const action = actions[operation];
  if (!action.evenLocked) requireUnlocked(server, actor.caller);
  requireState(server, operation, action.name);
  if (!action.hostless) requireHost(server);
  if (!action.endsResize && (await openMigration(session, server.id)))
    throw new ConflictError(
      `Cannot '${action.name}' instance ${server.id} while its resize is neither confirmed nor reverted`,
      'InstanceInvalidState',
    );
  const change: Partial<Server> = {
    ...set,
    task_state: action.taskState,
    generation: server.generation + 1,
    updated_at: cloud.clock.now(),
  };
  await session.update(servers, { id: server.id, deleted_at: IsNull() }, change);
  await createTask(session, cloud, {
    kind: action.kind,
    resourceType: 'server',
    resourceId: server.id,
    params: { ...action.params, ...params, action: action.name, was: server.vm_state },
    requestId: actor.requestId,
    projectId: server.project_id,
    userId: actor.caller.userId,
    deadlineSeconds: action.deadlineSeconds ?? DEADLINE_SECONDS,
  });
  return { ...server, ...change };
}

/** Keeps a record of something that was done at once, beside the tasks that are the records of everything else. */
export const record = (
  session: WriteSession,
  cloud: Cloud,
  actor: Actor,
  server: Server,
  kind: string,
  message: string,
): Promise<void> =>
  recordDone(
    session,
    cloud,
    {
      kind,
      resourceType: 'server',
      resourceId: server.id,
      requestId: actor.requestId,
      projectId: server.project_id,
      userId: actor.caller.userId,
    },
    message,
  );

/** Nobody but an administrator changes a locked server. Locking again changes the reason. */
export async function lockServer(
  session: WriteSession,
  cloud: Cloud,
  actor: Actor,
  server: Server,
  reason: string | null,
): Promise<void> {
  const owner = actor.caller.projectId === server.project_id;
  const set = { locked: true, locked_by: owner ? 'owner' : 'admin', locked_reason: reason };
  await session.update(servers, { id: server.id }, { ...set, updated_at: cloud.clock.now() });
  await record(session, cloud, actor, server, 'server.lock', 'the server is locked');
}

/** @throws ForbiddenError when an administrator locked it and the caller is none */
export async function unlockServer(session: WriteSession, cloud: Cloud, actor: Actor, server: Server): Promise<void> {
  const owner = actor.caller.projectId === server.project_id;
  if (server.locked_by !== null && server.locked_by !== (owner ? 'owner' : 'admin')) {
    const rule = 'os_compute_api:os-lock-server:unlock:unlock_override';
    if (!cloud.policy.allows(actor.caller, rule, { project_id: server.project_id }))
      throw new ForbiddenError(`Policy doesn't allow ${rule} to be performed.`, 'PolicyNotAuthorized', { rule });
  }
  const set = { locked: false, locked_by: null, locked_reason: null, updated_at: cloud.clock.now() };
  await session.update(servers, { id: server.id }, set);
  await record(session, cloud, actor, server, 'server.unlock', 'the server is unlocked');
}

/** An administrator's word about what the server is; nothing on the host changes. */
export async function resetState(
  session: WriteSession,
  cloud: Cloud,
  actor: Actor,
  server: Server,
  state: 'active' | 'error',
): Promise<void> {
  const set = { vm_state: state, task_state: null, updated_at: cloud.clock.now() };
  await session.update(servers, { id: server.id }, set);
  await record(session, cloud, actor, server, 'server.resetState', `an administrator set the state to ${state}`);
}
