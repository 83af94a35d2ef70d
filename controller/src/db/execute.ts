// Runs statements on a session's connection. SQLite answers at once, so its driver is asked without the ORM's layers between.
import { QueryFailedError, type EntityManager } from 'typeorm';
import { mapInSlices } from '../slices';
import type { DatabaseEngine, Row, Table } from './columns';
import { fieldsOf, type Statement } from './sql';

/** What better-sqlite3 prepares. */
interface Prepared {
  all(...parameters: readonly unknown[]): Record<string, unknown>[];
  run(...parameters: readonly unknown[]): { readonly changes: number; readonly lastInsertRowid: number | bigint };
}
interface SqliteConnection {
  prepare(sql: string): Prepared;
}

export interface Changed {
  /** Rows that fitted. */
  readonly rows: number;
  /** The key that was counted up for the row. */
  readonly key: number;
}

export const engineOf = (manager: EntityManager): DatabaseEngine =>
  manager.connection.options.type === 'better-sqlite3' ? 'sqlite' : 'mariadb';

/** Prepared statements that a connection keeps: more than there are shapes, but for long lists of values. */
const KEPT = 500;
/** A statement with more parameters is rarely asked for again with as many. */
const MOST_PARAMETERS = 60;

const prepared = new WeakMap<SqliteConnection, Map<string, Prepared>>();

function prepare(connection: SqliteConnection, { sql, parameters }: Statement): Prepared {
  if (parameters.length > MOST_PARAMETERS) return connection.prepare(sql);
  const kept = prepared.get(connection) ?? new Map<string, Prepared>();
  prepared.set(connection, kept);
  let statement = kept.get(sql);
  if (!statement) {
    statement = connection.prepare(sql);
    const [oldest] = kept.keys();
    if (oldest !== undefined && kept.size >= KEPT) kept.delete(oldest);
    kept.set(sql, statement);
  }
  return statement;
}

/** @throws QueryFailedError as the ORM does */
function onSqlite<T>(manager: EntityManager, statement: Statement, use: (prepared: Prepared) => T): T {
  const { driver, logger } = manager.connection;
  const { sql, parameters } = statement;
  logger.logQuery(sql, [...parameters], manager.queryRunner);
  try {
    return use(prepare((driver as unknown as { databaseConnection: SqliteConnection }).databaseConnection, statement));
  } catch (error) {
    throw new QueryFailedError(sql, [...parameters], error as Error);
  }
}

/** The rows of a query, as the database has them. */
export async function readRaw(manager: EntityManager, statement: Statement): Promise<Record<string, unknown>[]> {
  if (engineOf(manager) === 'sqlite') return onSqlite(manager, statement, (one) => one.all(...statement.parameters));
  return manager.query(statement.sql, [...statement.parameters]);
}

/** The rows of a query with their values as the table describes them. */
export async function readTable<T extends Table>(
  manager: EntityManager,
  table: T,
  statement: Statement,
  only?: readonly string[],
): Promise<Row<T>[]> {
  const fields = [...fieldsOf(table, engineOf(manager)).values()].filter(({ name }) => !only || only.includes(name));
  const converted = fields.flatMap(({ name, from }) => (from ? [{ name, from }] : []));
  return mapInSlices(await readRaw(manager, statement), (row) => {
    for (const { name, from } of converted) row[name] = from(row[name]);
    return row as Row<T>;
  });
}

/** Runs a statement that changes rows. */
export async function change(manager: EntityManager, statement: Statement): Promise<Changed> {
  if (engineOf(manager) === 'sqlite') {
    const { changes, lastInsertRowid } = onSqlite(manager, statement, (one) => one.run(...statement.parameters));
    return { rows: changes, key: Number(lastInsertRowid) };
  }
  const answer = await manager.query<{ affectedRows: number; insertId: number }>(statement.sql, [
    ...statement.parameters,
  ]);
  return { rows: answer.affectedRows, key: Number(answer.insertId) };
}
