// Reads rows without building entities: the tables are plain, and lists of a thousand rows are felt by everybody else.
import type { EntityManager, ObjectLiteral, SelectQueryBuilder, ValueTransformer } from 'typeorm';
import { mapInSlices } from '../slices';
import type { Columns, DatabaseEngine, Row, Table } from './columns';
import type { Lock } from './session';

interface Field {
  readonly name: string;
  /** How the query names it, with the alias before it. */
  readonly key: string;
  readonly from: ((value: unknown) => unknown) | undefined;
}

/** The alias under which a query selects the table. */
export const ALIAS = 't';

const known = new WeakMap<Table, Map<DatabaseEngine, readonly Field[]>>();

function fieldsOf(table: Table, engine: DatabaseEngine): readonly Field[] {
  const byEngine = known.get(table) ?? new Map<DatabaseEngine, readonly Field[]>();
  known.set(table, byEngine);
  let fields = byEngine.get(engine);
  if (!fields) {
    fields = Object.entries<Columns[string]>(table.columns).map(([name, column]) => {
      const transformer = column.options(engine).transformer as ValueTransformer | undefined;
      return {
        name,
        key: `${ALIAS}_${name}`,
        from: transformer ? (value: unknown): unknown => transformer.from(value) : undefined,
      };
    });
    byEngine.set(engine, fields);
  }
  return fields;
}

const engineOf = (manager: EntityManager): DatabaseEngine =>
  manager.connection.options.type === 'better-sqlite3' ? 'sqlite' : 'mariadb';

/**
 * The rows a query selects from one table under the alias, with their values as the table describes them. Omitted columns are null;
 * with `only` a row has no others.
 */
export async function readRows<T extends Table>(
  manager: EntityManager,
  table: T,
  builder: SelectQueryBuilder<ObjectLiteral>,
  lock?: Lock,
  { omit = [], only }: { readonly omit?: readonly string[] | undefined; readonly only?: readonly string[] } = {},
): Promise<Row<T>[]> {
  const engine = engineOf(manager);
  const all = fieldsOf(table, engine);
  const fields = only ? all.filter(({ name }) => only.includes(name)) : all;
  if (lock && engine === 'mariadb' && manager.queryRunner?.isTransactionActive)
    builder.setLock(lock === 'shared' ? 'pessimistic_read' : 'pessimistic_write');
  if (omit.length > 0 || only)
    builder.select(fields.filter(({ name }) => !omit.includes(name)).map(({ name }) => `${ALIAS}.${name}`));
  const found = await builder.getRawMany<Record<string, unknown>>();
  return mapInSlices(found, (values) => {
    const row: Record<string, unknown> = {};
    for (const { name, key, from } of fields) {
      const value = values[key] ?? null;
      row[name] = from ? from(value) : value;
    }
    return row as Row<T>;
  });
}
