// The database of a test's cloud: an SQLite file, or a database on the server that CUMULET_TEST_DATABASE names.
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { ControllerConfig, DatabaseOptions } from '@cumulet/controller';
import { createMariadbDatabase, dropMariadbDatabase, optionsOf, type MariadbOptions } from './mariadb';

export interface TestDatabase {
  readonly options: DatabaseOptions;
  /** The configuration that names it. */
  readonly config: Partial<ControllerConfig['database']>;
  /** Removes it; not what else is in the directory. */
  drop(): Promise<void>;
}

/** The database that belongs to a directory, for MariaDB by a file there; made when it has none. */
async function mariadbOf(url: string, directory: string): Promise<MariadbOptions> {
  const file = join(directory, 'database-name');
  if (existsSync(file)) return optionsOf(url, readFileSync(file, 'utf8'));
  const options = await createMariadbDatabase(url);
  mkdirSync(directory, { recursive: true });
  writeFileSync(file, options.database);
  return options;
}

/** The database of the cloud whose data directory this is. */
export async function databaseIn(directory: string): Promise<TestDatabase> {
  const url = process.env['CUMULET_TEST_DATABASE'];
  if (url === undefined) {
    const path = join(directory, 'cumulet.db');
    return { options: { kind: 'sqlite', path, durable: false }, config: {}, drop: () => Promise.resolve() };
  }
  const options = await mariadbOf(url, directory);
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
    drop: () => dropMariadbDatabase(options),
  };
}

/** A new, empty database, with a directory of its own. */
export async function createTestDatabase(): Promise<TestDatabase> {
  const directory = mkdtempSync(join(tmpdir(), 'cumulet-db-'));
  const made = await databaseIn(directory);
  return {
    ...made,
    async drop() {
      await made.drop();
      rmSync(directory, { recursive: true, force: true });
    },
  };
}
