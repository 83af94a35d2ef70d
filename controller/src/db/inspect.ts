// Looks into a database as it is: nothing is made, migrated or changed.
import { existsSync } from 'node:fs';
import type { DataSource } from 'typeorm';
import type { Table } from './columns';
import { mariadbSource } from './mariadb';
import type { DatabaseOptions } from './options';
import { createSession, noCommit, type ReadSession } from './session';
import { sqliteSource } from './sqlite';

async function open(options: DatabaseOptions): Promise<DataSource | undefined> {
  if (options.kind === 'mariadb') return mariadbSource(options).initialize();
  return existsSync(options.path) ? sqliteSource(options, true).initialize() : undefined;
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
