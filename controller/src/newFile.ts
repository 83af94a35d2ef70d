// Files that several processes may want to make at the same moment.
import { linkSync, rmSync, writeFileSync } from 'node:fs';

/**
 * Makes a file where there is none: readable for its owner alone, and complete from the moment that it has its name.
 * @returns false when there is one
 * @throws the system's error
 */
export function makeNewFile(path: string, text: string): boolean {
  const draft = `${path}.${process.pid}.new`;
  try {
    writeFileSync(draft, text, { mode: 0o600, flush: true });
    linkSync(draft, path);
  } catch (error) {
    rmSync(draft, { force: true });
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false;
    throw error;
  }
  rmSync(draft);
  return true;
}
