// Who runs which task: leases in the database, each taken and kept by conditional writes.
import { groupBy, In, IsNull, LessThan, LessThanOrEqual, MoreThan, type Database, type WriteSession } from '../db';
import { tasks, type Task } from '../db/entities/tasks';
import { NEW_STEP } from '../services/tasks';

export interface LeaseOptions {
  /** This dispatcher, unique per start. */
  readonly owner: string;
  /** How long a lease lasts without renewal. */
  readonly leaseMs: number;
}

/** Thrown inside a result's transaction when somebody else holds the lease by now: the result is thrown away. */
export class LeaseLost extends Error {
  constructor(taskId: string) {
    super(`the lease of task ${taskId} was lost; its result is thrown away`);
    this.name = 'LeaseLost';
  }
}

/** Thrown inside a result's transaction when the task's deletion was asked for meanwhile: the wish must not end with the task. */
export class DeletionAsked extends Error {}

/** A task as it was when it looked free. */
export interface WantedTask {
  readonly task: Task;
  /** The one that it has, or its first one. */
  readonly step: string;
}

/** What tells whether others have changed a task. */
export type TaskNews = Pick<Task, 'id' | 'kind' | 'run_at' | 'delete_requested_at'>;

export interface Leases {
  readonly owner: string;
  /** Tasks of these kinds that are due and that nobody holds, oldest first. Those of other dispatchers must not crowd them out. */
  free(kinds: readonly string[], now: number, limit: number): Promise<Task[]>;
  /** Active tasks that are ours; with `since` only those whose time to run is later, as it is after news. */
  ours(since?: number): Promise<TaskNews[]>;
  /** Takes those of these that are still free; returns those that are ours now. One that has not begun gets its first step. */
  take(wanted: readonly WantedTask[], now: number): Promise<Task[]>;
  /** Prolongs our leases of the tasks that are driven, by one statement. A task that was dropped must become free. */
  renew(ids: readonly string[], now: number): Promise<void>;
  /** Gives back all our leases, for a clean stop. */
  release(): Promise<void>;
  /**
   * Changes a task that we hold, in a transaction of its own result. @throws LeaseLost
   * @returns the row as it is now; undefined when it was not as we know it, because others brought news: then it must be read again
   */
  change(session: WriteSession, task: Task, set: Partial<Task>): Promise<Task | undefined>;
  /**
   * The last change of a task. @throws LeaseLost; DeletionAsked when it heeds one that was asked for since the task was read
   * @returns whether the row was as we know it
   */
  finish(session: WriteSession, task: Task, heedsDeletion: boolean, set: Partial<Task>): Promise<boolean>;
}

export function createLeases(db: Database, { owner, leaseMs }: LeaseOptions): Leases {
  /**
   * Takes those of some tasks that are as they were, a statement for each step that they have or get. `ended`: their lease has ended;
   * else they never had one. @returns how many
   */
  async function takeFree(
    session: WriteSession,
    wanted: readonly WantedTask[],
    ended: boolean,
    now: number,
  ): Promise<number> {
    let taken = 0;
    for (const [step, some] of groupBy(wanted, (one) => one.step)) {
      // Whoever brings news changes it to the time that it is then.
      const run_at = LessThanOrEqual(Math.max(...some.map(({ task }) => task.run_at)));
      const due = { id: In(some.map(({ task }) => task.id)), active: 1, step: In([step, NEW_STEP]), run_at };
      const lease = { step, lease_owner: owner, lease_until: now + leaseMs };
      taken += await session.update(tasks, { ...due, lease_until: ended ? LessThan(now) : IsNull() }, lease);
    }
    return taken;
  }

  // Whoever brings news, a deletion or a recorded reply, changes `run_at`: the row is as we know it while that is.
  async function change(session: WriteSession, task: Task, set: Partial<Task>): Promise<Task | undefined> {
    const held = { id: task.id, lease_owner: owner, active: 1 };
    if ((await session.update(tasks, { ...held, run_at: task.run_at }, set)) === 1) return { ...task, ...set };
    if ((await session.update(tasks, held, set)) !== 1) throw new LeaseLost(task.id);
    return undefined;
  }

  return {
    owner,
    free: (kinds, now, limit) => {
      const due = { active: 1, kind: In([...kinds]), run_at: LessThanOrEqual(now) };
      const where = [
        { ...due, lease_until: IsNull() },
        { ...due, lease_until: LessThan(now) },
      ];
      return db.read((session) => session.find(tasks, { where, order: { run_at: 'ASC' }, limit }));
    },
    ours: (since = 0) =>
      db.read((session) => {
        const where = { active: 1, lease_owner: owner, run_at: MoreThan(since) };
        return session.pick(tasks, ['id', 'kind', 'run_at', 'delete_requested_at'], { where });
      }),
    take: (wanted, now) =>
      db.write(async (session) => {
        let taken = 0;
        for (const ended of [true, false]) {
          const some = wanted.filter(({ task }) => (task.lease_until !== null) === ended);
          taken += await takeFree(session, some, ended, now);
        }
        if (taken === wanted.length)
          return wanted.map(({ task, step }) => ({ ...task, step, lease_owner: owner, lease_until: now + leaseMs }));
        const ids = wanted.map(({ task }) => task.id);
        return session.find(tasks, { where: { id: In(ids), lease_owner: owner, active: 1 } });
      }),
    async renew(ids, now) {
      if (ids.length === 0) return;
      await db.write((session) =>
        session.update(tasks, { id: In([...ids]), lease_owner: owner, active: 1 }, { lease_until: now + leaseMs }),
      );
    },
    async release() {
      await db.write((session) =>
        session.update(tasks, { lease_owner: owner, active: 1 }, { lease_owner: null, lease_until: null }),
      );
    },
    change,
    async finish(session, task, heedsDeletion, set) {
      if (await change(session, task, set)) return true;
      const row = heedsDeletion ? await session.findOne(tasks, { id: task.id }) : undefined;
      if (row && row.delete_requested_at !== task.delete_requested_at) throw new DeletionAsked();
      return false;
    },
  };
}

/** Tasks by id, for tests and views. */
export async function tasksById(db: Database, ids: readonly string[]): Promise<Task[]> {
  return db.read((session) => session.find(tasks, { where: { id: In([...ids]) } }));
}
