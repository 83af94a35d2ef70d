// SQLite: one connection that writes, one transaction after the other, and one that only reads.
import { AsyncLocalStorage } from 'node:async_hooks';
import { DataSource } from 'typeorm';
import type { Database } from './database';
import { entitySchemas } from './entitySchema';
import { migrations } from './migrations';
import type { DatabaseOptions, SqliteOptions } from './options';
import { ormLogger } from './ormLogger';
import { createSession, noCommit, type WriteSession } from './session';

/** What the ORM hands to `prepareDatabase`: the driver's own connection. */
interface SqliteConnection {
  pragma(text: string): unknown;
}

type Options = DatabaseOptions & SqliteOptions;

/** The ORM's connection to the file, not opened yet. */
export function sqliteSource(options: Options, readonly: boolean): DataSource {
  return new DataSource({
    type: 'better-sqlite3',
    database: options.path,
    entities: entitySchemas('sqlite'),
    migrations: [...migrations],
    synchronize: false,
    enableWAL: !readonly,
    readonly,
    prepareDatabase: (connection: SqliteConnection) => {
      connection.pragma('busy_timeout = 5000');
      connection.pragma('foreign_keys = ON');
      connection.pragma(`synchronous = ${options.durable === false ? 'OFF' : 'FULL'}`);
    },
    ...(options.onStatement ? { logging: true as const, logger: ormLogger(options) } : {}),
  });
}

/**
 * Opens (and migrates) the file. Writes run one after the other on one connection, because anything else run on it meanwhile
 * would become part of the open transaction; reads have a read-only connection of their own.
 */
export async function openSqlite(options: Options): Promise<Database> {
  const writer = await sqliteSource(options, false).initialize();
  await writer.runMigrations({ transaction: 'each' });
  const reader = await sqliteSource(options, true).initialize();
  const inside = new AsyncLocalStorage<true>();
  let tail: Promise<unknown> = Promise.resolve();

  async function transaction<T>(work: (session: WriteSession) => Promise<T>): Promise<T> {
    const actions: (() => void)[] = [];
    const result = await writer.transaction((manager) =>
      inside.run(true, () => work(createSession(manager, (action) => actions.push(action)))),
    );
    for (const action of actions) action();
    return result;
  }

  return {
    engine: 'sqlite',
    write(work) {
      if (inside.getStore()) return Promise.reject(new Error('a write inside a write would wait for itself'));
      const turn = tail.then(() => transaction(work));
      tail = turn.catch(() => undefined);
      return turn;
    },
    read: (work) => work(createSession(reader.manager, noCommit)),
    time: () => Promise.resolve(Date.now()),
    async close() {
      await tail;
      await reader.destroy();
      await writer.destroy();
    },
  };
}
