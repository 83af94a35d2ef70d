// The few fields of a qcow2 header that we look at ourselves, so that no tool has to open bytes a stranger wrote.
// Follows "docs/interop/qcow2.txt" of QEMU.
import { open } from 'node:fs/promises';

const MAGIC = 0x514649fb;
const HEADER_BYTES = 104;
/** Incompatible features that are only ways to store data: dirty, compression type, extended L2 entries. */
const HARMLESS_FEATURES = 0b11001n;

export interface Qcow2Header {
  /** Bytes of the virtual disk. */
  readonly virtualSize: number;
  /** Why QEMU must not open it as the base of a disk, in words; undefined when nothing speaks against it. */
  readonly danger: string | undefined;
  /** The same for an overlay, which may name a base: whoever opens it says which base it is. */
  readonly overlayDanger: string | undefined;
}

/** Reads a header from the first bytes of a file; undefined when they are no qcow2 header of version 2 or 3. */
export function parseQcow2Header(bytes: Buffer): Qcow2Header | undefined {
  if (bytes.length < 72 || bytes.readUInt32BE(0) !== MAGIC) return undefined;
  const version = bytes.readUInt32BE(4);
  if (version !== 2 && (version !== 3 || bytes.length < HEADER_BYTES)) return undefined;
  const features = version === 3 ? bytes.readBigUInt64BE(72) : 0n;
  const overlayDanger = overlayDangerOf(bytes, features);
  const danger = bytes.readBigUInt64BE(8) === 0n ? overlayDanger : 'it has a backing file';
  return { virtualSize: Number(bytes.readBigUInt64BE(24)), danger, overlayDanger };
}

function overlayDangerOf(bytes: Buffer, features: bigint): string | undefined {
  if (bytes.readUInt32BE(32) !== 0) return 'it is encrypted';
  if ((features & 4n) !== 0n) return 'it has an external data file';
  if ((features & ~HARMLESS_FEATURES) !== 0n) return 'it is marked corrupt or uses unknown features';
  return undefined;
}

/** Reads the header of a file; undefined when it has none. */
export async function readQcow2Header(path: string): Promise<Qcow2Header | undefined> {
  const file = await open(path, 'r');
  try {
    const { buffer, bytesRead } = await file.read(Buffer.alloc(HEADER_BYTES), 0, HEADER_BYTES, 0);
    return parseQcow2Header(buffer.subarray(0, bytesRead));
  } finally {
    await file.close();
  }
}
