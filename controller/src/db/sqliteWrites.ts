// The writes of SQLite: one after the other on one connection; those that wait for their turn share one commit.
import { AsyncLocalStorage } from 'node:async_hooks';
import { setImmediate, setTimeout as pause } from 'node:timers/promises';
import type { DataSource } from 'typeorm';
import { change } from './execute';
import { createOpenCommit } from './openCommit';
import { createSession, hasChanged, type WriteSession } from './session';

/** For how long transactions are gathered for one commit, in milliseconds: it waits for the disk longer than most of them compute. */
const GATHER_MS = 20;
/** How long those wait for each other who write while others do, in milliseconds. */
const CROWDED_PAUSE_MS = 10;

interface Turn {
  /** Does the work; what it resolves with tells the caller, once it is committed. Rejects when something must be taken back. */
  readonly run: () => Promise<() => void>;
  readonly fail: (error: unknown) => void;
}

/** What is asked of the driver. */
interface SqliteDriver {
  readonly databaseConnection: { readonly inTransaction: boolean };
}

export interface SqliteWrites {
  write<T>(work: (session: WriteSession) => Promise<T>): Promise<T>;
  /** Resolves when nothing is written any more; nothing must be written afterwards. */
  end(): Promise<void>;
}

/** @param source its only connection is used by nobody else: what is run on it becomes part of the open transaction */
export function createSqliteWrites(source: DataSource): SqliteWrites {
  const inside = new AsyncLocalStorage<true>();
  const runner = source.createQueryRunner();
  const { databaseConnection: connection } = source.driver as unknown as SqliteDriver;
  const open = createOpenCommit(runner.manager);
  const queue: Turn[] = [];
  let working: Promise<void> | undefined;

  const control = (sql: string): Promise<unknown> => change(runner.manager, { sql, parameters: [] });

  async function begin(): Promise<void> {
    await control('BEGIN TRANSACTION');
    open.begin();
  }

  async function end(): Promise<void> {
    open.settle();
    await control('COMMIT');
  }

  /** After some failures (a full disk) SQLite has rolled back by itself, and refuses to do it again. */
  const rollback = (): Promise<unknown> => control('ROLLBACK').catch(() => undefined);

  async function alone(turn: Turn): Promise<void> {
    try {
      await begin();
      const tell = await turn.run();
      await end();
      tell();
    } catch (error) {
      await rollback();
      turn.fail(error);
    }
  }

  /** A transaction within the one that is open: when its work fails, only that is taken back. */
  async function nested(turn: Turn): Promise<() => void> {
    await control('SAVEPOINT turn');
    try {
      const tell = await turn.run();
      open.settle();
      await control('RELEASE turn');
      return tell;
    } catch (error) {
      await control('ROLLBACK TO turn');
      await control('RELEASE turn');
      open.begin();
      return () => turn.fail(error);
    }
  }

  /** Nobody hears of a result before the commit. @returns whether it was made; if not, all is as before */
  async function commit(turns: Iterable<Turn>, run: (turn: Turn) => Promise<() => void>): Promise<boolean> {
    const tell: (() => void)[] = [];
    try {
      await begin();
      for (const turn of turns) {
        tell.push(await run(turn));
        if (!connection.inTransaction) throw new Error('the transaction was given up');
      }
      await end();
    } catch {
      await rollback();
      return false;
    }
    for (const one of tell) one();
    return true;
  }

  /**
   * Those that wait share a commit. Few fail after they have changed something: only then all are done again, each so that it can be
   * taken back, and when all is lost even so, each is tried by itself.
   */
  async function together(): Promise<void> {
    const taken: Turn[] = [];
    const until = performance.now() + GATHER_MS;
    const waiting = function* (): Iterable<Turn> {
      for (let turn = queue.shift(); turn; turn = performance.now() < until ? queue.shift() : undefined) {
        taken.push(turn);
        yield turn;
      }
    };
    if ((await commit(waiting(), (turn) => turn.run())) || (await commit(taken, nested))) return;
    for (const turn of taken) await alone(turn);
  }

  async function work(): Promise<void> {
    while (queue.length > 0) {
      const [only] = queue;
      const isCrowded = queue.length > 1;
      if (isCrowded || !only) await together();
      else await alone((queue.shift(), only));
      // The driver never lets go of the event loop by itself. Where many write, more of them share the next commit.
      await (isCrowded ? pause(CROWDED_PAUSE_MS) : setImmediate());
    }
    working = undefined;
  }

  return {
    write: <T>(transaction: (session: WriteSession) => Promise<T>): Promise<T> => {
      if (inside.getStore()) return Promise.reject(new Error('a write inside a write would wait for itself'));
      return new Promise<T>((resolve, fail) => {
        const run = async (): Promise<() => void> => {
          const actions: (() => void)[] = [];
          const session = createSession(runner.manager, (action) => actions.push(action), open);
          let result: T;
          try {
            result = await inside.run(true, () => transaction(session));
          } catch (error) {
            if (hasChanged(session)) throw error;
            return () => turn.fail(error);
          }
          return () => {
            try {
              for (const action of actions) action();
              resolve(result);
            } catch (error) {
              turn.fail(error);
            }
          };
        };
        const turn: Turn = { run, fail };
        queue.push(turn);
        working ??= work();
      });
    },
    async end() {
      await working;
      // Each one that is left slows every promise of the process.
      inside.disable();
    },
  };
}
