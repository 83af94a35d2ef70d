// How a database is named: an SQLite file, or a MariaDB server and one database on it.

import type { MigrationInterface } from 'typeorm';

export interface SqliteOptions {
  readonly kind: 'sqlite';
  /** Path of the file. */
  readonly path: string;
  /** Whether a commit waits for the disk. Tests switch it off. Default true. */
  readonly durable?: boolean;
}

/** PEM texts: who signs the server's certificate, and the certificate and key to show, when the server asks for one. */
export interface MariadbTls {
  readonly ca: string;
  readonly cert?: string;
  readonly key?: string;
}

export interface MariadbOptions {
  readonly kind: 'mariadb';
  /** Path of the server's socket; host and port are not looked at then. */
  readonly socket?: string;
  readonly host?: string;
  readonly port?: number;
  readonly user: string;
  readonly password: string;
  readonly database: string;
  /** Absent: the connection is not encrypted. With it `host` must be a name, which the server's certificate carries. */
  readonly tls?: MariadbTls;
  /** Connections for writes at most, and as many for reads. */
  readonly poolSize: number;
}

export type DatabaseOptions = (SqliteOptions | MariadbOptions) & {
  /** Told every statement; for tests that count them. */
  readonly onStatement?: (sql: string) => void;
  /** Told the path of a backup that was made before the database is migrated. */
  readonly onBackup?: (path: string) => void;
  /** Instead of our own, in tests of how migrations are run. */
  readonly migrations?: readonly (new () => MigrationInterface)[];
};
