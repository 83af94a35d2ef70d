// How tables are described: columns that mean the same on SQLite and MariaDB, and the row type that follows from them.
import type { EntitySchemaColumnOptions } from 'typeorm';

export type DatabaseEngine = 'sqlite' | 'mariadb';

/** One column: its definition per engine, and as a phantom the type of its values. */
export interface Column<T> {
  readonly options: (engine: DatabaseEngine) => EntitySchemaColumnOptions;
  readonly value?: T;
}

const column = <T>(options: EntitySchemaColumnOptions): Column<T> => ({ options: () => options });
/** Text compares byte by byte, trailing blanks included, as SQLite's does. */
const characters = <T>(sqlite: EntitySchemaColumnOptions, mariadb: EntitySchemaColumnOptions): Column<T> => ({
  options: (engine) =>
    engine === 'sqlite' ? sqlite : { ...mariadb, charset: 'utf8mb4', collation: 'utf8mb4_nopad_bin' },
});
const varchar = (length: number): Column<string> =>
  characters({ type: 'varchar', length }, { type: 'varchar', length });
const number = { to: (value: unknown) => value, from: (value: unknown) => (value === null ? null : Number(value)) };
/** MariaDB's driver may hand out large numbers as text, SQLite's does not. */
const bigint = (): Column<number> => ({
  options: (engine) => (engine === 'sqlite' ? { type: 'bigint' } : { type: 'bigint', transformer: number }),
});
const boolean = { to: (value: unknown) => value, from: (value: unknown) => (value === null ? null : Boolean(value)) };
const jsonText = {
  to: (value: unknown) => (value === null || value === undefined ? null : JSON.stringify(value)),
  from: (value: unknown): unknown => (typeof value === 'string' ? JSON.parse(value) : value),
};

/** A UUID or another id of at most 64 characters. */
export const id = (): Column<string> => varchar(64);
/** Text of at most `length` characters (so that it can be indexed). */
export const text = (length = 255): Column<string> => varchar(length);
/** Text up to 16 MB. */
export const longText = (): Column<string> => characters({ type: 'text' }, { type: 'mediumtext' });
/** Any JSON value. */
export const json = <T>(): Column<T> =>
  characters({ type: 'text', transformer: jsonText }, { type: 'mediumtext', transformer: jsonText });
/** A JSON value that is `empty` in rows of an older version of the controller, which does not know the column. */
export const addedJson = <T>(empty: T): Column<T> => {
  const transformer = {
    ...jsonText,
    from: (value: unknown): unknown => (value === null ? empty : jsonText.from(value)),
  };
  const more = { nullable: true, transformer };
  return characters({ type: 'text', ...more }, { type: 'mediumtext', ...more });
};
/** A whole number up to 2^53: counts, bytes, generations. */
export const integer = (): Column<number> => bigint();
/** Milliseconds since the epoch, UTC. */
export const time = (): Column<number> => bigint();
export const real = (): Column<number> => column({ type: 'double' });
export const flag = (): Column<boolean> => column({ type: 'boolean', transformer: boolean });
/** A number that the database counts up itself. Such a column is the primary key. */
export const sequence = (): Column<number> => ({
  options: (engine) => ({
    type: engine === 'sqlite' ? 'integer' : 'bigint',
    generated: 'increment',
    transformer: number,
  }),
});

/** The same column, also allowed to be null. */
export const nullable = <T>(inner: Column<T>): Column<T | null> => ({
  options: (engine) => ({ ...inner.options(engine), nullable: true }),
});

export type Columns = Record<string, Column<unknown>>;
type ValueOf<C> = C extends Column<infer T> ? T : never;

export interface Table<C extends Columns = Columns> {
  readonly name: string;
  readonly columns: C;
  readonly primary: readonly string[];
  readonly unique: readonly (readonly string[])[];
  readonly indices: readonly (readonly string[])[];
}

/** The row type of a table. */
export type Row<T extends Table> = { [K in keyof T['columns']]: ValueOf<T['columns'][K]> };

const limits = new WeakMap<Table, readonly (readonly [string, number])[]>();

/** The columns of a table that hold a bounded text, each with its most characters. */
export function textLimits(table: Table): readonly (readonly [string, number])[] {
  let known = limits.get(table);
  if (!known) {
    known = Object.entries(table.columns).flatMap(([name, { options }]) => {
      const { type, length } = options('sqlite');
      return type === 'varchar' ? [[name, Number(length)] as const] : [];
    });
    limits.set(table, known);
  }
  return known;
}

/** Describes a table. `unique` and `indices` are lists of column lists. */
export function table<C extends Columns>(
  name: string,
  columns: C,
  options: {
    readonly primary?: readonly (keyof C & string)[];
    readonly unique?: readonly (readonly (keyof C & string)[])[];
    readonly indices?: readonly (readonly (keyof C & string)[])[];
  } = {},
): Table<C> {
  return {
    name,
    columns,
    primary: options.primary ?? ['id'],
    unique: options.unique ?? [],
    indices: options.indices ?? [],
  };
}
