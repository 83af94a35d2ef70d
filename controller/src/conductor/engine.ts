// The dispatcher: leases due tasks, runs their steps, has the results committed. Everything it keeps in memory may be lost at any moment.
import { setImmediate } from 'node:timers/promises';
import { messageOf, newId, type Reply, type Subscription } from '@cumulet/common';
import type { Cloud } from '../cloud';
import type { Task } from '../db/entities/tasks';
import { inRound } from '../rounds';
import { NEW_STEP } from '../services/tasks';
import {
  counts,
  createAsk,
  noteProgress,
  passOnProgress,
  recordReply,
  repliesOf,
  takeAnswer,
  type Questions,
} from './asks';
import { createLeases, DeletionAsked, LeaseLost, tasksById, type Leases } from './leases';
import { createOutcomes, type Outcome, type Run } from './outcomes';
import { HostFault, type Step, type StepResult, type TaskKind } from './task';

export interface EngineOptions {
  readonly kinds: readonly TaskKind[];
  /** Lease length; default 10 s. It is renewed after 0.3 of it. */
  readonly leaseMs?: number;
  /** How often the database is asked for due tasks besides being woken; default 1 s. */
  readonly pollMs?: number;
  /** How often it looks for news of what it holds, where other controllers write to the same database; default 200 ms. */
  readonly newsMs?: number;
  /** A step that takes longer is aborted; default 45 s. */
  readonly stepMs?: number;
  /** Longest pause between tries; default 300 s. */
  readonly maxBackoffMs?: number;
  /** Tasks that are held at once; default 512. */
  readonly concurrency?: number;
  /** Multiplies the time that a step waits for an answer; tests make it small. Default 1. */
  readonly askAgainFactor?: number;
  /** Called before and after each step's run; a test kills the engine here. */
  readonly observer?: EngineObserver;
}

export interface EngineObserver {
  beforeStep?(task: Task): Promise<void> | void;
  /** After the step ran and before its result is committed. */
  afterStep?(task: Task, result: StepResult): Promise<void> | void;
}

export interface Engine {
  start(): Promise<void>;
  /** Looks for work now. */
  wake(): void;
  /** Lets running steps finish, then gives the leases back. */
  stop(): Promise<void>;
  /** Stops as a crash would: nothing more is written and leases stay until they run out. For tests. */
  kill(): Promise<void>;
}

/** What this process knows of a task that it holds. */
interface Held {
  readonly questions: Questions;
  /** As last read or written by us. */
  task: Task;
  /** Others may have changed it: it is read again before the next run. */
  stale: boolean;
  /** When our lease ends by what we know, in milliseconds since the epoch. */
  until: number;
  /** Answers may be in the database: another process had the task, or got a reply. */
  unread: boolean;
  /** Some were there, and may still be. */
  recorded: boolean;
  /** Between two runs. What comes while a step runs it may not see. */
  resting: boolean;
  stepStarted: number;
  /** Ends the pause between two runs. */
  rouse: () => void;
  /** Aborts the running step; absent until the first one runs. */
  abort?: (reason: Error) => void;
  /** News came while the step ran. */
  news: boolean;
  /** The resources of the tasks that were begun with it, until the first run is over. */
  together: readonly string[] | undefined;
}

/** Tasks that are begun in one go: those that decide have decided before others begin. */
const AT_ONCE = 3;
/** Tasks that share what they read when they begin: none of them begins long after that. */
const TOGETHER = 15;

/** News are looked for among tasks whose time to run is this young: longer than a transaction takes that brings some. */
const RECENT_MS = 15_000;

