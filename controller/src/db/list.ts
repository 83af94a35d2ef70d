// One way to list: filters, any sort with the id as tie-break, and paging after a marker row. Every list of every API uses it.
import type { DatabaseEngine, Row, Table } from './columns';
import { toRows } from './execute';
import { inSql, quote, selectSql, totalSql, type Statement } from './sql';
import { engineFor, lockFor, readStatement, type Lock, type ReadSession } from './session';

type Comparison =
  | '='
  | '!='
  | '<'
  | '<='
  | '>'
  | '>='
  | 'like'
  | 'contains'
  | 'in'
  | 'not in'
  | 'is null'
  | 'is not null'
  | 'in rows'
  | 'not in rows';

/** The value of `in rows`: the values of a column in the rows of another table that have all these values. */
export interface RowsOf {
  readonly table: Table;
  readonly column: string;
  readonly where: Readonly<Record<string, string | number | boolean>>;
}

/**
 * One condition on a column; all conditions of a list hold together. `like` takes SQL wildcards and does not look at the case of
 * letters; `contains` takes a text as it is.
 */
export interface Condition<T extends Table> {
  readonly column: keyof Row<T> & string;
  readonly op: Comparison;
  readonly value?: unknown;
}

export interface Sort<T extends Table> {
  readonly column: keyof Row<T> & string;
  readonly direction: 'asc' | 'desc';
}

/** Columns whose value may be null. */
type NullableColumn<T extends Table> = {
  [K in keyof Row<T> & string]: null extends Row<T>[K] ? K : never;
}[keyof Row<T> & string];

export interface ListOptions<T extends Table> {
  /** All of these. Inner arrays are alternatives: at least one of them. */
  readonly conditions?: readonly (Condition<T> | readonly Condition<T>[])[];
  readonly sort?: readonly Sort<T>[];
  readonly limit?: number;
  /** Columns that are not read, because they are large and not looked at; they must be nullable and come as null. */
  readonly omit?: readonly NullableColumn<T>[];
  /** The page begins after this row (before it when `reverse`). */
  readonly marker?: Row<T>;
  /** Walks backwards from the marker; rows still come in the order of `sort`. */
  readonly reverse?: boolean;
  readonly lock?: Lock;
}

/** Conditions of a list as they are put together, for one engine. */
interface Clauses {
  readonly table: Table;
  readonly engine: DatabaseEngine;
  readonly parameters: unknown[];
}

/** SQLite's driver takes no booleans. */
const plain = (value: unknown): unknown => (typeof value === 'boolean' ? Number(value) : value);

/** Adds a parameter. */
function add({ parameters }: Clauses, value: unknown): '?' {
  parameters.push(plain(value));
  return '?';
}

const columnOf = ({ table, engine }: Clauses, name: string): string => {
  if (!(name in table.columns)) throw new Error(`table ${table.name} has no column ${name}`);
  return quote(name, engine);
};

function rowsSql(clauses: Clauses, { table, column, where }: RowsOf): string {
  const inner = { ...clauses, table };
  const all = Object.entries(where).map(([name, value]) => `${columnOf(inner, name)} = ${add(inner, value)}`);
  return `SELECT ${columnOf(inner, column)} FROM ${quote(table.name, clauses.engine)} WHERE ${all.join(' AND ') || '1 = 1'}`;
}

function conditionSql<T extends Table>(clauses: Clauses, { column, op, value }: Condition<T>): string {
  const left = columnOf(clauses, column);
  switch (op) {
    case 'is null':
    case 'is not null':
      return `${left} ${op.toUpperCase()}`;
    case 'in':
    case 'not in': {
      const values = (value as readonly unknown[]).map(plain);
      if (values.length === 0) return op === 'in' ? '1 = 0' : '1 = 1';
      return inSql({ quoted: left, op: op === 'in' ? 'IN' : 'NOT IN' }, values, clauses.parameters, clauses.engine);
    }
    case 'in rows':
    case 'not in rows':
      return `${left} ${op === 'in rows' ? 'IN' : 'NOT IN'} (${rowsSql(clauses, value as RowsOf)})`;
    case 'like':
      return `LOWER(${left}) LIKE LOWER(${add(clauses, value)})`;
    case 'contains':
      return `INSTR(${left}, ${add(clauses, value)}) > 0`;
    default:
      return `${left} ${op} ${add(clauses, value)}`;
  }
}

/** All conditions of a list. */
function conditionsSql<T extends Table>(clauses: Clauses, conditions: ListOptions<T>['conditions'] = []): string[] {
  return conditions.map((entry) => {
    const alternatives = (Array.isArray(entry) ? entry : [entry]) as readonly Condition<T>[];
    return `(${alternatives.map((one) => conditionSql(clauses, one)).join(' OR ') || '1 = 0'})`;
  });
}

