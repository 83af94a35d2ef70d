// One way to list: filters, any sort with the id as tie-break, and paging after a marker row. Every list of every API uses it.
import { Brackets, type ObjectLiteral, type SelectQueryBuilder } from 'typeorm';
import type { Row, Table } from './columns';
import { ALIAS, readRows } from './rows';
import { managerOf, type Lock, type ReadSession } from './session';

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

type Builder = SelectQueryBuilder<ObjectLiteral>;
type Parameters = Record<string, unknown>;

function conditionSql<T extends Table>(condition: Condition<T>, key: string): [string, Parameters] {
  const left = `t.${condition.column}`;
  switch (condition.op) {
    case 'is null':
      return [`${left} IS NULL`, {}];
    case 'is not null':
      return [`${left} IS NOT NULL`, {}];
    case 'in':
    case 'not in': {
      const values = condition.value as readonly unknown[];
      if (values.length === 0) return [condition.op === 'in' ? '1 = 0' : '1 = 1', {}];
      return [`${left} ${condition.op.toUpperCase()} (:...${key})`, { [key]: values }];
    }
    case 'in rows':
    case 'not in rows': {
      const rows = condition.value as RowsOf;
      const entries = Object.entries(rows.where);
      const clauses = entries.map(([column], at) => `r.${column} = :${key}_${at}`);
      const select = `SELECT r.${rows.column} FROM ${rows.table.name} r WHERE ${clauses.join(' AND ') || '1 = 1'}`;
      const parameters = Object.fromEntries(entries.map(([, value], at) => [`${key}_${at}`, value]));
      return [`${left} ${condition.op === 'in rows' ? 'IN' : 'NOT IN'} (${select})`, parameters];
    }
    case 'like':
      return [`LOWER(${left}) LIKE LOWER(:${key})`, { [key]: condition.value }];
    case 'contains':
      return [`INSTR(${left}, :${key}) > 0`, { [key]: condition.value }];
    default:
      return [`${left} ${condition.op} :${key}`, { [key]: condition.value }];
  }
}

function applyConditions<T extends Table>(builder: Builder, options: ListOptions<T>): void {
  let count = 0;
  for (const entry of options.conditions ?? []) {
    const alternatives = (Array.isArray(entry) ? entry : [entry]) as readonly Condition<T>[];
    builder.andWhere(
      new Brackets((inner) => {
        if (alternatives.length === 0) inner.where('1 = 0');
        for (const condition of alternatives) inner.orWhere(...conditionSql(condition, `c${count++}`));
      }),
    );
  }
}

/** The sort with the primary key added, so that the order is total. */
function totalSort<T extends Table>(table: T, sort: readonly Sort<T>[]): Sort<T>[] {
  const named = new Set(sort.map((one) => one.column));
  const rest = (table.primary as readonly (keyof Row<T> & string)[]).filter((column) => !named.has(column));
  const direction = sort.at(-1)?.direction ?? 'asc';
  return [...sort, ...rest.map((column) => ({ column, direction }))];
}

/** Rows after the marker in a total order: for each sort column, equal before it and beyond in it. NULL sorts first. */
function applyMarker<T extends Table>(builder: Builder, sort: readonly Sort<T>[], marker: Row<T>): void {
  builder.andWhere(
    new Brackets((any) => {
      sort.forEach((last, index) => {
        any.orWhere(
          new Brackets((all) => {
            const parameters: Parameters = {};
            const clauses = sort.slice(0, index).map((one, at) => {
              const value = marker[one.column];
              if (value === null) return `t.${one.column} IS NULL`;
              parameters[`m${index}_${at}`] = value;
              return `t.${one.column} = :m${index}_${at}`;
            });
            const value = marker[last.column];
            const key = `m${index}_${index}`;
            if (value !== null) parameters[key] = value;
            const up = last.direction === 'asc';
            if (value === null) clauses.push(up ? `t.${last.column} IS NOT NULL` : '1 = 0');
            else
              clauses.push(
                up ? `t.${last.column} > :${key}` : `(t.${last.column} < :${key} OR t.${last.column} IS NULL)`,
              );
            all.where(clauses.join(' AND '), parameters);
          }),
        );
      });
    }),
  );
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
): Promise<Pick<Row<T>, K>[]> => readList(session, table, options, { only: columns });

async function readList<T extends Table>(
  session: ReadSession,
  table: T,
  options: ListOptions<T>,
  what: { readonly omit?: readonly string[] | undefined; readonly only?: readonly string[] },
): Promise<Row<T>[]> {
  const manager = managerOf(session);
  const builder = manager.createQueryBuilder<ObjectLiteral>(table.name, ALIAS);
  builder.where('1 = 1');
  applyConditions(builder, options);
  const wanted = totalSort(table, options.sort ?? []);
  const sort = options.reverse ? wanted.map(flip) : wanted;
  if (options.marker) applyMarker(builder, sort, options.marker);
  for (const one of sort) builder.addOrderBy(`t.${one.column}`, one.direction === 'asc' ? 'ASC' : 'DESC');
  if (options.limit !== undefined) builder.limit(options.limit);
  const rows = await readRows(manager, table, builder, options.lock, what);
  return options.reverse ? rows.reverse() : rows;
}

/** How many rows fit the conditions. */
export async function countRows<T extends Table>(
  session: ReadSession,
  table: T,
  conditions: ListOptions<T>['conditions'] = [],
): Promise<number> {
  const builder = managerOf(session).createQueryBuilder<ObjectLiteral>(table.name, 't').where('1 = 1');
  applyConditions(builder, { conditions });
  return builder.getCount();
}

/** The sum of a numeric column over the rows that fit the conditions; 0 when none does. */
export async function sumRows<T extends Table>(
  session: ReadSession,
  table: T,
  column: keyof Row<T> & string,
  conditions: ListOptions<T>['conditions'] = [],
): Promise<number> {
  const builder = managerOf(session).createQueryBuilder<ObjectLiteral>(table.name, 't').where('1 = 1');
  applyConditions(builder, { conditions });
  const row = await builder.select(`SUM(t.${column})`, 'total').getRawOne<{ total: unknown }>();
  return Number(row?.total ?? 0);
}
