// Writes a stream of bytes to a file and hashes it meanwhile, in a few pieces of memory that are used again and again.
import type { FileHandle } from 'node:fs/promises';
import { createHasher, type Digests } from './hasher';
import { startHashThreads, type HashThreads } from './hashThread';

/** Bytes of one piece, and how many there are: the memory of an upload. */
const PIECE = 1024 * 1024;
const PIECES = 4;

export interface ByteWriter {
  /** Takes bytes; waits when all pieces are in use. @throws the system's error of an earlier write */
  add(bytes: Buffer): Promise<void>;
  /** Waits for everything and returns the digests. */
  finish(): Promise<Digests>;
  /** Waits for what is under way and lets go of the threads; also after a failure. */
  close(): Promise<void>;
}

async function writeWhole(file: FileHandle, piece: Buffer, position: number): Promise<void> {
  for (let done = 0; done < piece.length;) {
    const { bytesWritten } = await file.write(piece, done, piece.length - done, position + done);
    done += bytesWritten;
  }
}

/** The digests of a small upload are computed here and now. */
function inPlace(): HashThreads {
  const hasher = createHasher();
  return {
    update: (bytes) => Promise.resolve(hasher.update(bytes)),
    finish: () => Promise.resolve(hasher.finish()),
    stop: () => Promise.resolve(),
  };
}

/** @param size what is expected, in bytes; a small upload does without threads. */
export function createByteWriter(file: FileHandle, size: number | undefined): ByteWriter {
  const hasher = size !== undefined && size <= PIECE * PIECES ? inPlace() : startHashThreads();
  const free: Buffer[] = [];
  let made = 0;
  let piece: Buffer | undefined;
  let filled = 0;
  let position = 0;
  let writing: Promise<void> = Promise.resolve();
  const busy: Promise<void>[] = [];

  /** A piece to fill: a free one, a new one, or the one that is done first. */
  async function take(): Promise<Buffer> {
    if (free.length === 0 && made < PIECES) {
      made++;
      return Buffer.from(new SharedArrayBuffer(PIECE));
    }
    while (free.length === 0) await busy.shift();
    return free.pop() ?? take();
  }

  function send(full: Buffer, length: number): void {
    const bytes = full.subarray(0, length);
    const at = position;
    position += length;
    writing = writing.then(() => writeWhole(file, bytes, at));
    const done = Promise.all([writing, hasher.update(bytes)]).then(() => void free.push(full));
    // Its failure is thrown by the next `take` or `finish`; until then it must not count as unhandled.
    done.catch(() => undefined);
    busy.push(done);
  }

  return {
    async add(bytes) {
      for (let taken = 0; taken < bytes.length;) {
        piece ??= await take();
        const count = bytes.copy(piece, filled, taken);
        taken += count;
        filled += count;
        if (filled < PIECE) continue;
        send(piece, filled);
        piece = undefined;
        filled = 0;
      }
    },
    async finish() {
      if (piece && filled > 0) send(piece, filled);
      piece = undefined;
      await Promise.all(busy.splice(0));
      return hasher.finish();
    },
    async close() {
      await Promise.allSettled([...busy, writing]);
      await hasher.stop();
    },
  };
}
