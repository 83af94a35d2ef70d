// The database of a test's cloud: an SQLite file, or a database on the server that CUMULET_TEST_DATABASE names.
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import type { ControllerConfig, DatabaseOptions } from '@cumulet/controller';
import { openDatabase } from '../../controller/src/db';
import { createMariadbDatabase, dropMariadbDatabase, optionsOf, type MariadbOptions } from './mariadb';
import { giveMariadbDatabaseBack, takeMariadbDatabase } from './mariadbPool';

export interface TestDatabase {
  readonly options: DatabaseOptions;
  /** The configuration that names it. */
  readonly config: Partial<ControllerConfig['database']>;
  /** Removes it; not what else is in the directory. */
  drop(): Promise<void>;
}

/** The database that belongs to a directory, for MariaDB by a file there; made when it has none. */
async function mariadbOf(directory: string, make: () => Promise<MariadbOptions>, url: string): Promise<MariadbOptions> {
  const file = join(directory, 'database-name');
  if (existsSync(file)) return optionsOf(url, readFileSync(file, 'utf8'));
  const options = await make();
  mkdirSync(directory, { recursive: true });
  writeFileSync(file, options.database);
  return options;
}

/** An SQLite file as migrations leave it. */
let migrated: Buffer | undefined;

/**
 * Makes the file of a directory that has none, with its tables: the first one of a file of tests by migrations, others as its copies.
 * A directory that is not there is the controller's to make.
 */
async function prepareSqlite(path: string): Promise<void> {
  if (existsSync(path) || !existsSync(dirname(path))) return;
  if (migrated === undefined) {
    await (await openDatabase({ kind: 'sqlite', path, durable: false })).close();
    migrated = readFileSync(path);
  } else writeFileSync(path, migrated);
}

function sqliteIn(directory: string): TestDatabase & { readonly options: { readonly path: string } } {
  const path = join(directory, 'cumulet.db');
  return { options: { kind: 'sqlite', path, durable: false }, config: {}, drop: () => Promise.resolve() };
}

function onMariadb(options: MariadbOptions, directory: string, drop: () => Promise<void>): TestDatabase {
  const password_file = join(directory, 'database-password');
  writeFileSync(password_file, `${options.password}\n`, { mode: 0o600 });
  return {
    options,
    config: {
      kind: 'mariadb',
      host: options.host ?? '127.0.0.1',
      port: options.port ?? 3306,
      socket: options.socket ?? null,
      user: options.user,
      password_file,
      name: options.database,
    },
    drop,
  };
}

/** The database of the cloud whose data directory this is; made, with tables, when there is none. */
export async function databaseIn(directory: string): Promise<TestDatabase> {
  const url = process.env['CUMULET_TEST_DATABASE'];
  if (url === undefined) {
    const made = sqliteIn(directory);
    await prepareSqlite(made.options.path);
    return made;
  }
  const options = await mariadbOf(directory, () => takeMariadbDatabase(url), url);
  return onMariadb(options, directory, () => giveMariadbDatabaseBack(options));
}

/** A new, empty database, with a directory of its own. */
export async function createTestDatabase(): Promise<TestDatabase> {
  const directory = mkdtempSync(join(tmpdir(), 'cumulet-db-'));
  const url = process.env['CUMULET_TEST_DATABASE'];
  const options = url === undefined ? undefined : await createMariadbDatabase(url);
  const made = options ? onMariadb(options, directory, () => dropMariadbDatabase(options)) : sqliteIn(directory);
  return {
    ...made,
    async drop() {
      await made.drop();
      rmSync(directory, { recursive: true, force: true });
    },
  };
}
