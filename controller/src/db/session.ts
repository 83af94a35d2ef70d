// What services may do with the database: typed reads and writes within one session. The ORM itself stays in db/.
import type { EntityManager, FindOptionsWhere } from 'typeorm';
import { textLimits, type DatabaseEngine, type Row, type Table } from './columns';
import { InvalidError } from '../errors';
import { change, engineOf, readRaw, toRows, type Changed, type RawRow } from './execute';
import { INSERT_CHUNK, type OpenCommit } from './openCommit';
import { countSql, deleteSql, fitsNothing, insertSql, selectSql, updateSql, type Statement } from './sql';

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
  /** Some columns of the rows: of tables whose others are large, where many rows are read often. `distinct`: equal ones once. */
  pick<T extends Table, K extends keyof Row<T> & string>(
    table: T,
    columns: readonly K[],
    options?: FindOptions<T> & { readonly distinct?: boolean },
  ): Promise<Pick<Row<T>, K>[]>;
  count<T extends Table>(table: T, where?: Where<T>): Promise<number>;
}

export interface WriteSession extends ReadSession {
  /** Inserts one row or many in one statement. Generated columns may be left out; the row's generated key is returned, of many the last one's. */
  insert<T extends Table>(table: T, rows: InsertRow<T> | readonly InsertRow<T>[]): Promise<number>;
  /**
   * Inserts rows by the end of the transaction, on SQLite together with those of others that share its commit. For rows that break no
   * key: what breaks one fails the transaction, and only at its end.
   */
  append<T extends Table>(table: T, rows: InsertRow<T> | readonly InsertRow<T>[]): Promise<void>;
  /** The same for rows without their generated keys; the last one's is returned. */
  appendNumbered<T extends Table>(table: T, rows: readonly InsertRow<T>[]): Promise<number>;
  /** Sets columns of the rows that fit; returns how many. Conditional writes look at this number. */
  update<T extends Table>(table: T, where: FindOptionsWhere<Row<T>>, set: Partial<Row<T>>): Promise<number>;
  /** Deletes the rows that fit; returns how many. */
  delete<T extends Table>(table: T, where: FindOptionsWhere<Row<T>>): Promise<number>;
  /**
   * Says which rows `find` would find now, by who has just changed them and knows: on SQLite those who share the commit read them no
   * more. For columns that the database has as they are.
   */
  know<T extends Table>(table: T, options: FindOptions<T>, rows: readonly Row<T>[]): void;
  /** Runs once the transaction has been committed; never when it was rolled back. */
  afterCommit(action: () => void): void;
}

/** A row to insert; a `sequence` column may be absent. */
export type InsertRow<T extends Table> = { [K in keyof Row<T> as K extends 'sequence' ? never : K]: Row<T>[K] } & {
  sequence?: number;
};

/** What a session works on; `commit` on SQLite in a transaction. */
interface Ground {
  readonly manager: EntityManager;
  readonly commit?: OpenCommit | undefined;
}

const grounds = new WeakMap<object, Ground>();

function groundOf(session: ReadSession): Ground {
  const ground = grounds.get(session);
  if (!ground) throw new Error('this session has ended or was not made by the database');
  return ground;
}

/** How MariaDB is told to hold rows. */
const lockSql: Readonly<Record<Lock, string>> = { shared: ' LOCK IN SHARE MODE', exclusive: ' FOR UPDATE' };

/** What a session's statements are written for; for db/ only. */
export const engineFor = (session: ReadSession): DatabaseEngine => engineOf(groundOf(session).manager);

/** The end of a statement that holds the rows it finds; for db/ only. */
export function lockFor(session: ReadSession, lock: Lock | undefined): string {
  const { manager } = groundOf(session);
  return lock && engineOf(manager) === 'mariadb' && manager.queryRunner?.isTransactionActive ? lockSql[lock] : '';
}

/** What a statement about a table finds; for db/ only. */
export async function readStatement(session: ReadSession, table: Table, statement: Statement): Promise<RawRow[]> {
  const { manager, commit } = groundOf(session);
  return commit ? commit.read(table, statement) : readRaw(manager, statement);
}

