// Counts in one statement, so that parallel requests can't both pass a limit.
import type { FindOptionsWhere } from 'typeorm';
import type { Row, Table } from './columns';
import { updateWhere, type WriteSession } from './session';
import { Expression } from './sql';

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
  const sum = `${column} + ?`;
  const added =
    amount < 0
      ? new Expression(`CASE WHEN ${column} > ? THEN ${sum} ELSE 0 END`, [-amount, amount])
      : new Expression(sum, [amount]);
  return (await updateWhere(session, table, where, { [column]: added }, ...within(sum, amount, limit))) === 1;
}

/** The condition that a limit is kept; none without one. */
function within(sum: string, amount: number, limit: number | LimitColumn | undefined): Expression[] {
  if (limit === undefined) return [];
  if (typeof limit === 'number') return [new Expression(`${sum} <= ?`, [amount, limit])];
  const most = `COALESCE(${limit.column}, ?)`;
  const { otherwise } = limit;
  return [new Expression(`${most} < 0 OR ${sum} <= ${most}`, [otherwise, amount, otherwise])];
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
  const amounts = new Expression(
    `${count} + CASE ${key} ${additions.map(() => 'WHEN ? THEN ?').join(' ')} END`,
    additions.flatMap((one) => [one.key, one.amount]),
  );
  const rooms = additions.map(({ limit }) => `(${key} = ?${limit === undefined ? '' : ` AND ${count} + ? <= ?`})`);
  const fits = new Expression(
    rooms.join(' OR '),
    additions.flatMap((one) => [one.key, ...(one.limit === undefined ? [] : [one.amount, one.limit])]),
  );
  return (await updateWhere(session, table, where, { [count]: amounts }, fits)) === additions.length;
}