export function createEngine(cloud: Cloud, options: EngineOptions): Engine {
  const {
    leaseMs = 10_000,
    pollMs = 1000,
    newsMs = 200,
    stepMs = 45_000,
    maxBackoffMs = 300_000,
    concurrency = 512,
    askAgainFactor = 1,
    observer,
  } = options;
  const kinds = new Map(options.kinds.map((kind) => [kind.kind, kind]));
  const leases: Leases = createLeases(cloud.db, { owner: newId(), leaseMs });
  /** NEW_STEP itself of an unknown kind, which then fails in words. */
  const firstOf = (kind: string): string => kinds.get(kind)?.first ?? NEW_STEP;
  const { turnInto, failTask, retry, settle, resend } = createOutcomes(cloud, {
    leases,
    firstOf,
    maxBackoffMs,
    askAgainFactor,
    isDead: () => dead,
  });
  const held = new Map<string, Held>();
  const drives = new Set<Promise<void>>();
  const stopping = new AbortController();
  let dead = false;
  /** The last look at the database may not have seen everything that is due. */
  let crowded = false;
  let rousePoll: () => void = () => undefined;
  let subscription: Subscription | undefined;
  let loops: Promise<unknown> = Promise.resolve();

  const pause = async (
    wait: (signal: AbortSignal) => Promise<void>,
    expose: (rouse: () => void) => void,
  ): Promise<void> => {
    const early = new AbortController();
    expose(() => early.abort());
    await wait(AbortSignal.any([early.signal, stopping.signal]));
  };

  /** Reads what others have recorded. What they record meanwhile is for the next run to read. */
  async function readAnswers(task: Task, holder: Held): Promise<void> {
    holder.unread = false;
    try {
      const replies = await repliesOf(cloud, task);
      holder.recorded ||= replies.length > 0;
      holder.questions.answers.push(...replies);
    } catch (error) {
      holder.unread = true;
      throw error;
    }
  }

  /** Runs the step with its time limit; the signal is also aborted by a deletion. */
  async function runStep(task: Task, step: Step, holder: Held): Promise<StepResult> {
    const aborter = new AbortController();
    holder.abort = (reason) => aborter.abort(reason);
    const timer = setTimeout(
      () => aborter.abort(new Error(`step ${task.step} took longer than ${stepMs / 1000} s`)),
      stepMs,
    );
    const aborted = new Promise<never>((_resolve, reject) => {
      aborter.signal.addEventListener('abort', () => reject(aborter.signal.reason as Error));
    });
    aborted.catch(() => undefined);
    try {
      const { questions } = holder;
      if (holder.unread) await readAnswers(task, holder);
      const ask = createAsk(cloud, task, questions, aborter.signal);
      await observer?.beforeStep?.(task);
      const result = await Promise.race([
        step({ cloud, task, signal: aborter.signal, together: holder.together ?? [task.resource_id], ask }),
        aborted,
      ]);
      await observer?.afterStep?.(task, result);
      return result;
    } finally {
      clearTimeout(timer);
    }
  }

  /** One run of the task's current step, or the change of kind that comes before it. */
  async function advance(kind: TaskKind, holder: Held): Promise<Outcome> {
    const { task } = holder;
    const run = (): Run => ({ task, kind, started: holder.stepStarted, recorded: holder.unread || holder.recorded });
    if (task.delete_requested_at !== null && kind.onDelete !== undefined)
      return turnInto(run(), kind.onDelete, 'next', 'deletion was asked for', {});
    const now = cloud.clock.now();
    if (task.deadline_at !== null && task.deadline_at <= now) {
      const why = task.error ? ` Last problem: ${task.error}` : '';
      const seconds = Math.round((task.deadline_at - task.created_at) / 1000);
      return failTask(run(), {
        code: 'deadline',
        message: `Not finished within ${seconds} s, in step ${task.step}.${why}`,
      });
    }
    const step = kind.steps[task.step];
    if (!step)
      return failTask(run(), {
        code: 'unknown_step',
        message: `This version does not know step ${task.step} of ${task.kind}.`,
      });
    try {
      const result = await runStep(task, step, holder);
      return await settle(run(), result);
    } catch (error) {
      if (error instanceof LeaseLost || error instanceof DeletionAsked) throw error;
      if (error instanceof HostFault && !error.retryable && kind.onFail !== 'never')
        return failTask(run(), error.fault);
      return retry(run(), error);
    }
  }

  /** A deletion that came in between is what the next run looks at first. */
  function turned(error: unknown): Outcome {
    if (error instanceof DeletionAsked) return { type: 'again' };
    throw error;
  }

  async function rest(holder: Held, outcome: Outcome & { type: 'pause' }): Promise<void> {
    const { task } = outcome;
    holder.task = task;
    const untilDeadline = task.deadline_at === null ? Infinity : Math.max(0, task.deadline_at - cloud.clock.now());
    const ms = Math.min(outcome.ms, untilDeadline);
    let roused = holder.news;
    if (!roused) {
      holder.resting = true;
      await pause(
        (signal) => cloud.clock.sleep(ms, signal),
        (rouse) => {
          holder.rouse = () => {
            roused = true;
            rouse();
          };
        },
      );
      holder.resting = false;
    }
    if (stopping.signal.aborted) return;
    if (!roused && outcome.resend && ms === outcome.ms)
      know(holder, await resend({ task, started: holder.stepStarted }));
  }

  /** What a commit of ours made of the task; undefined when others have changed it too. */
  function know(holder: Held, task: Task | undefined): void {
    if (task) holder.task = task;
    else holder.stale = holder.unread = true;
  }

  /** The task as it is now, when what we know may be old: it was changed by others, or our lease of it may have ended. */
  async function look(holder: Held): Promise<boolean> {
    if (!holder.stale && cloud.clock.now() < holder.until) return true;
    holder.stale = false;
    const [task] = await tasksById(cloud.db, [holder.task.id]);
    if (!task || task.active !== 1 || task.lease_owner !== leases.owner) return false;
    holder.task = task;
    holder.until = Number(task.lease_until);
    return true;
  }

  /** Drives one task that we hold until it ends, its lease is lost or we stop. */
  async function drive(taken: Task, begun: boolean, together: readonly string[]): Promise<void> {
    const { id } = taken;
    const holder: Held = {
      questions: { sent: new Set(), answers: [], open: new Set() },
      task: taken,
      stale: false,
      until: Number(taken.lease_until),
      unread: begun,
      recorded: false,
      resting: false,
      stepStarted: cloud.clock.now(),
      rouse: () => undefined,
      news: false,
      together,
    };
    held.set(id, holder);
    let step = '';
    try {
      while (!stopping.signal.aborted) {
        holder.news = false;
        if (!(await look(holder))) return;
        const kind = kinds.get(holder.task.kind);
        if (!kind) return;
        if (holder.task.step !== step) {
          if (step !== '') holder.stepStarted = cloud.clock.now();
          ({ step } = holder.task);
        }
        const outcome = await advance(kind, holder).catch(turned);
        holder.together = undefined;
        if (outcome.type === 'ended') return;
        if (outcome.type === 'pause') await rest(holder, outcome);
        else {
          holder.questions.answers = [];
          know(holder, outcome.task);
        }
      }
    } catch (error) {
      if (!(error instanceof LeaseLost))
        cloud.log.error(
          { task: id, error: messageOf(error) },
          'task dropped; another dispatcher takes it when its lease ends',
        );
    } finally {
      held.delete(id);
    }
  }

  /** Tells a held task that something changed: a reply, or a deletion. */
  function inform(holder: Held, deleted: boolean): void {
    holder.news = true;
    if (deleted) holder.abort?.(new DeletionAsked());
    holder.rouse();
  }

  /**
   * Takes a reply to a task that we hold. One that counts stays in memory, because who takes the task over asks again; the step runs
   * when it has what it waits for.
   */
  async function takeReply(holder: Held, reply: Reply): Promise<void> {
    if (reply.outcome !== 'progress') {
      if (!counts(holder.task, reply)) return recordReply(cloud, reply);
      if (!takeAnswer(holder.questions, reply) && holder.resting) return;
    } else await noteProgress(cloud, reply);
    inform(holder, false);
  }

  /** What others did to the tasks that we hold: they recorded a reply, or asked for a deletion. */
  async function hear(since?: number): Promise<void> {
    if (held.size === 0) return;
    // What we have changed ourselves meanwhile is no news.
    const before = new Map([...held].map(([id, { task }]) => [id, task.run_at]));
    for (const task of await leases.ours(since)) {
      const holder = held.get(task.id);
      if (!holder || task.run_at === holder.task.run_at || task.run_at === before.get(task.id)) continue;
      holder.stale = holder.unread = true;
      inform(holder, task.delete_requested_at !== null && kinds.get(task.kind)?.onDelete !== undefined);
    }
  }

  /** Leases what is free, as far as there is room. */
  async function takeFree(): Promise<void> {
    const now = cloud.clock.now();
    const room = concurrency - held.size;
    const rows = room > 0 ? await leases.free([...kinds.keys()], now, room) : [];
    crowded = rows.length === Math.max(room, 0);
    // A lease of ours may have run out before it was renewed.
    const free = rows.filter((task) => !held.has(task.id));
    if (free.length === 0) return;
    const begun = new Set(free.flatMap(({ id, step }) => (step === NEW_STEP ? [] : [id])));
    const wanted = free.map((task) => ({ task, step: task.step === NEW_STEP ? firstOf(task.kind) : task.step }));
    const taken = await leases.take(wanted, now);
    let together: readonly string[] = [];
    for (const [at, task] of taken.entries()) {
      if (at % TOGETHER === 0) together = taken.slice(at, at + TOGETHER).map(({ resource_id }) => resource_id);
      // Who shared the commit goes on first, and so do those that were begun.
      if (at % AT_ONCE === 0) await setImmediate();
      const driving: Promise<void> = drive(task, begun.has(task.id), together).finally(() => {
        drives.delete(driving);
        if (crowded) rousePoll();
      });
      drives.add(driving);
    }
  }

  /** A lease that may have ended before it was renewed may be another's by now. */
  async function renew(): Promise<void> {
    const now = cloud.clock.now();
    const renewed = [...held];
    await leases.renew(
      renewed.map(([id]) => id),
      now,
    );
    for (const [, holder] of renewed) if (cloud.clock.now() < holder.until) holder.until = now + leaseMs;
  }

  const poll = (): Promise<void> =>
    inRound(async () => {
      await hear();
      await takeFree();
    });

  async function repeat(ms: number, work: () => Promise<void>, expose: (rouse: () => void) => void): Promise<void> {
    while (!stopping.signal.aborted) {
      let roused = false;
      let end: () => void = () => undefined;
      // Roused while it works: works once more at once.
      expose(() => {
        roused = true;
        end();
      });
      await work().catch((error: unknown) => cloud.log.error({ error: messageOf(error) }, 'dispatcher'));
      if (!roused)
        await pause(
          (signal) => cloud.clock.tick(ms, signal),
          (rouse) => void (end = rouse),
        );
    }
  }

  return {
    async start() {
      subscription = await cloud.bus.onReply(async (reply) => {
        if (dead) throw new Error('this engine is dead');
        const holder = held.get(reply.task);
        const other = reply.outcome === 'progress' ? passOnProgress : recordReply;
        await (holder ? takeReply(holder, reply) : other(cloud, reply)).catch((error: unknown) => {
          cloud.log.error(
            { task: reply.task, error: messageOf(error) },
            'a reply could not be recorded; it will come again',
          );
          throw error;
        });
      });
      const renewing = repeat(leaseMs * 0.3, renew, () => undefined);
      const listening =
        cloud.db.engine === 'sqlite'
          ? undefined
          : repeat(
              newsMs,
              () => hear(cloud.clock.now() - RECENT_MS),
              () => undefined,
            );
      loops = Promise.all([repeat(pollMs, poll, (rouse) => void (rousePoll = rouse)), renewing, listening]);
    },
    wake: () => rousePoll(),
    async stop() {
      await subscription?.close();
      stopping.abort();
      await loops;
      await Promise.all(drives);
      await leases.release();
    },
    async kill() {
      dead = true;
      await subscription?.close();
      stopping.abort();
      for (const holder of held.values()) holder.abort?.(new LeaseLost('of a dead engine'));
      await loops;
      await Promise.all(drives);
    },
  };
}
