// Opens the database and gives out sessions: `write` is one transaction, `read` sees what was committed.
import { AsyncLocalStorage } from 'node:async_hooks';
import {
  DataSource,
  EntitySchema,
  type EntitySchemaColumnOptions,
  type EntitySchemaOptions,
  type Logger as OrmLogger,
} from 'typeorm';
import type { Columns, DatabaseEngine, Table } from './columns';
import { createSession, type ReadSession, type WriteSession } from './session';
import { allTables } from './tables';
import { migrations } from './migrations';

export interface Database {
  readonly engine: DatabaseEngine;
  /** One transaction: committed when `work` resolves, rolled back when it rejects. Awaits nothing but the database inside. */
  write<T>(work: (session: WriteSession) => Promise<T>): Promise<T>;
  /** Reads what was committed; never waits for writers. */
  read<T>(work: (session: ReadSession) => Promise<T>): Promise<T>;
  close(): Promise<void>;
}

export interface DatabaseOptions {
  /** Path of the SQLite file. */
  readonly path: string;
  /** Told every statement; for tests that count them. */
  readonly onStatement?: (sql: string) => void;
  /** Whether a commit waits for the disk. Tests switch it off. Default true. */
  readonly durable?: boolean;
}

/** The ORM's view of a table on an engine. */
export function entitySchema(table: Table, engine: DatabaseEngine): EntitySchema {
  const columns: Record<string, EntitySchemaColumnOptions> = {};
  for (const [name, column] of Object.entries<Columns[string]>(table.columns)) {
    columns[name] = { ...column.options(engine), name, ...(table.primary.includes(name) ? { primary: true } : {}) };
  }
  const options: EntitySchemaOptions<Record<string, unknown>> = {
    name: table.name,
    tableName: table.name,
    columns,
    uniques: table.unique.map((on) => ({ name: `uq_${table.name}_${on.join('_')}`, columns: [...on] })),
    indices: table.indices.map((on) => ({ name: `ix_${table.name}_${on.join('_')}`, columns: [...on] })),
  };
  return new EntitySchema(options);
}

/** An ORM logger that only counts. */
function statementLogger(onStatement: (sql: string) => void): OrmLogger {
  const nothing = (): void => undefined;
  return {
    logQuery: (sql) => onStatement(sql),
    logQueryError: nothing,
    logQuerySlow: nothing,
    logSchemaBuild: nothing,
    logMigration: nothing,
    log: nothing,
  };
}

/** What the ORM hands to `prepareDatabase`: the driver's own connection. */
interface SqliteConnection {
  pragma(text: string): unknown;
}

async function openSqlite(options: DatabaseOptions, readonly: boolean): Promise<DataSource> {
  const source = new DataSource({
    type: 'better-sqlite3',
    database: options.path,
    entities: allTables.map((table) => entitySchema(table, 'sqlite')),
    migrations: [...migrations],
    synchronize: false,
    enableWAL: !readonly,
    readonly,
    prepareDatabase: (connection: SqliteConnection) => {
      connection.pragma('busy_timeout = 5000');
      connection.pragma('foreign_keys = ON');
      connection.pragma(`synchronous = ${options.durable === false ? 'OFF' : 'FULL'}`);
    },
    ...(options.onStatement ? { logging: true as const, logger: statementLogger(options.onStatement) } : {}),
  });
  return source.initialize();
}

/**
 * Opens (and migrates) an SQLite database. Writes run one after the other on one connection, because anything else run on it
 * meanwhile would become part of the open transaction; reads have a read-only connection of their own.
 */
export async function openDatabase(options: DatabaseOptions): Promise<Database> {
  const writer = await openSqlite(options, false);
  await writer.runMigrations({ transaction: 'each' });
  const reader = await openSqlite(options, true);
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
    read(work) {
      const refuse = (): never => {
        throw new Error('a read session has no commit');
      };
      return work(createSession(reader.manager, refuse));
    },
    async close() {
      await tail;
      await reader.destroy();
      await writer.destroy();
    },
  };
}
