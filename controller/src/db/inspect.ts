// Looks into a database as it is: nothing is made, migrated or changed.
import { existsSync } from 'node:fs';
import type { DataSource } from 'typeorm';
import type { Table } from './columns';
import { mariadbSource } from './mariadb';
import type { DatabaseOptions } from './options';
import { createSession, noCommit, type ReadSession } from './session';
import { sqliteSource } from './sqlite';
import { requireKnown } from './sqliteMigrations';

async function open(options: DatabaseOptions): Promise<DataSource | undefined> {
  if (options.kind === 'mariadb') return mariadbSource(options).initialize();
  return existsSync(options.path) ? sqliteSource(options, true).initialize() : undefined;
}

/** Whether this version may open the database; a server's is shared by controllers of neighbouring versions.
 * @throws Error in words when an SQLite file is of a newer version, or the driver's */
export async function checkVersion(options: DatabaseOptions): Promise<void> {
  if (options.kind !== 'sqlite') return;
  const source = await open(options);
  if (!source) return;
  try {
    const tables: unknown[] = await source.query(`SELECT name FROM sqlite_master WHERE name = 'migrations'`);
    if (tables.length === 0) return;
    requireKnown(
      await source.query<{ name: string }[]>('SELECT name FROM migrations'),
      source.migrations,
      options.path,
    );
  } finally {
    await source.destroy();
  }
}

/**
 * Runs `look` on a database that has these tables; undefined when it has not, as before the first start.
 * @throws the driver's error when it is not reached
 */
export async function inspectDatabase<T>(
  options: DatabaseOptions,
  tables: readonly Table[],
  look: (session: ReadSession) => Promise<T>,
): Promise<T | undefined> {
  const source = await open(options);
  if (!source) return undefined;
  try {
    const runner = source.createQueryRunner();
    try {
      for (const { name } of tables) if (!(await runner.hasTable(name))) return undefined;
    } finally {
      await runner.release();
    }
    return await look(createSession(source.manager, noCommit));
  } finally {
    await source.destroy();
  }
}
