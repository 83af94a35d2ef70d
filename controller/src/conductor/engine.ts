// The dispatcher: leases due tasks, runs their steps, has the results committed. Everything it keeps in memory may be lost at any moment.
import { messageOf, newId, type Reply, type Subscription } from '@cumulet/common';
import type { Cloud } from '../cloud';
import type { Task } from '../db/entities/tasks';
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
import { createOutcomes, type Outcome } from './outcomes';
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
  /** As last read; absent before the first look. */
  task?: Task;
  /** Answers may be in the database: another process had the task, or got a reply. */
  unread: boolean;
  /** Between two runs. What comes while a step runs it may not see. */
  resting: boolean;
  /** `run_at` as last seen or written: another one in the database means news. */
  runAt: number;
  stepStarted: number;
  /** Ends the pause between two runs. */
  rouse: () => void;
  /** Aborts the running step; absent until the first one runs. */
  abort?: (reason: Error) => void;
  /** News came while the step ran. */
  news: boolean;
}

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

  const pause = async (ms: number, expose: (rouse: () => void) => void): Promise<void> => {
    const early = new AbortController();
    expose(() => early.abort());
    await cloud.clock.sleep(ms, AbortSignal.any([early.signal, stopping.signal]));
  };

  /** Reads what others have recorded. What they record meanwhile is for the next run to read. */
  async function readAnswers(task: Task, holder: Held): Promise<void> {
    holder.unread = false;
    try {
      holder.questions.answers.push(...(await repliesOf(cloud, task)));
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
      const ask = createAsk(cloud, task, questions);
      await observer?.beforeStep?.(task);
      const result = await Promise.race([step({ cloud, task, signal: aborter.signal, ask }), aborted]);
      await observer?.afterStep?.(task, result);
      return result;
    } finally {
      clearTimeout(timer);
    }
  }

  /** One run of the task's current step, or the change of kind that comes before it. */
  async function advance(task: Task, kind: TaskKind, holder: Held): Promise<Outcome> {
    if (task.delete_requested_at !== null && kind.onDelete !== undefined) {
      await turnInto(task, holder.stepStarted, kind.onDelete, 'next', 'deletion was asked for', {});
      return { type: 'again' };
    }
    const now = cloud.clock.now();
    if (task.deadline_at !== null && task.deadline_at <= now) {
      const why = task.error ? ` Last problem: ${task.error}` : '';
      const seconds = Math.round((task.deadline_at - task.created_at) / 1000);
      return failTask(task, kind, holder.stepStarted, {
        code: 'deadline',
        message: `Not finished within ${seconds} s, in step ${task.step}.${why}`,
      });
    }
    const step = kind.steps[task.step];
    if (!step)
      return failTask(task, kind, holder.stepStarted, {
        code: 'unknown_step',
        message: `This version does not know step ${task.step} of ${task.kind}.`,
      });
    try {
      return await settle(task, kind, holder.stepStarted, await runStep(task, step, holder));
    } catch (error) {
      if (error instanceof LeaseLost || error instanceof DeletionAsked) throw error;
      if (error instanceof HostFault && !error.retryable && kind.onFail !== 'never')
        return failTask(task, kind, holder.stepStarted, error.fault);
      return retry(task, holder.stepStarted, error);
    }
  }

  /** A deletion that came in between is what the next run looks at first. */
  function turned(error: unknown): Outcome {
    if (error instanceof DeletionAsked) return { type: 'again' };
    throw error;
  }

  async function rest(task: Task, holder: Held, outcome: Outcome & { type: 'pause' }): Promise<void> {
    if (outcome.runAt !== undefined) holder.runAt = outcome.runAt;
    const untilDeadline = task.deadline_at === null ? Infinity : Math.max(0, task.deadline_at - cloud.clock.now());
    const ms = Math.min(outcome.ms, untilDeadline);
    let roused = holder.news;
    if (!roused) {
      holder.resting = true;
      await pause(ms, (rouse) => {
        holder.rouse = () => {
          roused = true;
          rouse();
        };
      });
      holder.resting = false;
    }
    if (stopping.signal.aborted) return;
    if (!roused && outcome.resend && ms === outcome.ms) await resend(task, holder.stepStarted);
  }

  /** Drives one task that we hold until it ends, its lease is lost or we stop. */
  async function drive(id: string): Promise<void> {
    const holder: Held = {
      questions: { sent: new Set(), answers: [], open: new Set() },
      unread: true,
      resting: false,
      runAt: 0,
      stepStarted: cloud.clock.now(),
      rouse: () => undefined,
      news: false,
    };
    held.set(id, holder);
    let step = '';
    try {
      while (!stopping.signal.aborted) {
        holder.news = false;
        const [task] = await tasksById(cloud.db, [id]);
        const kind = task && kinds.get(task.kind);
        if (!task || !kind || task.active !== 1 || task.lease_owner !== leases.owner) return;
        holder.runAt = task.run_at;
        holder.task = task;
        if (task.step !== step) {
          if (step !== '') holder.stepStarted = cloud.clock.now();
          ({ step } = task);
        }
        const outcome = await advance(task, kind, holder).catch(turned);
        if (outcome.type === 'ended') return;
        if (outcome.type === 'again') holder.questions.answers = [];
        if (outcome.type === 'pause') await rest(task, holder, outcome);
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
      if (!holder.task || !counts(holder.task, reply)) return recordReply(cloud, reply);
      if (!takeAnswer(holder.questions, reply) && holder.resting) return;
    } else await noteProgress(cloud, reply);
    inform(holder, false);
  }

  /** What others did to the tasks that we hold: they recorded a reply, or asked for a deletion. */
  async function hear(since?: number): Promise<void> {
    if (held.size === 0) return;
    for (const task of await leases.ours(since)) {
      const holder = held.get(task.id);
      if (!holder || holder.runAt === 0 || task.run_at === holder.runAt) continue;
      holder.unread = true;
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
    const wanted = free.map(({ id, kind, step }) => ({ id, step: step === NEW_STEP ? firstOf(kind) : step }));
    for (const id of await leases.take(wanted, now)) {
      const driving: Promise<void> = drive(id).finally(() => {
        drives.delete(driving);
        if (crowded) rousePoll();
      });
      drives.add(driving);
    }
  }

  async function poll(): Promise<void> {
    await hear();
    await takeFree();
  }

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
      if (!roused) await pause(ms, (rouse) => void (end = rouse));
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
      const renewing = repeat(
        leaseMs * 0.3,
        () => leases.renew([...held.keys()], cloud.clock.now()),
        () => undefined,
      );
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