/** Sessions that may have changed something: what is done with the manager itself is not looked at. */
const changed = new WeakSet<object>();

/** Whether a session may have changed rows. */
export const hasChanged = (session: ReadSession): boolean => changed.has(session);

/** The entity manager of a session, for repositories in db/ only. */
export function managerOf(session: ReadSession): EntityManager {
  changed.add(session);
  const { manager, commit } = groundOf(session);
  commit?.settle();
  return manager;
}

/**
 * Sets columns of the rows that fit, also to what depends on the row; for repositories in db/ only. `only`: further conditions.
 * @returns how many fitted
 */
export async function updateWhere<T extends Table>(
  session: WriteSession,
  table: T,
  where: FindOptionsWhere<Row<T>>,
  set: Readonly<Record<string, unknown>>,
  ...only: readonly Statement[]
): Promise<number> {
  const { manager, commit } = groundOf(session);
  changed.add(session);
  const statement = updateSql(table, engineOf(manager), where, set, ...only);
  commit?.beforeChange(table, statement);
  return (await change(manager, statement)).rows;
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

/** Wraps a manager; used by sqlite.ts, sqliteWrites.ts and mariadb.ts only. */
export function createSession(
  manager: EntityManager,
  afterCommit: (action: () => void) => void,
  commit?: OpenCommit,
): WriteSession {
  const engine = engineOf(manager);
  const read = async <T extends Table>(
    table: T,
    options: FindOptions<T> & { readonly distinct?: boolean },
    only?: readonly string[],
  ): Promise<Row<T>[]> => {
    if (fitsNothing(options.where)) return [];
    const { lock, ...rest } = options;
    const suffix = lockFor(session, lock);
    const statement = selectSql(table, engine, { ...rest, suffix, ...(only ? { only } : {}) });
    return toRows(table, engine, await readStatement(session, table, statement), only);
  };
  const changeRows = (table: Table, statement: Statement): Promise<Changed> => {
    commit?.beforeChange(table, statement);
    return change(manager, statement);
  };
  /** Rows to insert, looked at. */
  const fitting = (table: Table, rows: unknown): readonly Record<string, unknown>[] => {
    const all = (Array.isArray(rows) ? rows : [rows]) as readonly Record<string, unknown>[];
    for (const row of all) requireFits(table, row);
    changed.add(session);
    return all;
  };
  const session: WriteSession = {
    find: (table, options = {}) => read(table, options),
    pick: (table, only, options = {}) => read(table, options, only),
    async findOne(table, where, lock) {
      const rows = await read(table, { where, limit: 1, ...(lock ? { lock } : {}) });
      return rows[0];
    },
    async count(table, where) {
      if (fitsNothing(where)) return 0;
      const statement = countSql(table, engine, where);
      const [row] = await readStatement(session, table, statement);
      return Number(row?.['total']);
    },
    async insert(table, rows) {
      const all = fitting(table, rows);
      let key = 0;
      for (let start = 0; start < all.length; start += INSERT_CHUNK) {
        const some = all.slice(start, start + INSERT_CHUNK);
        ({ key } = await changeRows(table, insertSql(table, engine, some)));
        // MariaDB tells the first of those that it has counted up, which are without gaps.
        if (engine === 'mariadb') key += some.length - 1;
      }
      return Number(all[0]?.['sequence'] ?? key);
    },
    async append(table, rows) {
      if (commit) commit.append(table, fitting(table, rows));
      else await session.insert(table, rows);
    },
    async appendNumbered(table, rows) {
      return commit ? commit.number(table, fitting(table, rows)) : session.insert(table, rows);
    },
    async update(table, where, set) {
      requireFits(table, set);
      if (fitsNothing(where)) return 0;
      changed.add(session);
      return (await changeRows(table, updateSql(table, engine, where, set))).rows;
    },
    async delete(table, where) {
      if (fitsNothing(where)) return 0;
      changed.add(session);
      return (await changeRows(table, deleteSql(table, engine, where))).rows;
    },
    know: (table, options, rows) => commit?.know(table, selectSql(table, engine, { ...options, suffix: '' }), rows),
    afterCommit,
  };
  grounds.set(session, { manager, commit });
  return session;
}