const clausesFor = (session: ReadSession, table: Table): Clauses => ({
  table,
  engine: engineFor(session),
  parameters: [],
});

/** What rows must fit: all of these. */
const fitting = ({ parameters }: Clauses, all: readonly string[]): Statement => ({
  sql: all.join(' AND ') || '1 = 1',
  parameters,
});

/** The sort with the primary key added, so that the order is total. */
function totalSort<T extends Table>(table: T, sort: readonly Sort<T>[]): Sort<T>[] {
  const named = new Set(sort.map((one) => one.column));
  const rest = (table.primary as readonly (keyof Row<T> & string)[]).filter((column) => !named.has(column));
  const direction = sort.at(-1)?.direction ?? 'asc';
  return [...sort, ...rest.map((column) => ({ column, direction }))];
}

/** Rows after the marker in a total order: for each sort column, equal before it and beyond in it. NULL sorts first. */
function markerSql<T extends Table>(clauses: Clauses, sort: readonly Sort<T>[], marker: Row<T>): string {
  const equal = ({ column }: Sort<T>): string => {
    const [left, value] = [columnOf(clauses, column), marker[column]];
    return value === null ? `${left} IS NULL` : `${left} = ${add(clauses, value)}`;
  };
  const beyond = ({ column, direction }: Sort<T>): string => {
    const [left, value] = [columnOf(clauses, column), marker[column]];
    if (direction === 'asc') return value === null ? `${left} IS NOT NULL` : `${left} > ${add(clauses, value)}`;
    return value === null ? '1 = 0' : `(${left} < ${add(clauses, value)} OR ${left} IS NULL)`;
  };
  const ways = sort.map((last, index) => `(${[...sort.slice(0, index).map(equal), beyond(last)].join(' AND ')})`);
  return `(${ways.join(' OR ')})`;
}

const flip = <T extends Table>(sort: Sort<T>): Sort<T> => ({
  ...sort,
  direction: sort.direction === 'asc' ? 'desc' : 'asc',
});

/** Lists rows of a table. Sort columns must be chosen by the caller's allow-list; they are names of columns, not user text. */
export const list = <T extends Table>(
  session: ReadSession,
  table: T,
  options: ListOptions<T> = {},
): Promise<Row<T>[]> => readList(session, table, options, { omit: options.omit });

/** The same with some columns only. */
export const listColumns = <T extends Table, K extends keyof Row<T> & string>(
  session: ReadSession,
  table: T,
  columns: readonly K[],
  options: ListOptions<T> = {},
): Promise<Pick<Row<T>, K>[]> => readList(session, table, options, { only: columns, omit: options.omit });

async function readList<T extends Table>(
  session: ReadSession,
  table: T,
  options: ListOptions<T>,
  what: { readonly omit?: readonly string[] | undefined; readonly only?: readonly string[] },
): Promise<Row<T>[]> {
  const clauses = clausesFor(session, table);
  const all = conditionsSql(clauses, options.conditions);
  const wanted = totalSort(table, options.sort ?? []);
  const sort = options.reverse ? wanted.map(flip) : wanted;
  if (options.marker) all.push(markerSql(clauses, sort, options.marker));
  const statement = selectSql(table, clauses.engine, {
    ...what,
    fits: fitting(clauses, all),
    order: Object.fromEntries(sort.map(({ column, direction }) => [column, direction === 'asc' ? 'ASC' : 'DESC'])),
    ...(options.limit === undefined ? {} : { limit: options.limit }),
    suffix: lockFor(session, options.lock),
  });
  const rows = await toRows(table, clauses.engine, await readStatement(session, table, statement), what.only);
  return options.reverse ? rows.reverse() : rows;
}

/** One number over the rows that fit the conditions; 0 when none does. */
async function total<T extends Table>(
  session: ReadSession,
  table: T,
  what: string,
  conditions: ListOptions<T>['conditions'],
): Promise<number> {
  const clauses = clausesFor(session, table);
  const statement = totalSql(table, clauses.engine, what, fitting(clauses, conditionsSql(clauses, conditions)));
  const [row] = await readStatement(session, table, statement);
  return Number(row?.['total'] ?? 0);
}

/** How many rows fit the conditions. */
export const countRows = <T extends Table>(
  session: ReadSession,
  table: T,
  conditions: ListOptions<T>['conditions'] = [],
): Promise<number> => total(session, table, 'COUNT(*)', conditions);

/** The sum of a numeric column over the rows that fit the conditions; 0 when none does. */
export const sumRows = <T extends Table>(
  session: ReadSession,
  table: T,
  column: keyof Row<T> & string,
  conditions: ListOptions<T>['conditions'] = [],
): Promise<number> => total(session, table, `SUM(${columnOf(clausesFor(session, table), column)})`, conditions);
