// The SQL of reads and writes of one table. The ORM's builder takes ten times as long.
import { FindOperator } from 'typeorm';
import type { Columns, DatabaseEngine, Table } from './columns';
import { SubSelect } from './operators';

/** A statement with `?` for its parameters. Equal shapes have equal texts, so that they are prepared once. */
export interface Statement {
  readonly sql: string;
  readonly parameters: readonly unknown[];
}

/** What a column is set to where it depends on the row: an expression with `?` for its parameters, in the words of both databases. */
export class Expression implements Statement {
  constructor(
    readonly sql: string,
    readonly parameters: readonly unknown[] = [],
  ) {}
}

export interface Field {
  readonly name: string;
  readonly quoted: string;
  /** How values are stored and read, where they are not as they are. */
  readonly to?: (this: void, value: unknown) => unknown;
  readonly from?: (this: void, value: unknown) => unknown;
}
type Transformer = Pick<Field, 'to' | 'from'>;

type Values = Readonly<Record<string, unknown>>;
/** All columns of one of these have these values or fit these operators. */
type Conditions = Values | readonly Values[] | undefined;

const known = new Map<DatabaseEngine, WeakMap<Table, ReadonlyMap<string, Field>>>();
/** The name of a table or column. */
export const quote = (name: string, engine: DatabaseEngine): string =>
  engine === 'sqlite' ? `"${name}"` : `\`${name}\``;

/** The columns of a table by name, as an engine stores them. */
export function fieldsOf(table: Table, engine: DatabaseEngine): ReadonlyMap<string, Field> {
  const tables = known.get(engine) ?? new WeakMap<Table, ReadonlyMap<string, Field>>();
  known.set(engine, tables);
  let fields = tables.get(table);
  if (!fields) {
    fields = new Map(
      Object.entries<Columns[string]>(table.columns).map(([name, column]) => {
        const transformer = column.options(engine).transformer as Transformer | undefined;
        return [name, { name, quoted: quote(name, engine), ...transformer }];
      }),
    );
    tables.set(table, fields);
  }
  return fields;
}

function fieldOf(fields: ReadonlyMap<string, Field>, name: string, table: Table): Field {
  const field = fields.get(name);
  if (!field) throw new Error(`table ${table.name} has no column ${name}`);
  return field;
}

/** A value as both drivers take it; SQLite's takes no booleans. */
function stored(field: Field, value: unknown): unknown {
  const plain = field.to ? field.to(value) : value;
  return typeof plain === 'boolean' ? Number(plain) : (plain ?? null);
}

/** More values are one parameter on SQLite: the text is the same for any number of them, and prepared once. */
const MANY = 20;

/** That a column has one of some values, or none of them. @param values as they are stored, at least one */
export function inSql(
  { quoted, op = 'IN' }: { readonly quoted: string; readonly op?: 'IN' | 'NOT IN' },
  values: readonly unknown[],
  parameters: unknown[],
  engine: DatabaseEngine,
): string {
  if (engine === 'sqlite' && values.length > MANY) {
    parameters.push(JSON.stringify(values));
    return `${quoted} ${op} (SELECT value FROM json_each(?))`;
  }
  parameters.push(...values);
  return `${quoted} ${op} (${values.map(() => '?').join(', ')})`;
}

const comparisons: Readonly<Record<string, string>> = {
  lessThan: '<',
  lessThanOrEqual: '<=',
  moreThan: '>',
  moreThanOrEqual: '>=',
};

function conditionSql(field: Field, value: unknown, parameters: unknown[], engine: DatabaseEngine): string {
  if (value === undefined || value === null)
    throw new Error(`a condition on ${field.name} has no value; IsNull() looks for null`);
  const add = (one: unknown): string => {
    parameters.push(stored(field, one));
    return '?';
  };
  if (!(value instanceof FindOperator)) return `${field.quoted} = ${add(value)}`;
  if (value instanceof SubSelect) {
    const { table, column, where } = value;
    const { quoted } = fieldOf(fieldsOf(table, engine), column, table);
    const condition = whereSql(table, engine, where, parameters);
    return `${field.quoted} IN (SELECT ${quoted} FROM ${quote(table.name, engine)}${condition})`;
  }
  const operator = value as FindOperator<unknown>;
  switch (operator.type) {
    case 'isNull':
      return `${field.quoted} IS NULL`;
    case 'in': {
      const values = (operator.value as readonly unknown[]).map((one) => stored(field, one));
      return values.length === 0 ? '0 = 1' : inSql(field, values, parameters, engine);
    }
    case 'not':
      return operator.child
        ? `NOT (${conditionSql(field, operator.child, parameters, engine)})`
        : `${field.quoted} != ${add(operator.value)}`;
    default: {
      const comparison = comparisons[operator.type];
      if (comparison === undefined) throw new Error(`${operator.type} is not known as a condition`);
      return `${field.quoted} ${comparison} ${add(operator.value)}`;
    }
  }
}

/** Whether no row can fit: each alternative asks for one of no values. Nobody has to ask the database then. */
export function fitsNothing(where: Conditions): boolean {
  const isNever = (value: unknown): boolean => {
    if (value instanceof SubSelect) return fitsNothing(value.where);
    return value instanceof FindOperator && value.type === 'in' && (value.value as readonly unknown[]).length === 0;
  };
  if (where === undefined) return false;
  const alternatives = Array.isArray(where) ? (where as readonly Values[]) : [where as Values];
  return alternatives.length > 0 && alternatives.every((all) => Object.values(all).some(isNever));
}

