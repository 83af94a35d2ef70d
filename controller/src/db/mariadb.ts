// MariaDB: transactions side by side at READ COMMITTED, each tried again when another one stood in its way or its connection broke.
import { AsyncLocalStorage } from 'node:async_hooks';
import { setTimeout as pause } from 'node:timers/promises';
import type * as mysql2 from 'mysql2';
import { DataSource, type QueryRunner } from 'typeorm';
import type { Database } from './database';
import {
  DatabaseUnavailableError,
  isConnectionLost,
  isContended,
  isDuplicate,
  isUndecided,
  isWithoutGalera,
} from './failures';
import { migrations } from './migrations';
import type { DatabaseOptions, MariadbOptions } from './options';
import { ormLogger } from './ormLogger';
import { createSession, noCommit, type WriteSession } from './session';

type Options = DatabaseOptions & MariadbOptions;

/** How long work is tried again before its caller hears of it, in milliseconds: a failover takes less. */
const RETRY_FOR_MS = 10_000;
/** A statement that takes longer than this, in milliseconds, is taken for one whose connection is cut. */
const STATEMENT_MS = 15_000;
/** How long another controller may take with the migrations, in milliseconds, and for how many seconds a statement waits for it. */
const MIGRATION_MS = 300_000;
const LOCK_SECONDS = 5;

/** Milliseconds since the epoch. UNIX_TIMESTAMP(NOW()) goes through local time, which is ambiguous for an hour a year. */
const TIME_SQL = "SELECT TIMESTAMPDIFF(MICROSECOND, '1970-01-01', UTC_TIMESTAMP(6)) DIV 1000 AS now";

/** Sent once on each new connection, so that transactions do not pay for it. Lock waits are short because they are repeated. */
const SESSION_SQL = [
  'SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED',
  "SET SESSION innodb_lock_wait_timeout = 5, sql_mode = 'STRICT_ALL_TABLES,NO_ENGINE_SUBSTITUTION'",
];

/**
 * Waits until the server has done what its Galera cluster committed before: after a failover the new one may still be at it. Once per
 * connection is enough, because a failover ends all connections. Another server says at once that there is nothing to wait for.
 */
const CATCH_UP_SQL = 'SET STATEMENT wsrep_sync_wait = 1 FOR SELECT 1';

/**
 * mysql2, whose new connections are prepared before anything else is asked of them. Loaded when a database is on a server: it
 * takes 17 MB of memory that a cloud on SQLite does without.
 */
function loadDriver(): object {
  // eslint-disable-next-line @typescript-eslint/no-require-imports -- an import would load it always
  const driver = require('mysql2') as typeof mysql2;
  return {
    ...driver,
    createPool(options: mysql2.PoolOptions): mysql2.Pool {
      const pool = driver.createPool(options);
      pool.on('connection', (connection) => {
        // Statements of a connection go out in order. One that can't be prepared must not be used.
        for (const sql of [...SESSION_SQL, CATCH_UP_SQL])
          connection.query(sql, (error) => {
            if (error && !isWithoutGalera(error)) connection.destroy();
          });
      });
      return pool;
    },
  };
}

/** The ORM's pool of connections to the server, not opened yet. */
export function mariadbSource(options: Options): DataSource {
  const { tls } = options;
  return new DataSource({
    type: 'mariadb',
    driver: loadDriver(),
    ...(options.socket === undefined
      ? { host: options.host ?? '127.0.0.1', port: options.port ?? 3306 }
      : { socketPath: options.socket }),
    username: options.user,
    password: options.password,
    database: options.database,
    charset: 'utf8mb4_bin',
    poolSize: options.poolSize,
    // Numbers up to 2^53 as numbers, larger ones (which we do not have) as text.
    bigNumberStrings: false,
    // An update counts the rows that its condition found, as SQLite does, not those whose values changed.
    flags: ['FOUND_ROWS'],
    connectTimeout: 5000,
    enableQueryTimeout: true,
    maxQueryExecutionTime: STATEMENT_MS,
    extra: { enableKeepAlive: true, keepAliveInitialDelay: 10_000 },
    ...(tls ? { ssl: { ...tls, rejectUnauthorized: true, verifyIdentity: true } } : {}),
    migrations: [...migrations],
    synchronize: false,
    logging: true,
    logger: ormLogger({ onStatement: options.onStatement, onError: dropBrokenConnection }),
  });
}

/** Takes a broken connection out of its pool; after a time-out the driver itself would go on using it. */
function dropBrokenConnection(error: unknown, runner: QueryRunner | undefined): void {
  if (!isConnectionLost(error)) return;
  runner?.connect().then(
    (connection: mysql2.PoolConnection) => connection.destroy(),
    () => undefined, // There is none to drop.
  );
}

