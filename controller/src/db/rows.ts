// Reads rows without building entities: the tables are plain, and lists of a thousand rows are felt by everybody else.
import type { EntityManager, ObjectLiteral, SelectQueryBuilder } from 'typeorm';
import { mapInSlices } from '../slices';
import type { Row, Table } from './columns';
import { engineOf } from './execute';
import type { Lock } from './session';
import { fieldsOf } from './sql';

/** The alias under which a query selects the table. */
export const ALIAS = 't';

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
  const all = [...fieldsOf(table, engine).values()];
  const fields = only ? all.filter(({ name }) => only.includes(name)) : all;
  if (lock && engine === 'mariadb' && manager.queryRunner?.isTransactionActive)
    builder.setLock(lock === 'shared' ? 'pessimistic_read' : 'pessimistic_write');
  if (omit.length > 0 || only)
    builder.select(fields.filter(({ name }) => !omit.includes(name)).map(({ name }) => `${ALIAS}.${name}`));
  const found = await builder.getRawMany<Record<string, unknown>>();
  const keyed = fields.map(({ name, from }) => ({ name, from, key: `${ALIAS}_${name}` }));
  return mapInSlices(found, (values) => {
    const row: Record<string, unknown> = {};
    for (const { name, key, from } of keyed) {
      const value = values[key] ?? null;
      row[name] = from ? from(value) : value;
    }
    return row as Row<T>;
  });
}
