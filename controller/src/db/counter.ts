// Counts in one statement, so that parallel requests can't both pass a limit.
import type { FindOptionsWhere, ObjectLiteral } from 'typeorm';
import type { Row, Table } from './columns';
import { managerOf, type WriteSession } from './session';

/**
 * Adds `amount` (may be negative) to a column of the one row that fits. With `limit` the row changes only if the result is at
 * most that. A result never falls below 0.
 * @returns whether the row was changed; false means no such row or over the limit.
 */
export async function addToCounter<T extends Table>(
  session: WriteSession,
  table: T,
  where: FindOptionsWhere<Row<T>>,
  column: keyof Row<T> & string,
  amount: number,
  limit?: number,
): Promise<boolean> {
  if (!Number.isSafeInteger(amount)) throw new Error(`a counter needs a whole number, not ${amount}`);
  const builder = managerOf(session)
    .createQueryBuilder()
    .update<ObjectLiteral>(table.name)
    .set({
      [column]: () =>
        amount < 0
          ? `CASE WHEN ${column} > ${-amount} THEN ${column} - ${-amount} ELSE 0 END`
          : `${column} + ${amount}`,
    })
    .where(where);
  if (limit !== undefined) builder.andWhere(`${column} + :amount <= :limit`, { amount, limit });
  const result = await builder.execute();
  return result.affected === 1;
}
