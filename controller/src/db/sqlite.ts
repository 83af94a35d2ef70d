// SQLite: one connection that writes, and one that only reads.
import { chmodSync, closeSync, openSync } from 'node:fs';
import { DataSource } from 'typeorm';
import type { Database } from './database';
import { migrations } from './migrations';
import type { DatabaseOptions, SqliteOptions } from './options';
import { ormLogger } from './ormLogger';
import { createSession, noCommit } from './session';
import { migrateSqlite } from './sqliteMigrations';
import { createSqliteWrites } from './sqliteWrites';

/** What the ORM hands to `prepareDatabase`: the driver's own connection. */
interface SqliteConnection {
  pragma(text: string): unknown;
  exec(sql: string): unknown;
  close(): unknown;
}

type Options = DatabaseOptions & SqliteOptions;

/** Takes the file for this connection alone, as long as it is open. */
function keepAlone(connection: SqliteConnection): void {
  try {
    connection.pragma('locking_mode = EXCLUSIVE');
    connection.exec('BEGIN IMMEDIATE; COMMIT');
  } catch (error) {
    // The ORM leaves open what it could not prepare.
    connection.close();
    throw error;
  }
}

/** The ORM's connection to the file, not opened yet. `exclusive`: it opens only while nobody else has the file open. */
export function sqliteSource(options: Options, readonly: boolean, exclusive = false): DataSource {
  return new DataSource({
    type: 'better-sqlite3',
    database: options.path,
    migrations: [...(options.migrations ?? migrations)],
    synchronize: false,
    enableWAL: !readonly,
    readonly,
    prepareDatabase: (connection: SqliteConnection) => {
      connection.pragma(`busy_timeout = ${exclusive ? 0 : 5000}`);
      if (exclusive) keepAlone(connection);
      connection.pragma('foreign_keys = ON');
      connection.pragma(`synchronous = ${options.durable === false ? 'OFF' : 'FULL'}`);
    },
    logging: options.onStatement !== undefined,
    logger: ormLogger(options),
  });
}

/** Password hashes and keys are in it. SQLite gives the files that it makes beside it the same mode. */
function keepPrivate(path: string): void {
  closeSync(openSync(path, 'a', 0o600));
  chmodSync(path, 0o600);
}

/**
 * Opens (and migrates) the file. Writes run one after the other on one connection; reads have a read-only connection of their own.
 */
export async function openSqlite(options: Options): Promise<Database> {
  keepPrivate(options.path);
  const writer = await sqliteSource(options, false).initialize();
  try {
    await migrateSqlite(writer, options);
  } catch (error) {
    if (writer.isInitialized) await writer.destroy();
    throw error;
  }
  const reader = await sqliteSource(options, true).initialize();
  const writes = createSqliteWrites(writer);

  return {
    engine: 'sqlite',
    write: (work, options) => writes.write(work, options),
    read: (work) => work(createSession(reader.manager, noCommit)),
    time: () => Promise.resolve(Date.now()),
    async close() {
      await writes.end();
      await reader.destroy();
      await writer.destroy();
    },
  };
}