/** Waits for a lock of the server's, which goes with the connection; for longer than one statement may take. */
async function takeLock(runner: QueryRunner, name: string): Promise<void> {
  const until = performance.now() + MIGRATION_MS;
  for (;;) {
    const rows = (await runner.query('SELECT GET_LOCK(?, ?) AS got', [name, LOCK_SECONDS])) as { got: number | null }[];
    if (rows[0]?.got === 1) return;
    if (performance.now() > until) throw new Error('another controller has been migrating the database for too long');
  }
}

/** Runs what is missing, one controller at a time: the others wait and find nothing left to do. */
export async function migrate(source: DataSource, database: string): Promise<void> {
  const runner = source.createQueryRunner();
  const name = `cumulet.migrations.${database}`.slice(0, 64);
  try {
    await takeLock(runner, name);
    await source.runMigrations({ transaction: 'none' });
    await runner.query('SELECT RELEASE_LOCK(?)', [name]);
  } finally {
    await runner.release();
  }
}

/** Milliseconds to wait before try `attempt` + 1, with jitter: short when transactions met, longer when the server is away. */
function backoff(attempt: number, error: unknown): number {
  const [first, most] = isContended(error) ? [5, 250] : [50, 500];
  return Math.min(first * 2 ** (attempt - 1), most) * (0.5 + Math.random());
}

/**
 * Does `work` until it succeeds, fails for a reason of its own, or the time is over. A unique key may have been violated by a row
 * that was not there yet when the work looked for it: the second time it is, and the work says what that means.
 */
async function insisting<T>(work: () => Promise<T>): Promise<T> {
  const until = performance.now() + RETRY_FOR_MS;
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await work();
    } catch (error) {
      if (attempt === 1 && isDuplicate(error)) continue;
      if (!isContended(error) && !isConnectionLost(error)) throw error;
      if (performance.now() >= until) throw new DatabaseUnavailableError('not done', error);
      await pause(backoff(attempt, error));
    }
  }
}

/**
 * After any failure but a violated key the server may have rolled back, and what follows would commit by itself: so the whole
 * transaction fails, whether or not its work looks at the error.
 */
function failAsOne(runner: QueryRunner): void {
  const query = runner.query.bind(runner) as (...all: unknown[]) => Promise<unknown>;
  let failure: Error | undefined;
  Object.assign(runner, {
    query: async (sql: string, ...rest: unknown[]): Promise<unknown> => {
      if (failure && sql !== 'ROLLBACK') throw failure;
      try {
        return await query(sql, ...rest);
      } catch (error) {
        if (!isDuplicate(error)) failure = error as Error;
        throw error;
      }
    },
  });
}

async function commit(runner: QueryRunner): Promise<void> {
  try {
    await runner.commitTransaction();
  } catch (error) {
    throw isUndecided(error) ? new DatabaseUnavailableError('unknown', error) : error;
  }
}

/** One try of a transaction. @throws DatabaseUnavailableError when nobody knows whether it was committed */
async function transaction<T>(runner: QueryRunner, work: () => Promise<T>): Promise<T> {
  failAsOne(runner);
  await runner.startTransaction();
  try {
    const result = await work();
    await commit(runner);
    return result;
  } catch (error) {
    // On a broken connection the server rolls back by itself.
    if (runner.isTransactionActive) await runner.rollbackTransaction().catch(() => undefined);
    throw error;
  }
}

/** Opens (and migrates) a database on a server. */
export async function openMariadb(options: Options): Promise<Database> {
  const writer = await mariadbSource(options).initialize();
  // Connections of their own: a transaction that reads beside itself must not wait for others that do the same.
  const reader = mariadbSource(options);
  try {
    await migrate(writer, options.database);
    await reader.initialize();
  } catch (error) {
    await writer.destroy();
    throw error;
  }
  const inside = new AsyncLocalStorage<true>();
  const running = new Set<Promise<unknown>>();

  async function once<T>(work: (session: WriteSession) => Promise<T>): Promise<T> {
    const actions: (() => void)[] = [];
    const runner = writer.createQueryRunner();
    try {
      const session = createSession(runner.manager, (action) => actions.push(action));
      const result = await transaction(runner, () => inside.run(true, () => work(session)));
      for (const action of actions) action();
      return result;
    } finally {
      await runner.release();
    }
  }

  return {
    engine: 'mariadb',
    write(work) {
      if (inside.getStore()) return Promise.reject(new Error('a write inside a write would wait for itself'));
      const turn = insisting(() => once(work));
      const settled: Promise<unknown> = turn.then(
        () => running.delete(settled),
        () => running.delete(settled),
      );
      running.add(settled);
      return turn;
    },
    read: (work) => insisting(() => work(createSession(reader.manager, noCommit))),
    async time() {
      const rows = await insisting(() => reader.query<{ now: number }[]>(TIME_SQL));
      return Number(rows[0]?.now);
    },
    async close() {
      await Promise.all(running);
      // Each one that is left slows every promise of the process.
      inside.disable();
      await reader.destroy();
      await writer.destroy();
    },
  };
}