function whereSql(table: Table, engine: DatabaseEngine, where: Conditions, parameters: unknown[]): string {
  if (where === undefined) return '';
  const fields = fieldsOf(table, engine);
  const alternatives = (Array.isArray(where) ? (where as readonly Values[]) : [where as Values]).map((all) => {
    const clauses = Object.entries(all).map(([name, value]) =>
      conditionSql(fieldOf(fields, name, table), value, parameters, engine),
    );
    return clauses.length === 0 ? '1 = 1' : clauses.join(' AND ');
  });
  if (alternatives.length === 0) return '';
  return ` WHERE ${alternatives.length === 1 ? alternatives[0] : alternatives.map((one) => `(${one})`).join(' OR ')}`;
}

export interface Selection {
  readonly where?: Conditions;
  /** The same in the words of both databases, instead of `where`. */
  readonly fits?: Statement | undefined;
  readonly order?: Readonly<Partial<Record<string, 'ASC' | 'DESC'>>>;
  readonly limit?: number;
  /** Only these columns. */
  readonly only?: readonly string[];
  /** Columns that come as null, whatever is in them. */
  readonly omit?: readonly string[] | undefined;
  /** Equal rows once. */
  readonly distinct?: boolean;
  /** What comes at the end: a lock. */
  readonly suffix?: string;
}

export function selectSql(table: Table, engine: DatabaseEngine, selection: Selection): Statement {
  const { where, fits, order = {}, limit, only, omit = [], distinct = false, suffix = '' } = selection;
  const fields = fieldsOf(table, engine);
  const parameters: unknown[] = [];
  const columns = only ? only.map((name) => fieldOf(fields, name, table)) : [...fields.values()];
  const condition = fits ? ` WHERE ${fits.sql}` : whereSql(table, engine, where, parameters);
  if (fits) parameters.push(...fits.parameters);
  const sorts = Object.entries(order).map(([name, direction]) => `${fieldOf(fields, name, table).quoted} ${direction}`);
  const sorted = sorts.length > 0 ? ` ORDER BY ${sorts.join(', ')}` : '';
  if (limit !== undefined) parameters.push(limit);
  const limitClause = limit === undefined ? '' : ' LIMIT ?';
  const list = columns.map(({ name, quoted }) => (omit.includes(name) ? `NULL AS ${quoted}` : quoted)).join(', ');
  return {
    sql: `SELECT ${distinct ? 'DISTINCT ' : ''}${list} FROM ${quote(table.name, engine)}${condition}${sorted}${limitClause}${suffix}`,
    parameters,
  };
}

export function countSql(table: Table, engine: DatabaseEngine, where: Conditions): Statement {
  const parameters: unknown[] = [];
  const condition = whereSql(table, engine, where, parameters);
  return { sql: `SELECT COUNT(*) AS total FROM ${quote(table.name, engine)}${condition}`, parameters };
}

/** One number over the rows that fit, as `total`. @param what such as `COUNT(*)` */
export const totalSql = (table: Table, engine: DatabaseEngine, what: string, fits: Statement): Statement => ({
  sql: `SELECT ${what} AS total FROM ${quote(table.name, engine)} WHERE ${fits.sql}`,
  parameters: fits.parameters,
});

/** What the rows do not name is null, or counted up. */
export function insertSql(table: Table, engine: DatabaseEngine, rows: readonly Values[]): Statement {
  const fields = [...fieldsOf(table, engine).values()].filter(
    ({ name }) => name !== 'sequence' || rows.some((row) => row[name] !== undefined),
  );
  const places = `(${fields.map(() => '?').join(', ')})`;
  const columns = fields.map(({ quoted }) => quoted).join(', ');
  return {
    sql: `INSERT INTO ${quote(table.name, engine)} (${columns}) VALUES ${rows.map(() => places).join(', ')}`,
    parameters: rows.flatMap((row) => fields.map((field) => stored(field, row[field.name]))),
  };
}

/** Columns that are undefined keep their values. @param only further conditions, in the words of both databases */
export function updateSql(
  table: Table,
  engine: DatabaseEngine,
  where: Values,
  set: Values,
  ...only: readonly Statement[]
): Statement {
  const fields = fieldsOf(table, engine);
  const parameters: unknown[] = [];
  const assignments = Object.entries(set).flatMap(([name, value]) => {
    if (value === undefined) return [];
    const field = fieldOf(fields, name, table);
    if (value instanceof Expression) {
      parameters.push(...value.parameters);
      return [`${field.quoted} = ${value.sql}`];
    }
    parameters.push(stored(field, value));
    return [`${field.quoted} = ?`];
  });
  const condition = whereSql(table, engine, where, parameters);
  for (const { parameters: more } of only) parameters.push(...more);
  const conditions = [condition, ...only.map(({ sql }) => `(${sql})`)].join(' AND ');
  return { sql: `UPDATE ${quote(table.name, engine)} SET ${assignments.join(', ')}${conditions}`, parameters };
}

export function deleteSql(table: Table, engine: DatabaseEngine, where: Values): Statement {
  const parameters: unknown[] = [];
  const condition = whereSql(table, engine, where, parameters);
  return { sql: `DELETE FROM ${quote(table.name, engine)}${condition}`, parameters };
}
