// What was done with a server, as its owner sees it: tasks are the actions, their steps the events.
import { In, list, type Condition, type ReadSession } from '../../db';
import { taskEvents, tasks, type Task, type TaskEvent } from '../../db/entities/tasks';
import { InvalidError, NotFoundError } from '../../errors';

interface InstanceActionEvent {
  readonly name: string;
  readonly startedAt: number;
  readonly endedAt: number;
  readonly failed: boolean;
  readonly message: string;
}

export interface InstanceAction {
  readonly action: string;
  readonly requestId: string;
  readonly userId: string | null;
  readonly projectId: string | null;
  readonly startedAt: number;
  readonly updatedAt: number;
  readonly failed: boolean;
  readonly events: readonly InstanceActionEvent[];
}

/** Outcomes of a step's run that are events; waiting and replies are not. */
const ended = new Set(['next', 'done', 'fail', 'retry']);

/** The name of what a user asked for: a task that became a teardown keeps it. */
function nameOf(task: Task): string {
  const { action } = task.params;
  return typeof action === 'string' ? action : (task.kind.split('.').at(-1) ?? task.kind);
}

function actionOf(task: Task, events: readonly TaskEvent[]): InstanceAction {
  const own = events.filter((event) => event.task_id === task.id && ended.has(event.outcome));
  return {
    action: nameOf(task),
    requestId: task.request_id,
    userId: task.user_id,
    projectId: task.project_id,
    startedAt: task.created_at,
    updatedAt: task.finished_at ?? own.at(-1)?.ended_at ?? task.created_at,
    failed: own.some((event) => event.outcome === 'fail'),
    events: own.map((event) => ({
      name: `compute_${event.step}`,
      startedAt: event.started_at,
      endedAt: event.ended_at,
      failed: event.outcome === 'fail' || event.outcome === 'retry',
      message: event.message,
    })),
  };
}

export interface ActionFilters {
  readonly since?: number;
  readonly before?: number;
  readonly limit: number;
  /** A request id. */
  readonly marker?: string;
}

async function eventsOf(session: ReadSession, rows: readonly Task[]): Promise<TaskEvent[]> {
  const ids = rows.map((row) => row.id);
  return session.find(taskEvents, { where: { task_id: In(ids) }, order: { sequence: 'ASC' } });
}

/** A server's actions, newest first. @throws InvalidError for an unknown marker */
export async function listActions(
  session: ReadSession,
  serverId: string,
  filters: ActionFilters,
): Promise<InstanceAction[]> {
  const own: Condition<typeof tasks>[] = [
    { column: 'resource_type', op: '=', value: 'server' },
    { column: 'resource_id', op: '=', value: serverId },
  ];
  const where = { resource_type: 'server', resource_id: serverId, request_id: filters.marker ?? '' };
  const marker = filters.marker === undefined ? undefined : await session.findOne(tasks, where);
  if (filters.marker !== undefined && !marker)
    throw new InvalidError(`Marker ${filters.marker} could not be found.`, 'MarkerNotFound');
  if (filters.limit === 0) return [];
  const rows = await list(session, tasks, {
    conditions: own,
    sort: [{ column: 'created_at', direction: 'desc' }],
    ...(marker ? { marker } : {}),
  });
  const events = await eventsOf(session, rows);
  return rows
    .map((row) => actionOf(row, events))
    .filter((one) => one.updatedAt >= (filters.since ?? 0) && one.updatedAt <= (filters.before ?? Infinity))
    .slice(0, filters.limit);
}

/** One action by the request that asked for it. @throws NotFoundError */
export async function findAction(session: ReadSession, serverId: string, requestId: string): Promise<InstanceAction> {
  const row = await session.findOne(tasks, {
    resource_type: 'server',
    resource_id: serverId,
    request_id: requestId,
  });
  if (!row) throw new NotFoundError(`Action for request_id ${requestId} on instance ${serverId} not found`);
  return actionOf(row, await eventsOf(session, [row]));
}
