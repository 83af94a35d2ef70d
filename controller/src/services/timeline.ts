// What happened to a resource and why: the tasks that worked on it, their steps, causes and times.
import type { Cloud } from '../cloud';
import { In } from '../db';
import { taskEvents, tasks } from '../db/entities/tasks';

export interface TimelineStep {
  readonly step: string;
  readonly outcome: string;
  readonly message: string;
  /** Milliseconds since the epoch. */
  readonly startedAt: number;
  readonly milliseconds: number;
}

export interface TimelineTask {
  readonly id: string;
  readonly kind: string;
  readonly requestId: string;
  readonly running: boolean;
  /** The step that it is in or ended in. */
  readonly step: string;
  readonly error: string | null;
  readonly createdAt: number;
  readonly finishedAt: number | null;
  readonly steps: readonly TimelineStep[];
}

/** The tasks of a resource, oldest first, with their steps; two queries. At most the newest 50 tasks. */
export async function timelineOf(cloud: Cloud, resourceType: string, resourceId: string): Promise<TimelineTask[]> {
  return cloud.db.read(async (session) => {
    const newest = await session.find(tasks, {
      where: { resource_type: resourceType, resource_id: resourceId },
      order: { created_at: 'DESC' },
      limit: 50,
    });
    const events = await session.find(taskEvents, {
      where: { task_id: In(newest.map(({ id }) => id)) },
      order: { sequence: 'ASC' },
    });
    return newest.reverse().map((task) => ({
      id: task.id,
      kind: task.kind,
      requestId: task.request_id,
      running: task.active === 1,
      step: task.step,
      error: task.error,
      createdAt: task.created_at,
      finishedAt: task.finished_at,
      steps: events
        .filter((event) => event.task_id === task.id)
        .map(({ step, outcome, message, started_at, ended_at }) => ({
          step,
          outcome,
          message,
          startedAt: started_at,
          milliseconds: ended_at - started_at,
        })),
    }));
  });
}
