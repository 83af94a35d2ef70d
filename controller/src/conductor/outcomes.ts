// What a run of a step does to its task: each result is one transaction, with its entry in the timeline.
import { messageOf, metrics } from '@cumulet/common';
import type { Cloud } from '../cloud';
import type { WriteSession } from '../db';
import { taskEvents, taskReplies, taskResources, type Task } from '../db/entities/tasks';
import { LeaseLost, type Leases } from './leases';
import type { Fault, StepResult, TaskKind } from './task';

/** What its dispatcher does with the task next. */
export type Outcome =
  | { readonly type: 'again' }
  | {
      readonly type: 'pause';
      readonly ms: number;
      /** Without news the hosts are asked again afterwards. */
      readonly resend: boolean;
      /** The `run_at` that was written, which is no news. */
      readonly runAt?: number;
    }
  | { readonly type: 'ended' };

export interface OutcomeOptions {
  readonly leases: Leases;
  /** The first step of a kind. */
  readonly firstOf: (kind: string) => string;
  readonly maxBackoffMs: number;
  readonly askAgainFactor: number;
  /** A killed engine writes nothing. */
  readonly isDead: () => boolean;
}

/** `started` is when the step's run began, in milliseconds since the epoch. All throw LeaseLost when the task is another's. */
export function createOutcomes(cloud: Cloud, options: OutcomeOptions) {
  const { leases, firstOf, maxBackoffMs, askAgainFactor, isDead } = options;

  async function commit(work: (session: WriteSession) => Promise<void>): Promise<void> {
    if (isDead()) throw new LeaseLost('of a dead engine');
    await cloud.db.write(work);
  }

  async function note(
    session: WriteSession,
    task: Task,
    started: number,
    outcome: string,
    message: string,
  ): Promise<void> {
    const { id: task_id, resource_id, step } = task;
    session.afterCommit(() => metrics.steps.inc({ kind: task.kind, step, outcome }));
    await session.insert(taskEvents, {
      task_id,
      resource_id,
      step,
      started_at: started,
      ended_at: cloud.clock.now(),
      outcome,
      message,
    });
  }

  async function finish(session: WriteSession, task: Task, kind: TaskKind, error: string | null): Promise<void> {
    await leases.finish(session, task, kind.onDelete !== undefined, {
      active: null,
      finished_at: cloud.clock.now(),
      error,
      lease_owner: null,
      lease_until: null,
    });
    await session.update(taskResources, { task_id: task.id }, { active: null });
    await session.delete(taskReplies, { task_id: task.id });
  }

  /** The task goes on as another kind: a teardown. */
  async function turnInto(
    task: Task,
    started: number,
    kindName: string,
    outcome: string,
    message: string,
    facts: object,
  ): Promise<void> {
    const state = { ...task.state, ...facts };
    await commit(async (session) => {
      await leases.change(session, task, {
        kind: kindName,
        step: firstOf(kindName),
        state,
        attempt: 0,
        send: 1,
        deadline_at: null,
        run_at: cloud.clock.now(),
      });
      await note(session, task, started, outcome, message);
    });
  }

  async function failTask(task: Task, kind: TaskKind, started: number, fault: Fault): Promise<Outcome> {
    const { onFail } = kind;
    if (onFail === 'never') return retry(task, started, new Error(fault.message));
    if ('teardown' in onFail) {
      await turnInto(task, started, onFail.teardown, 'fail', fault.message, { fault });
      return { type: 'again' };
    }
    await commit(async (session) => {
      await finish(session, task, kind, fault.message);
      await onFail.write(session, task, fault, cloud);
      await note(session, task, started, 'fail', fault.message);
    });
    return { type: 'ended' };
  }

  /** Tries the step again later: 2, 4, 8, ... seconds with up to a quarter of jitter. */
  async function retry(task: Task, started: number, error: unknown): Promise<Outcome> {
    const attempt = task.attempt + 1;
    const ms = Math.min(2 ** attempt * 1000, maxBackoffMs) * (1 + Math.random() / 4);
    const runAt = cloud.clock.now() + Math.round(ms);
    const message = messageOf(error);
    cloud.log.warn(
      { task: task.id, request_id: task.request_id, kind: task.kind, step: task.step, attempt, error: message },
      'step failed; it will be tried again',
    );
    await commit(async (session) => {
      await leases.change(session, task, {
        attempt,
        send: task.send + 1,
        error: message,
        run_at: runAt,
      });
      await note(session, task, started, 'retry', message);
    });
    return { type: 'pause', ms, resend: false, runAt };
  }

  async function settle(task: Task, kind: TaskKind, started: number, result: StepResult): Promise<Outcome> {
    switch (result.type) {
      case 'wait':
        return { type: 'pause', ms: result.seconds * 1000 * askAgainFactor, resend: true };
      case 'fail':
        return failTask(task, kind, started, result.fault);
      case 'done':
        await commit(async (session) => {
          await finish(session, task, kind, null);
          await result.write?.(session);
          await note(session, task, started, 'done', result.message ?? '');
        });
        return { type: 'ended' };
      case 'next':
        await commit(async (session) => {
          const state = { ...task.state, ...result.facts };
          const now = cloud.clock.now();
          await leases.change(session, task, {
            step: result.step,
            state,
            attempt: 0,
            send: 1,
            error: null,
            run_at: now,
          });
          const more = await result.write?.(session);
          if (more) await leases.change(session, task, { state: { ...state, ...more } });
          await session.delete(taskReplies, { task_id: task.id });
          await note(session, task, started, 'next', result.message ?? '');
        });
        return { type: 'again' };
    }
  }

  /** Nobody answered in time: the next run asks again, under a new number. */
  async function resend(task: Task, started: number): Promise<void> {
    await commit(async (session) => {
      await leases.change(session, task, { send: task.send + 1, run_at: cloud.clock.now() });
      await note(session, task, started, 'wait', 'no answer in time; asking again');
    });
  }

  return { turnInto, failTask, retry, settle, resend };
}
