// Opens the database and gives out sessions: `write` is one transaction, `read` sees what was committed.
import type { DatabaseEngine } from './columns';
import { openMariadb } from './mariadb';
import type { DatabaseOptions } from './options';
import type { ReadSession, WriteSession } from './session';
import { openSqlite } from './sqlite';

export interface WriteOptions {
  /** Where transactions run one after the other, it runs before those that wait. For short ones that lose by waiting. */
  readonly urgent?: boolean;
}

export interface Database {
  readonly engine: DatabaseEngine;
  /**
   * One transaction: committed when `work` resolves, rolled back when it rejects. `work` awaits nothing but the database and
   * changes nothing outside, because it may run again: MariaDB ends a transaction that meets another one or loses its connection.
   * @throws DatabaseUnavailableError
   */
  write<T>(work: (session: WriteSession) => Promise<T>, options?: WriteOptions): Promise<T>;
  /** Reads what was committed; never waits for writers. @throws DatabaseUnavailableError */
  read<T>(work: (session: ReadSession) => Promise<T>): Promise<T>;
  /** The time of the server that all controllers share, in milliseconds since the epoch; SQLite has none but the process's. */
  time(): Promise<number>;
  close(): Promise<void>;
}

/** Opens a database and brings its tables up to date. */
export function openDatabase(options: DatabaseOptions): Promise<Database> {
  return options.kind === 'sqlite' ? openSqlite(options) : openMariadb(options);
}
