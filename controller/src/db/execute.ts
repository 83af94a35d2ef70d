// Runs statements on a session's connection. SQLite answers at once, so its driver is asked without the ORM's layers between.
import { QueryFailedError, type EntityManager } from 'typeorm';
import { mapInSlices } from '../slices';
import type { DatabaseEngine, Row, Table } from './columns';
import { fieldsOf, type Statement } from './sql';

/** A row as the database has it. */
export type RawRow = Record<string, unknown>;

/** What better-sqlite3 prepares. */
interface SqliteStatement {
  /** Has `all` hand out lists of values instead of objects. */
  raw(): this;
  columns(): { readonly name: string }[];
  all(...parameters: readonly unknown[]): unknown[][];
  run(...parameters: readonly unknown[]): { readonly changes: number; readonly lastInsertRowid: number | bigint };
}
interface SqliteConnection {
  prepare(sql: string): SqliteStatement;
}

interface Prepared {
  readonly statement: SqliteStatement;
  /** Of a query that was asked before. */
  read?: (parameters: readonly unknown[]) => RawRow[];
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
/** A statement with more parameters, such as one that inserts many rows, is rarely asked for again with as many. */
const MOST_PARAMETERS = 100;

const prepared = new WeakMap<SqliteConnection, Map<string, Prepared>>();

function prepare(connection: SqliteConnection, { sql, parameters }: Statement): Prepared {
  if (parameters.length > MOST_PARAMETERS) return { statement: connection.prepare(sql) };
  const kept = prepared.get(connection) ?? new Map<string, Prepared>();
  prepared.set(connection, kept);
  let one = kept.get(sql);
  if (!one) {
    one = { statement: connection.prepare(sql) };
    const [oldest] = kept.keys();
    if (oldest !== undefined && kept.size >= KEPT) kept.delete(oldest);
    kept.set(sql, one);
  }
  return one;
}

/** The driver makes objects at twice the cost of lists of values; rows that are copies of one row share its shape. */
function createRead(statement: SqliteStatement): (parameters: readonly unknown[]) => RawRow[] {
  const query = statement.raw();
  const names = query.columns().map(({ name }) => name);
  const empty: RawRow = Object.fromEntries(names.map((name) => [name, null]));
  return (parameters) =>
    query.all(...parameters).map((values) => {
      const row = { ...empty };
      for (let at = 0; at < names.length; at++) {
        const value = values[at];
        if (value !== null) row[names[at] as string] = value;
      }
      return row;
    });
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

/** The rows of a query on SQLite, which answers at once. */
export const readOnSqlite = (manager: EntityManager, statement: Statement): RawRow[] =>
  onSqlite(manager, statement, (one) => (one.read ??= createRead(one.statement))(statement.parameters));

/** Runs a statement that changes rows on SQLite, which does it at once. */
export function changeOnSqlite(manager: EntityManager, statement: Statement): Changed {
  const { changes, lastInsertRowid } = onSqlite(manager, statement, ({ statement: one }) =>
    one.run(...statement.parameters),
  );
  return { rows: changes, key: Number(lastInsertRowid) };
}

/** The rows of a query, as the database has them. */
export async function readRaw(manager: EntityManager, statement: Statement): Promise<RawRow[]> {
  if (engineOf(manager) === 'sqlite') return readOnSqlite(manager, statement);
  return manager.query(statement.sql, [...statement.parameters]);
}

/** Rows of a table, or these columns of them, with their values as the table describes them; the raw ones become them. */
export async function toRows<T extends Table>(
  table: T,
  engine: DatabaseEngine,
  raw: readonly RawRow[],
  only?: readonly string[],
): Promise<Row<T>[]> {
  const fields = [...fieldsOf(table, engine).values()].filter(({ name }) => !only || only.includes(name));
  const converted = fields.flatMap(({ name, from }) => (from ? [{ name, from }] : []));
  return mapInSlices(raw, (row) => {
    for (const { name, from } of converted) row[name] = from(row[name]);
    return row as Row<T>;
  });
}

/** Runs a statement that changes rows. */
export async function change(manager: EntityManager, statement: Statement): Promise<Changed> {
  if (engineOf(manager) === 'sqlite') return changeOnSqlite(manager, statement);
  const answer = await manager.query<{ affectedRows: number; insertId: number }>(statement.sql, [
    ...statement.parameters,
  ]);
  return { rows: answer.affectedRows, key: Number(answer.insertId) };
}
