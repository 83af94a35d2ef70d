// What a run of a step does to its task: each result is one transaction, with its entry in the timeline.
import { messageOf, metrics } from '@cumulet/common';
import type { Cloud } from '../cloud';
import type { WriteOptions, WriteSession } from '../db';
import { taskEvents, taskReplies, taskResources, type Task } from '../db/entities/tasks';
import { LeaseLost, type Leases } from './leases';
import type { Fault, StepResult, TaskKind } from './task';

/** What its dispatcher does with the task next. */
export type Outcome =
  | {
      readonly type: 'again';
      /** The task as it is now; absent when it must be read. */
      readonly task?: Task | undefined;
    }
  | {
      readonly type: 'pause';
      /** The same. */
      readonly task: Task;
      readonly ms: number;
      /** Without news the hosts are asked again afterwards. */
      readonly resend: boolean;
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

/** A task that a dispatcher holds, as it knows it. */
export interface Run {
  readonly task: Task;
  readonly kind: TaskKind;
  /** When the step's first run began, in milliseconds since the epoch. */
  readonly started: number;
  /** Whether replies to it may be in the database. */
  readonly recorded: boolean;
}

/** All throw LeaseLost when the task is another's. */
export function createOutcomes(cloud: Cloud, options: OutcomeOptions) {
  const { leases, firstOf, maxBackoffMs, askAgainFactor, isDead } = options;

  async function commit<T>(work: (session: WriteSession) => Promise<T>, options: WriteOptions = {}): Promise<T> {
    if (isDead()) throw new LeaseLost('of a dead engine');
    return cloud.db.write(work, options);
  }

  async function note(
    session: WriteSession,
    { task, started }: Pick<Run, 'task' | 'started'>,
    outcome: string,
    message: string,
  ): Promise<void> {
    const { id: task_id, resource_id, step } = task;
    session.afterCommit(() => metrics.steps.inc({ kind: task.kind, step, outcome }));
    await session.append(taskEvents, {
      task_id,
      resource_id,
      step,
      started_at: started,
      ended_at: cloud.clock.now(),
      outcome,
      message,
    });
  }

  async function finish(session: WriteSession, { task, kind, recorded }: Run, error: string | null): Promise<void> {
    const known = await leases.finish(session, task, kind.onDelete !== undefined, {
      active: null,
      finished_at: cloud.clock.now(),
      error,
      lease_owner: null,
      lease_until: null,
    });
    await session.update(taskResources, { task_id: task.id }, { active: null });
    if (recorded || !known) await session.delete(taskReplies, { task_id: task.id });
  }

  /** The task goes on as another kind: a teardown. */
  async function turnInto(
    run: Run,
    kindName: string,
    outcome: string,
    message: string,
    facts: object,
  ): Promise<Outcome> {
    const { task } = run;
    const turned = await commit(async (session) => {
      await note(session, run, outcome, message);
      return leases.change(session, task, {
        kind: kindName,
        step: firstOf(kindName),
        state: { ...task.state, ...facts },
        attempt: 0,
        send: 1,
        deadline_at: null,
        run_at: cloud.clock.now(),
      });
    });
    return { type: 'again', task: turned };
  }

  async function failTask(run: Run, fault: Fault): Promise<Outcome> {
    const { onFail } = run.kind;
    if (onFail === 'never') return retry(run, new Error(fault.message));
    if ('teardown' in onFail) return turnInto(run, onFail.teardown, 'fail', fault.message, { fault });
    await commit(async (session) => {
      await finish(session, run, fault.message);
      await onFail.write(session, run.task, fault, cloud);
      await note(session, run, 'fail', fault.message);
    });
    return { type: 'ended' };
  }

  /** Tries the step again later: 2, 4, 8, ... seconds with up to a quarter of jitter; at once when there is news. */
  async function retry(run: Run, error: unknown): Promise<Outcome> {
    const { task } = run;
    const attempt = task.attempt + 1;
    const ms = Math.min(2 ** attempt * 1000, maxBackoffMs) * (1 + Math.random() / 4);
    const run_at = cloud.clock.now() + Math.round(ms);
    const message = messageOf(error);
    cloud.log.warn(
      { task: task.id, request_id: task.request_id, kind: task.kind, step: task.step, attempt, error: message },
      'step failed; it will be tried again',
    );
    const tried = await commit(async (session) => {
      await note(session, run, 'retry', message);
      return leases.change(session, task, { attempt, send: task.send + 1, error: message, run_at });
    });
    return tried ? { type: 'pause', task: tried, ms, resend: false } : { type: 'again' };
  }

  async function goOn(run: Run, result: StepResult & { type: 'next' }): Promise<Outcome> {
    const { task, recorded } = run;
    const gone = await commit(async (session) => {
      const more = await result.write?.(session);
      const changed = await leases.change(session, task, {
        step: result.step,
        state: { ...task.state, ...result.facts, ...more },
        attempt: 0,
        send: 1,
        error: null,
        run_at: cloud.clock.now(),
      });
      if (recorded || !changed) await session.delete(taskReplies, { task_id: task.id });
      await note(session, run, 'next', result.message ?? '');
      return changed;
    }, result);
    return { type: 'again', task: gone };
  }

  async function settle(run: Run, result: StepResult): Promise<Outcome> {
    switch (result.type) {
      case 'wait':
        return { type: 'pause', task: run.task, ms: result.seconds * 1000 * askAgainFactor, resend: true };
      case 'fail':
        return failTask(run, result.fault);
      case 'done':
        await commit(async (session) => {
          await finish(session, run, null);
          await result.write?.(session);
          await note(session, run, 'done', result.message ?? '');
        });
        return { type: 'ended' };
      case 'next':
        return goOn(run, result);
    }
  }

  /** Nobody answered in time: the next run asks again, under a new number. @returns the task as it is now, if that is known */
  async function resend(run: Pick<Run, 'task' | 'started'>): Promise<Task | undefined> {
    const { task } = run;
    return commit(async (session) => {
      await note(session, run, 'wait', 'no answer in time; asking again');
      return leases.change(session, task, { send: task.send + 1, run_at: cloud.clock.now() });
    });
  }

  return { turnInto, failTask, retry, settle, resend };
}
