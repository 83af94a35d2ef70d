// Rows that are asked for one by one, as steps of tasks do: those asked for close together are read in one statement.
import type { Cloud } from '../cloud';
import { groupBy, In, type FindOptions, type Row, type Table } from '../db';
import { createCloudRounds } from '../rounds';

type Column<T extends Table> = keyof Row<T> & string;

/**
 * Rows of a table by the value of a column, as they are now.
 * @param only columns to read besides that one; all when absent
 */
export function createRowRounds<T extends Table, K extends Column<T>, C extends Column<T> = Column<T>>(
  table: T,
  column: K,
  { order, only }: { readonly order?: FindOptions<T>['order']; readonly only?: readonly C[] } = {},
): (cloud: Cloud, value: NonNullable<Row<T>[K]> & string) => Promise<readonly Pick<Row<T>, K | C>[]> {
  const columns = only ? [column, ...only] : (Object.keys(table.columns) as (K | C)[]);
  return createCloudRounds(
    async (cloud: Cloud, values: readonly string[]) => {
      const where = { [column]: In([...new Set(values)]) } as FindOptions<T>['where'] & object;
      const rows = await cloud.db.read((session) =>
        session.pick<T, K | C>(table, columns, { where, ...(order ? { order } : {}) }),
      );
      const found = groupBy(rows, (row) => row[column] as unknown);
      return values.map((value) => found.get(value) ?? []);
    },
    { eager: true },
  );
}
