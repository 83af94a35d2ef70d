// Conditions for `where`, without opening the ORM to everybody.
import { FindOperator, type FindOptionsWhere } from 'typeorm';
import type { Row, Table } from './columns';

export { In, IsNull, LessThan, LessThanOrEqual, MoreThanOrEqual, MoreThan, Not } from 'typeorm';

/** What `InSelect` makes. */
export class SubSelect extends FindOperator<string> {
  constructor(
    readonly table: Table,
    readonly column: string,
    readonly where: Readonly<Record<string, unknown>>,
  ) {
    super('in', column);
  }
}

/** One of the values that a column of another table has in the rows that fit: a join, where only one side's columns are wanted. */
export const InSelect = <T extends Table>(
  table: T,
  column: keyof Row<T> & string,
  where: FindOptionsWhere<Row<T>>,
): FindOperator<string> => new SubSelect(table, column, where);
