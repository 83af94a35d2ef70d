// What a disk image is by its first bytes: the format to tell the image service, and how large the disk is.
import { open } from 'node:fs/promises';
import { CliError } from '../errors';

export interface DiskHeader {
  /** What servers boot from. */
  readonly format: 'qcow2' | 'raw';
  /** Bytes of the disk. */
  readonly virtualSize: number;
}

/** As much as is looked at: the descriptor of an ISO begins after 32 KiB. */
const HEAD = 32_774;
const starts = (head: Buffer, bytes: string, at = 0): boolean =>
  head.subarray(at, at + bytes.length).toString('latin1') === bytes;

/** What no server boots from: first bytes, their place, what it is, and what to do with it. */
const OTHERS: readonly (readonly [string, number, string, string])[] = [
  ['\x1f\x8b', 0, 'packed with gzip', 'gunzip'],
  ['\xfd7zXZ', 0, 'packed with xz', 'unxz'],
  ['BZh', 0, 'packed with bzip2', 'bunzip2'],
  ['\x28\xb5\x2f\xfd', 0, 'packed with zstd', 'unzstd'],
  ['PK\x03\x04', 0, 'packed with zip', 'unzip'],
  ['KDMV', 0, 'a vmdk disk', 'qemu-img convert -O qcow2'],
  ['\x7f\x10\xda\xbe', 64, 'a vdi disk', 'qemu-img convert -O qcow2'],
  ['vhdxfile', 0, 'a vhdx disk', 'qemu-img convert -O qcow2'],
  ['conectix', 0, 'a vhd disk', 'qemu-img convert -O qcow2'],
  ['CD001', 32_769, 'a CD, which servers do not boot from', 'cumulet image create --disk-format iso'],
];

/** By the bytes of its beginning. @throws CliError for what is no disk that servers boot from */
export function headerOf(head: Buffer, size: number, name: string): DiskHeader {
  if (starts(head, 'QFI\xfb') && head.length >= 32)
    return { format: 'qcow2', virtualSize: Number(head.readBigUInt64BE(24)) };
  const other = OTHERS.find(([magic, at]) => starts(head, magic, at));
  if (other) throw new CliError(`${name} is ${other[2]}: try ${other[3]} first`);
  if (/^\s*<(!doctype|html|\?xml)/i.test(head.subarray(0, 256).toString('latin1')))
    throw new CliError(`${name} is a page of text, not a disk`);
  if (size < 512) throw new CliError(`${name} is no disk: it has ${size} bytes`);
  return { format: 'raw', virtualSize: size };
}

/** By the file; `name` is what the user calls it. @throws CliError for what is no such disk, or cannot be read */
export async function readHeader(file: string, name: string): Promise<DiskHeader & { readonly size: number }> {
  let head: Buffer;
  let size: number;
  try {
    const handle = await open(file);
    try {
      const info = await handle.stat();
      if (!info.isFile()) throw new Error('it is no file');
      const { bytesRead, buffer } = await handle.read(Buffer.alloc(HEAD), 0, HEAD, 0);
      [head, size] = [buffer.subarray(0, bytesRead), info.size];
    } finally {
      await handle.close();
    }
  } catch (error) {
    throw new CliError(`${name} could not be read: ${(error as Error).message}`);
  }
  return { ...headerOf(head, size, name), size };
}
