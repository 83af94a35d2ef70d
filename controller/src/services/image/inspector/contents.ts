// What plain bytes hold: an ISO 9660 file system, a partition table, or nothing known. All of it may be used as raw.
import type { Source } from './source';

const SECTOR = 512;
const ISO_DESCRIPTOR = 32 * 1024;

/** Whether there is an ISO 9660 volume descriptor. */
export function isIso(source: Source): boolean {
  return source.read(ISO_DESCRIPTOR + 1, 5).toString('latin1') === 'CD001';
}

/** The partition table, if there is one: GPT with sectors of 512 or 4096 bytes, or MBR. */
export function partitionTable(source: Source): 'gpt' | 'mbr' | undefined {
  for (const sector of [SECTOR, 4096]) {
    if (source.read(sector, 8).toString('latin1') === 'EFI PART') return 'gpt';
  }
  const boot = source.read(0, SECTOR);
  if (boot.length < SECTOR || boot.readUInt16LE(510) !== 0xaa55) return undefined;
  const states = [446, 462, 478, 494].map((at) => boot.readUInt8(at));
  return states.every((state) => state === 0 || state === 0x80) ? 'mbr' : undefined;
}
