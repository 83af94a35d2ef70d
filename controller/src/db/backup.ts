// Copies of an SQLite file that are made before it is migrated, and how it becomes what it was.
import {
  chmodSync,
  closeSync,
  copyFileSync,
  existsSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readdirSync,
  renameSync,
  rmSync,
  statSync,
} from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { messageOf } from '@cumulet/common';

/** How many are kept. */
const KEPT = 3;

/** What of the driver's connection is used here: SQLite's online backup. */
export interface BackupSource {
  backup(path: string): Promise<unknown>;
}

/** Where the backups of a file are. */
export const backupDirectory = (path: string): string => join(dirname(path), 'backups');

/** Names begin with the file's, then the time, so that they sort by age. */
const prefixOf = (path: string): string => `${basename(path, '.db')}-`;

/** Waits until the disk has the file. */
function sync(path: string): void {
  const file = openSync(path, 'r');
  try {
    fsyncSync(file);
  } finally {
    closeSync(file);
  }
}

/** Removes all but the newest, and what a backup that was cut off has left. */
function tidy(path: string): void {
  const directory = backupDirectory(path);
  const ours = readdirSync(directory).filter((name) => name.startsWith(prefixOf(path)));
  const whole = ours.filter((name) => name.endsWith('.db')).sort();
  const wanted = new Set(whole.slice(-KEPT));
  for (const name of ours) if (!wanted.has(name)) rmSync(join(directory, name));
}

/**
 * Copies the database into the directory `backups` beside it, readable for its owner only.
 * @returns the path of the copy
 * @throws Error in words; nothing is left of it then
 */
export async function backUp(source: BackupSource, path: string): Promise<string> {
  const directory = backupDirectory(path);
  const file = join(directory, `${prefixOf(path)}${new Date().toISOString().replaceAll(':', '')}.db`);
  const partial = `${file}.partial`;
  try {
    mkdirSync(directory, { recursive: true, mode: 0o700 });
    // It is private before anything is in it.
    closeSync(openSync(partial, 'wx', 0o600));
    await source.backup(partial);
    sync(partial);
    renameSync(partial, file);
    tidy(path);
    return file;
  } catch (error) {
    if (existsSync(partial)) rmSync(partial);
    throw new Error(
      `the database ${path} was not migrated, because it could not be backed up to ${directory} before: ${messageOf(error)}`,
      { cause: error },
    );
  }
}

/**
 * The file becomes what the backup holds, in one step; the backup is used up by it. Nobody may have the file open.
 * @throws the system's error; the file is as it was then
 */
export function putBack(backup: string, path: string): void {
  const beside = `${path}.restored`;
  copyFileSync(backup, beside);
  chmodSync(beside, statSync(path).mode & 0o777);
  sync(beside);
  // They belong to what is replaced.
  for (const ending of ['-wal', '-shm']) rmSync(path + ending, { force: true });
  renameSync(beside, path);
  rmSync(backup);
}
