// What a parser reads from: bytes at offsets, and the size of the whole.
import { fstatSync, readSync } from 'node:fs';

export interface Source {
  /** Bytes of the whole file. */
  readonly size: number;
  /** The bytes from an offset on; fewer than asked for at the end of the file, none beyond it. */
  read(offset: number, length: number): Buffer;
}

/** More than any header needs; a parser that asks for more has a fault. */
const LARGEST_READ = 4 * 1024 * 1024;

function requireLength(length: number): void {
  if (length > LARGEST_READ) throw new RangeError(`a header of ${length} bytes is not read`);
}

/** Bytes in memory. */
export function bufferSource(bytes: Buffer): Source {
  return {
    size: bytes.length,
    read(offset, length) {
      requireLength(length);
      return bytes.subarray(Math.min(offset, bytes.length), Math.min(offset + length, bytes.length));
    },
  };
}

/** An open file. */
export function fileSource(descriptor: number): Source {
  const { size } = fstatSync(descriptor);
  return {
    size,
    read(offset, length) {
      requireLength(length);
      if (offset >= size) return Buffer.alloc(0);
      const bytes = Buffer.alloc(Math.min(length, size - offset));
      let done = 0;
      while (done < bytes.length) {
        const count = readSync(descriptor, bytes, done, bytes.length - done, offset + done);
        if (count === 0) break;
        done += count;
      }
      return bytes.subarray(0, done);
    },
  };
}

/** A 64-bit number as a JavaScript number, or undefined when it is larger than 2^53 - 1 and so no size of anything real. */
export function safeNumber(value: bigint): number | undefined {
  return value <= BigInt(Number.MAX_SAFE_INTEGER) ? Number(value) : undefined;
}
