// What is left of a home's directories when our files in them are gone.
import { existsSync, readdirSync, rmdirSync } from 'node:fs';
import path from 'node:path';

/** Removes a directory and those above it, as many as are given, while they are empty. */
export function removeEmpty(directory: string, levels: number): void {
  if (levels === 0 || !existsSync(directory) || readdirSync(directory).length > 0) return;
  rmdirSync(directory);
  removeEmpty(path.dirname(directory), levels - 1);
}
