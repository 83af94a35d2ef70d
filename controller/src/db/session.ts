// What services may do with the database: typed reads and writes within one session. The ORM itself stays in db/.
import type { EntityManager, FindOptionsWhere, ObjectLiteral, SelectQueryBuilder } from 'typeorm';
import { textLimits, type Row, type Table } from './columns';
import { InvalidError } from '../errors';
import { ALIAS, readRows } from './rows';

export type Where<T extends Table> = FindOptionsWhere<Row<T>> | FindOptionsWhere<Row<T>>[];

/**
 * Holds the rows that a transaction reads until it ends, so that what it decides by them stays true. `shared`: nobody changes or
 * deletes them, as for the parent of a new row; `exclusive`: nobody else holds them either, as for a row that is changed by what
 * was read. Outside a transaction, and on SQLite, where transactions do not overlap, it says nothing.
 */
export type Lock = 'shared' | 'exclusive';

export interface FindOptions<T extends Table> {
  readonly where?: Where<T>;
  readonly order?: Partial<Record<keyof Row<T> & string, 'ASC' | 'DESC'>>;
  readonly limit?: number;
  readonly lock?: Lock;
}

export interface ReadSession {
  find<T extends Table>(table: T, options?: FindOptions<T>): Promise<Row<T>[]>;
  findOne<T extends Table>(table: T, where: Where<T>, lock?: Lock): Promise<Row<T> | undefined>;
  /** Some columns of the rows: of tables whose others are large, where many rows are read often. */
  pick<T extends Table, K extends keyof Row<T> & string>(
    table: T,
    columns: readonly K[],
    options?: FindOptions<T>,
  ): Promise<Pick<Row<T>, K>[]>;
  count<T extends Table>(table: T, where?: Where<T>): Promise<number>;
}

export interface WriteSession extends ReadSession {
  /** Inserts one row or many in one statement. Generated columns may be left out; the generated key of a single row is returned. */
  insert<T extends Table>(table: T, rows: InsertRow<T> | readonly InsertRow<T>[]): Promise<number>;
  /** Sets columns of the rows that fit; returns how many. Conditional writes look at this number. */
  update<T extends Table>(table: T, where: FindOptionsWhere<Row<T>>, set: Partial<Row<T>>): Promise<number>;
  /** Deletes the rows that fit; returns how many. */
  delete<T extends Table>(table: T, where: FindOptionsWhere<Row<T>>): Promise<number>;
  /** Runs once the transaction has been committed; never when it was rolled back. */
  afterCommit(action: () => void): void;
}

/** A row to insert; a `sequence` column may be absent. */
export type InsertRow<T extends Table> = { [K in keyof Row<T> as K extends 'sequence' ? never : K]: Row<T>[K] } & {
  sequence?: number;
};

const managers = new WeakMap<object, EntityManager>();

/** The entity manager of a session, for repositories in db/ only. */
export function managerOf(session: ReadSession): EntityManager {
  const manager = managers.get(session);
  if (!manager) throw new Error('this session has ended or was not made by the database');
  return manager;
}

/** The `afterCommit` of a session that only reads. */
export const noCommit = (): never => {
  throw new Error('a read session has no commit');
};

/**
 * SQLite would keep a text that is too long, MariaDB would refuse it with an error of its own. Most texts were checked long before;
 * this is for ids that are only looked up or kept. @throws InvalidError
 */
function requireFits(table: Table, values: Readonly<Record<string, unknown>>): void {
  for (const [name, limit] of textLimits(table)) {
    const value = values[name];
    if (typeof value === 'string' && value.length > limit && [...value].length > limit)
      throw new InvalidError(`Invalid input for ${name}: it is longer than ${limit} characters.`);
  }
}

/** Rows an INSERT carries at once: SQLite allows 32,766 variables in a statement. */
const INSERT_CHUNK = 400;

/** Wraps a manager; used by sqlite.ts and mariadb.ts only. */
export function createSession(manager: EntityManager, afterCommit: (action: () => void) => void): WriteSession {
  const query = <T extends Table>(table: T, options: FindOptions<T>): SelectQueryBuilder<ObjectLiteral> =>
    manager.createQueryBuilder<ObjectLiteral>(table.name, ALIAS).setFindOptions({
      ...(options.where === undefined ? {} : { where: options.where }),
      ...(options.order === undefined ? {} : { order: options.order }),
      ...(options.limit === undefined ? {} : { take: options.limit }),
    });
  const session: WriteSession = {
    find: (table, options = {}) => readRows(manager, table, query(table, options), options.lock),
    pick: (table, only, options = {}) => readRows(manager, table, query(table, options), options.lock, { only }),
    async findOne(table, where, lock) {
      const rows = await session.find(table, { where, limit: 1, ...(lock ? { lock } : {}) });
      return rows[0];
    },
    count: (table, where) =>
      manager.count<ObjectLiteral>(
        table.name,
        where === undefined ? {} : { where: where as FindOptionsWhere<ObjectLiteral> },
      ),
    async insert(table, rows) {
      for (const row of Array.isArray(rows) ? rows : [rows]) requireFits(table, row as Record<string, unknown>);
      if (!Array.isArray(rows)) {
        const result = await manager.insert<ObjectLiteral>(table.name, rows);
        return Number((result.identifiers[0] as Record<string, unknown> | undefined)?.['sequence'] ?? 0);
      }
      for (let start = 0; start < rows.length; start += INSERT_CHUNK) {
        await manager.insert<ObjectLiteral>(table.name, rows.slice(start, start + INSERT_CHUNK) as ObjectLiteral[]);
      }
      return 0;
    },
    async update(table, where, set) {
      requireFits(table, set);
      const result = await manager
        .createQueryBuilder()
        .update<ObjectLiteral>(table.name)
        .set(set)
        .where(where)
        .execute();
      return result.affected ?? 0;
    },
    async delete(table, where) {
      const result = await manager.createQueryBuilder().delete().from<ObjectLiteral>(table.name).where(where).execute();
      return result.affected ?? 0;
    },
    afterCommit,
  };
  managers.set(session, manager);
  return session;
}
