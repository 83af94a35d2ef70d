// Brings an SQLite file up to date: all of what is missing or nothing, with a backup before.
import { messageOf } from '@cumulet/common';
import { MigrationExecutor, type DataSource, type MigrationInterface } from 'typeorm';
import { backUp, backupDirectory, putBack, type BackupSource } from './backup';
import type { DatabaseOptions, SqliteOptions } from './options';

/** The driver's own connection. */
const connectionOf = (source: DataSource): BackupSource =>
  (source.driver as unknown as { readonly databaseConnection: BackupSource }).databaseConnection;

/** What this version doesn't know was made by a newer one, whose tables it could damage.
 * @throws Error in words that names it */
export function requireKnown(
  executed: readonly { name: string }[],
  known: readonly MigrationInterface[],
  path: string,
): void {
  const strange = executed.map(({ name }) => name).filter((name) => !known.some((one) => one.name === name));
  if (strange.length === 0) return;
  throw new Error(
    `the database ${path} is of a newer version, which made ${strange.join(', ')}: run that version, or stop the cloud and put a backup of this version from ${backupDirectory(path)} in its place`,
  );
}

/** After a failure: the file as it was. A step may have committed by itself, so that a rollback is not enough. */
async function goBack(source: DataSource, backup: string, path: string, failure: unknown): Promise<Error> {
  await source.destroy();
  const why = messageOf(failure);
  try {
    putBack(backup, path);
  } catch (error) {
    const words = `the database ${path} could not be migrated (${why}), and its backup could not be put back (${messageOf(error)}): copy ${backup} to ${path} before anything is started`;
    return new Error(words, { cause: failure });
  }
  return new Error(
    `the database ${path} could not be migrated and is again as it was before: ${why}. Run the version that ran before, or start this one again when the cause is mended`,
    { cause: failure },
  );
}

/**
 * Runs the migrations that are missing, in one transaction. A database that holds something is backed up before.
 * @throws Error in words when the file is of a newer version, can't be backed up, or a migration failed; it is as it was then
 */
export async function migrateSqlite(source: DataSource, options: DatabaseOptions & SqliteOptions): Promise<void> {
  const { path, onBackup } = options;
  const executor = new MigrationExecutor(source);
  const executed = await executor.getExecutedMigrations();
  requireKnown(executed, source.migrations, path);
  const pending = await executor.getPendingMigrations();
  if (pending.length === 0) return;
  const backup = executed.length > 0 ? await backUp(connectionOf(source), path) : undefined;
  if (backup !== undefined) onBackup?.(backup);
  try {
    await source.runMigrations({ transaction: 'all' });
  } catch (error) {
    throw backup === undefined ? error : await goBack(source, backup, path, error);
  }
}
