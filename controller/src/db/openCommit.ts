// What the transactions that share a commit of SQLite share besides: rows that were read already, and rows to insert in one statement.
import type { EntityManager } from 'typeorm';
import type { Table } from './columns';
import { changeOnSqlite, readOnSqlite, type RawRow } from './execute';
import { insertSql, type Statement } from './sql';

/** Longer answers are rarely asked for again, and are not worth a copy. */
const MOST_ROWS = 50;
/** Rows an INSERT carries at once: SQLite allows 32,766 variables in a statement. */
export const INSERT_CHUNK = 400;

/**
 * Nobody else writes while a transaction of SQLite is open, so what it has read of a table stays as it is until it changes the table
 * itself. All of it ends with the transaction.
 */
export interface OpenCommit {
  /** The rows of a statement about this table; the caller may change them. */
  read(table: Table, statement: Statement): RawRow[];
  /** What the statement would find from now on, by who has just changed the table and knows. */
  know(table: Table, statement: Statement, rows: readonly RawRow[]): void;
  /** Must be called before a statement that changes this table. */
  beforeChange(table: Table, statement: Statement): void;
  /** Keeps rows until somebody looks at their table, or the transaction ends. */
  append(table: Table, rows: readonly Readonly<Record<string, unknown>>[]): void;
  /** The same for rows of a table that numbers them. @returns the number of the last one */
  number(table: Table, rows: readonly Readonly<Record<string, unknown>>[]): number;
  /** Must be called before what is not told here. @throws when rows could not be inserted */
  settle(): void;
  /** The same at the end of a transaction. */
  end(): void;
  /** What was done in the transaction was taken back. */
  takeBack(): void;
}

/** @param manager of the only connection that writes */
export function createOpenCommit(manager: EntityManager): OpenCommit {
  const known = new Map<Table, Map<string, readonly RawRow[]>>();
  const pending = new Map<Table, Readonly<Record<string, unknown>>[]>();
  /** The last numbers of tables, from one transaction to the next: nothing but what is told here changes them. */
  const numbers = new Map<Table, number>();
  let failure: Error | undefined;

  function lastNumber({ name }: Table): number {
    const sql = 'SELECT seq FROM sqlite_sequence WHERE name = ?';
    const [row] = readOnSqlite(manager, { sql, parameters: [name] });
    return Number(row?.['seq'] ?? 0);
  }

  function insertPending(table: Table): void {
    const rows = pending.get(table) ?? [];
    pending.delete(table);
    known.delete(table);
    try {
      for (let start = 0; start < rows.length; start += INSERT_CHUNK)
        changeOnSqlite(manager, insertSql(table, 'sqlite', rows.slice(start, start + INSERT_CHUNK)));
    } catch (error) {
      failure = error as Error;
    }
  }

  /** A statement may look at other tables beside its own. */
  function insertNamed({ sql }: Statement): void {
    for (const table of pending.keys()) if (sql.includes(`"${table.name}"`)) insertPending(table);
    // Who asks may not be who has broken a key: nothing of this is committed, whatever is made of the error.
    if (failure) throw new Error('rows could not be inserted', { cause: failure });
  }

  function append(table: Table, rows: readonly Readonly<Record<string, unknown>>[]): void {
    const waiting = pending.get(table);
    if (waiting) waiting.push(...rows);
    else pending.set(table, [...rows]);
  }

  const keyOf = ({ sql, parameters }: Statement): string => `${sql} ${JSON.stringify(parameters)}`;

  function knownOf(table: Table): Map<string, readonly RawRow[]> {
    const ofTable = known.get(table) ?? new Map<string, readonly RawRow[]>();
    known.set(table, ofTable);
    return ofTable;
  }

  function end(): void {
    for (const table of pending.keys()) insertPending(table);
    known.clear();
    if (failure) throw failure;
  }

  return {
    read(table, statement) {
      insertNamed(statement);
      if (statement.sql.includes('(SELECT ')) return readOnSqlite(manager, statement);
      const ofTable = knownOf(table);
      const key = keyOf(statement);
      const rows = ofTable.get(key) ?? readOnSqlite(manager, statement);
      if (rows.length > MOST_ROWS) return [...rows];
      ofTable.set(key, rows);
      return rows.map((row) => ({ ...row }));
    },
    know: (table, statement, rows) => void knownOf(table).set(keyOf(statement), rows),
    beforeChange(table, statement) {
      insertNamed(statement);
      known.delete(table);
      numbers.delete(table);
    },
    append,
    number(table, rows) {
      let last = numbers.get(table) ?? lastNumber(table);
      append(
        table,
        rows.map((row) => ({ ...row, sequence: ++last })),
      );
      numbers.set(table, last);
      return last;
    },
    settle() {
      numbers.clear();
      end();
    },
    end,
    takeBack() {
      known.clear();
      pending.clear();
      numbers.clear();
      failure = undefined;
    },
  };
}
