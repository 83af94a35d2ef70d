// The writes of SQLite: one after the other on one connection; those that wait for their turn share one commit.
import { AsyncLocalStorage } from 'node:async_hooks';
import type { DataSource } from 'typeorm';
import type { WriteOptions } from './database';
import { change } from './execute';
import { createOpenCommit } from './openCommit';
import { createSession, hasChanged, type WriteSession } from './session';

/** For how long transactions are gathered for one commit, in milliseconds: it waits for the disk longer than most of them compute. */
const GATHER_MS = 20;
/** Those who write while others do wait for each other, so many times as long as a commit takes. */
const PAUSE_PER_COMMIT = 3;
/** The longest that they wait, in milliseconds. */
const MOST_PAUSE_MS = 10;
/** Pages of the log after which a commit copies them into the database; SQLite's own default. */
const CHECKPOINT_PAGES = 1000;
/** Where two have waited at once more will, for so many milliseconds. */
const CROWDED_MS = 100;

/** Both call back later and return what keeps them from it. */
function after(ms: number, done: () => void): () => void {
  const timer = setTimeout(done, ms);
  return () => clearTimeout(timer);
}
function atOnce(done: () => void): () => void {
  const immediate = setImmediate(done);
  return () => clearImmediate(immediate);
}

interface Turn {
  /** Does the work; what it resolves with tells the caller, once it is committed. Rejects when something must be taken back. */
  readonly run: () => Promise<() => void>;
  readonly fail: (error: unknown) => void;
}

/** What is asked of the driver. */
interface SqliteDriver {
  readonly databaseConnection: { readonly inTransaction: boolean; pragma(text: string): unknown };
}

export interface SqliteWrites {
  write<T>(work: (session: WriteSession) => Promise<T>, options?: WriteOptions): Promise<T>;
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
  const urgent: Turn[] = [];
  /** Ends the rest between two commits. */
  let rouse: () => void = () => undefined;
  let crowdedUntil = 0;
  let checkpoints = true;
  let working: Promise<void> | undefined;

  const control = (sql: string): Promise<unknown> => change(runner.manager, { sql, parameters: [] });

  const begin = (): Promise<unknown> => control('BEGIN TRANSACTION');

  async function end(): Promise<void> {
    open.end();
    await control('COMMIT');
  }

  async function rollback(): Promise<void> {
    open.takeBack();
    // After some failures (a full disk) SQLite has rolled back by itself, and refuses to do it again.
    await control('ROLLBACK').catch(() => undefined);
  }

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
      open.end();
      await control('RELEASE turn');
      return tell;
    } catch (error) {
      await control('ROLLBACK TO turn');
      await control('RELEASE turn');
      open.takeBack();
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
  async function together(from: Turn[]): Promise<void> {
    const taken: Turn[] = [];
    const until = performance.now() + GATHER_MS;
    const waiting = function* (): Iterable<Turn> {
      for (let turn = from.shift(); turn; turn = performance.now() < until ? from.shift() : undefined) {
        taken.push(turn);
        yield turn;
      }
    };
    if ((await commit(waiting(), (turn) => turn.run())) || (await commit(taken, nested))) return;
    for (const turn of taken) await alone(turn);
  }

  /** To copy the log takes ten times as long as a commit: what is urgent leaves it to the next commit that is not. */
  function mayCheckpoint(may: boolean): void {
    if (may === checkpoints) return;
    connection.pragma(`wal_autocheckpoint = ${may ? CHECKPOINT_PAGES : 0}`);
    checkpoints = may;
  }

  async function doSome(from: Turn[]): Promise<void> {
    const [only] = from;
    mayCheckpoint(from !== urgent);
    if (from.length > 1 || !only) await together(from);
    else await alone((from.shift(), only));
  }

  /** Lets go of the event loop, which the driver never does by itself. What is urgent is done meanwhile. */
  async function rest(ms: number): Promise<void> {
    const until = performance.now() + ms;
    for (let isRoused = true; isRoused;) {
      while (urgent.length > 0) await doSome(urgent);
      const left = until - performance.now();
      isRoused = await new Promise<boolean>((done) => {
        const end = (): void => done(false);
        const stop = left > 0 ? after(left, end) : atOnce(end);
        rouse = () => {
          stop();
          done(true);
        };
      });
    }
  }

  async function work(): Promise<void> {
    while (urgent.length + queue.length > 0) {
      const begun = performance.now();
      if (queue.length > 1) crowdedUntil = begun + CROWDED_MS;
      await doSome(urgent.length > 0 ? urgent : queue);
      const ended = performance.now();
      // Where many write, more of them share the next commit.
      await rest(ended < crowdedUntil ? Math.min((ended - begun) * PAUSE_PER_COMMIT, MOST_PAUSE_MS) : 0);
    }
    working = undefined;
  }

  return {
    write: <T>(transaction: (session: WriteSession) => Promise<T>, options: WriteOptions = {}): Promise<T> => {
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
        (options.urgent ? urgent : queue).push(turn);
        if (options.urgent) rouse();
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
