// How a service starts durable work: it inserts a task in the transaction that makes or changes the resource.
import { newId } from '@cumulet/common';
import type { Cloud } from '../cloud';
import { In, isDuplicate, type Row, type WriteSession } from '../db';
import { taskEvents, taskResources, tasks } from '../db/entities/tasks';
import { makeDue } from '../db/repositories/dueTasks';
import { ConflictError } from '../errors';

/** The step of a task that has not begun: the engine goes to the first step of its kind. */
export const NEW_STEP = 'new';

export interface TaskRequest {
  /** "server.create"; the conductor knows its steps. */
  readonly kind: string;
  readonly resourceType: string;
  readonly resourceId: string;
  /** What the steps need beyond the resource itself. */
  readonly params?: Readonly<Record<string, unknown>>;
  readonly requestId: string;
  /** The grant: on whose behalf the work is done. Never a token. */
  readonly projectId: string | null;
  readonly userId: string | null;
  /** The resource was made in the same transaction: nobody else can be working on it. */
  readonly ofNew?: boolean;
  /** Seconds until the task must have ended; absent for a teardown, which has no deadline. */
  readonly deadlineSeconds?: number;
}

function row(cloud: Cloud, request: TaskRequest): Row<typeof tasks> {
  const now = cloud.clock.now();
  return {
    id: newId(),
    kind: request.kind,
    resource_type: request.resourceType,
    resource_id: request.resourceId,
    active: 1,
    step: NEW_STEP,
    params: { ...request.params },
    state: {},
    attempt: 0,
    send: 1,
    run_at: now,
    lease_owner: null,
    lease_until: null,
    deadline_at: request.deadlineSeconds === undefined ? null : now + request.deadlineSeconds * 1000,
    delete_requested_at: null,
    request_id: request.requestId,
    project_id: request.projectId,
    user_id: request.userId,
    error: null,
    created_at: now,
    finished_at: null,
  };
}

/**
 * Inserts a task; it begins once the transaction has been committed. Returns its id.
 * @throws ConflictError when another operation on the resource is running.
 */
export async function createTask(session: WriteSession, cloud: Cloud, request: TaskRequest): Promise<string> {
  const task = row(cloud, request);
  try {
    await (request.ofNew ? session.append(tasks, task) : session.insert(tasks, task));
  } catch (error) {
    if (!isDuplicate(error)) throw error;
    throw new ConflictError(
      `Another operation on ${request.resourceType} ${request.resourceId} is running; try again when it has ended.`,
      'OperationInProgress',
    );
  }
  const { id: task_id, resource_type, resource_id } = task;
  // Nobody else holds a resource of which this task has just become the active one.
  await session.append(taskResources, { task_id, resource_type, resource_id, active: 1 });
  session.afterCommit(cloud.wake);
  return task.id;
}

/**
 * Asks for the teardown of a resource: a running task turns into the teardown before its next step, otherwise a task of
 * kind `request.kind` begins. Asking twice is the same as asking once.
 */
export async function requestDelete(session: WriteSession, cloud: Cloud, request: TaskRequest): Promise<void> {
  const now = cloud.clock.now();
  const running = { resource_type: request.resourceType, resource_id: request.resourceId, active: 1 };
  const turned = await makeDue(session, running, now, { delete_requested_at: now });
  if (turned === 0) await createTask(session, cloud, request);
  session.afterCommit(cloud.wake);
}

/** Makes what waits for these resources look at them again now, not when its wait ends. */
export async function rouseTasks(
  session: WriteSession,
  cloud: Cloud,
  resourceType: string,
  resourceIds: readonly string[],
): Promise<void> {
  if (resourceIds.length === 0) return;
  const waiting = { resource_type: resourceType, resource_id: In([...resourceIds]), active: 1 };
  await makeDue(session, waiting, cloud.clock.now());
  session.afterCommit(cloud.wake);
}

/** Records something that was done at once in the request itself, so that it stands in the resource's timeline too. */
export async function recordDone(
  session: WriteSession,
  cloud: Cloud,
  request: TaskRequest,
  message: string,
): Promise<void> {
  const now = cloud.clock.now();
  const task = { ...row(cloud, request), active: null, step: 'done', finished_at: now };
  await session.insert(tasks, task);
  await session.insert(taskEvents, {
    task_id: task.id,
    resource_id: task.resource_id,
    step: task.step,
    started_at: now,
    ended_at: now,
    outcome: 'done',
    message,
  });
}
