// Counts in one statement, so that parallel requests can't both pass a limit.
import { Brackets, type FindOptionsWhere, type ObjectLiteral } from 'typeorm';
import type { Row, Table } from './columns';
import { managerOf, type WriteSession } from './session';

/** A limit that the counted row itself has in a column, and what holds where that is null. Below 0 is none. */
export interface LimitColumn {
  readonly column: string;
  readonly otherwise: number;
}

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
  limit?: number | LimitColumn,
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
  if (typeof limit === 'number') builder.andWhere(`${column} + :amount <= :limit`, { amount, limit });
  else if (limit) {
    const most = `COALESCE(${limit.column}, :otherwise)`;
    const parameters = { amount, otherwise: limit.otherwise };
    builder.andWhere(`(${most} < 0 OR ${column} + :amount <= ${most})`, parameters);
  }
  const result = await builder.execute();
  return result.affected === 1;
}

/** What is added to the row whose key column has this value; `limit` is the most it may come to. */
export interface Addition {
  readonly key: string;
  readonly amount: number;
  readonly limit?: number;
}

/**
 * Adds to several rows in one statement, each within its own limit.
 * @returns whether all were changed; when not, the caller's transaction must fail, because others may have been
 */
export async function addToCounters<T extends Table>(
  session: WriteSession,
  table: T,
  where: FindOptionsWhere<Row<T>>,
  { key, count }: { readonly key: keyof Row<T> & string; readonly count: keyof Row<T> & string },
  additions: readonly Addition[],
): Promise<boolean> {
  if (additions.length === 0) return true;
  const parameters = Object.fromEntries(
    additions.flatMap((one, at): [string, string | number | undefined][] => [
      [`key${at}`, one.key],
      [`amount${at}`, one.amount],
      [`limit${at}`, one.limit],
    ]),
  );
  const cases = additions.map((_, at) => `WHEN :key${at} THEN :amount${at}`);
  const fits = additions.map(({ limit }, at) => {
    const room = limit === undefined ? '' : ` AND ${count} + :amount${at} <= :limit${at}`;
    return `(${key} = :key${at}${room})`;
  });
  const result = await managerOf(session)
    .createQueryBuilder()
    .update<ObjectLiteral>(table.name)
    .set({ [count]: () => `${count} + CASE ${key} ${cases.join(' ')} END` })
    .where(where)
    .andWhere(new Brackets((any) => any.where(fits.join(' OR '))))
    .setParameters(parameters)
    .execute();
  return result.affected === additions.length;
}
