// The tail of a server's serial console, across the files that the log daemon rotates through.
import { open } from 'node:fs/promises';

/** virtlogd keeps this many older files beside the log: ".0" is the youngest. */
const OLDER_FILES = ['.0', '.1', '.2'];

async function tail(path: string, maxBytes: number): Promise<Buffer | undefined> {
  let file;
  try {
    file = await open(path, 'r');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
  try {
    const { size } = await file.stat();
    const length = Math.min(size, maxBytes);
    const { buffer, bytesRead } = await file.read(Buffer.alloc(length), 0, length, size - length);
    return buffer.subarray(0, bytesRead);
  } finally {
    await file.close();
  }
}

/** The last `maxBytes` bytes of a log; empty when there is none. */
export async function readConsoleLog(path: string, maxBytes: number): Promise<Buffer> {
  const parts: Buffer[] = [];
  let wanted = maxBytes;
  for (const suffix of ['', ...OLDER_FILES]) {
    const part = wanted > 0 ? await tail(path + suffix, wanted) : undefined;
    if (!part) break;
    parts.unshift(part);
    wanted -= part.length;
  }
  return Buffer.concat(parts);
}
