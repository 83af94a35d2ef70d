// What can go wrong with files, in words that the owner of a server may read.
import { CommandError, HostError, messageOf } from '@cumulet/common';

const FULL = new Set(['ENOSPC', 'EDQUOT']);

/** Whether an error says that there is no room left on the host. */
export function isFull(error: unknown): boolean {
  if (error instanceof CommandError) return /No space left on device|Disk quota exceeded/.test(error.stderr);
  return error instanceof Error && 'code' in error && FULL.has(String(error.code));
}

const MIB = 1024 * 1024;
const mib = (bytes: number): string => `${Math.ceil(bytes / MIB)} MiB`;

/** There is not enough room. `needed` and `free` in bytes. */
export function diskFull(what: string, error: unknown, room?: { needed: number; free: number }): HostError {
  const detail = room ? `: ${mib(room.needed)} are needed and ${mib(room.free)} are free` : '';
  return new HostError('disk_full', `there is not enough space on the host for ${what}${detail}`, {
    retryable: true,
    facts: { ...room, ...(error === undefined ? {} : { error: messageOf(error) }) },
    cause: error,
  });
}

/** A failed operation on a file: a full disk gets its own words, everything else those given. */
export function fileFault(code: string, what: string, message: string, error: unknown): HostError {
  if (error instanceof HostError) return error;
  if (isFull(error)) return diskFull(what, error);
  return new HostError(code, message, { retryable: true, facts: { error: messageOf(error) }, cause: error });
}
