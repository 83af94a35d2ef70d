// SQLite: one connection that writes, and one that only reads.
import { DataSource } from 'typeorm';
import type { Database } from './database';
import { entitySchemas } from './entitySchema';
import { migrations } from './migrations';
import type { DatabaseOptions, SqliteOptions } from './options';
import { ormLogger } from './ormLogger';
import { createSession, noCommit } from './session';
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
    entities: entitySchemas('sqlite'),
    migrations: [...migrations],
    synchronize: false,
    enableWAL: !readonly,
    readonly,
    prepareDatabase: (connection: SqliteConnection) => {
      connection.pragma(`busy_timeout = ${exclusive ? 0 : 5000}`);
      if (exclusive) keepAlone(connection);
      connection.pragma('foreign_keys = ON');
      connection.pragma(`synchronous = ${options.durable === false ? 'OFF' : 'FULL'}`);
    },
    ...(options.onStatement ? { logging: true as const, logger: ormLogger(options) } : {}),
  });
}

/**
 * Opens (and migrates) the file. Writes run one after the other on one connection; reads have a read-only connection of their own.
 */
export async function openSqlite(options: Options): Promise<Database> {
  const writer = await sqliteSource(options, false).initialize();
  await writer.runMigrations({ transaction: 'each' });
  const reader = await sqliteSource(options, true).initialize();
  const writes = createSqliteWrites(writer);

  return {
    engine: 'sqlite',
    write: (work) => writes.write(work),
    read: (work) => work(createSession(reader.manager, noCommit)),
    time: () => Promise.resolve(Date.now()),
    async close() {
      await writes.idle();
      await reader.destroy();
      await writer.destroy();
    },
  };
}
