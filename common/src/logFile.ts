// Keeps the file that standard output goes to small: older lines move to numbered copies, of which a few are kept.
import { copyFileSync, existsSync, fstatSync, renameSync, statSync, truncateSync } from 'node:fs';
import { messageOf } from './errors';
import type { Logger } from './log';

/** Bytes of the file at which it is moved on, and how many copies there are. */
export const LOG_BYTES = 10 * 1024 * 1024;
const LOG_COPIES = 4;
/** How often it is looked at, in milliseconds. */
const LOOK_MS = 30_000;

/**
 * Moves what is in the file to its first copy, when it is that large. It is emptied, not replaced, because standard output and error
 * stay open on it; only this process writes there, so that no line comes between.
 */
export function rotateLog(path: string, bytes = LOG_BYTES, copies = LOG_COPIES): void {
  if (statSync(path).size < bytes) return;
  for (let number = copies - 1; number > 0; number -= 1)
    if (existsSync(`${path}.${number}`)) renameSync(`${path}.${number}`, `${path}.${number + 1}`);
  copyFileSync(path, `${path}.1`);
  truncateSync(path);
}

/** Whether a descriptor leads to that file. */
function leadsTo(descriptor: number, path: string): boolean {
  const [open, named] = [fstatSync(descriptor), existsSync(path) ? statSync(path) : undefined];
  return named !== undefined && open.ino === named.ino && open.dev === named.dev;
}

/**
 * Looks after the file that the variable CUMULET_LOG_FILE names, as long as the process runs and its output goes there: whoever
 * starts it says so by the variable. What fails is logged and tried again.
 */
export function keepLogSmall(environment: NodeJS.ProcessEnv, log: Logger, descriptor = 1, everyMs = LOOK_MS): void {
  const path = environment['CUMULET_LOG_FILE'];
  if (path === undefined) return;
  const look = (): void => {
    try {
      if (leadsTo(descriptor, path)) rotateLog(path);
    } catch (error) {
      log.warn({ path, error: messageOf(error) }, 'the log could not be moved on; it is tried again');
    }
  };
  look();
  setInterval(look, everyMs).unref();
}
