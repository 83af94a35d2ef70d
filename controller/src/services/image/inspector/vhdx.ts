// Microsoft's VHDX ([MS-VHDX]): region table -> metadata table -> size and parameters. Disks with a parent are refused.
import { truncated, type FormatParser } from './format';
import { safeNumber, type Source } from './source';

const REGION_TABLE = 192 * 1024;
const TABLE = 64 * 1024;
const ENTRY = 32;
/** GUIDs as they are stored: the first three groups little-endian. */
const METADATA_REGION = '06a27c8b90479a4bb8fe575f050f886e';
const BAT_REGION = '6677c22d23f600429d64115e9bfd4a08';
const FILE_PARAMETERS = '3767a1ca36fa434db3b633f0aa44e76b';
const DISK_SIZE = '2442a52f1bcd7648b2115dbed83bf4b8';
const PARENT_LOCATOR = '2d5fd3a80bb34d45abf7d3d84834ab0c';
/** Disk id, logical and physical sector size. */
const HARMLESS = [
  'ab12cabee6b2234593efc309e000c746',
  '1dbf41816fa90947ba47f233a8faab5f',
  'c748a3cd5d4471449cc9e9885251c556',
];
const HAS_PARENT = 2;

interface Item {
  readonly guid: string;
  readonly entry: Buffer;
}

/** The entries of a table of 32-byte records that begin with a GUID. */
function entries(table: Buffer, start: number, count: number): Item[] {
  const items: Item[] = [];
  for (let at = start; items.length < count && at + ENTRY <= table.length; at += ENTRY) {
    const entry = table.subarray(at, at + ENTRY);
    items.push({ guid: entry.toString('hex', 0, 16), entry });
  }
  return items;
}

function inspectMetadata(source: Source, base: number): { size: number | undefined; problems: string[] } {
  const table = source.read(base, TABLE);
  if (table.length < ENTRY || table.toString('latin1', 0, 8) !== 'metadata') {
    return { size: undefined, problems: ['its metadata is missing'] };
  }
  const problems: string[] = [];
  let size: number | undefined;
  for (const { guid, entry } of entries(table, ENTRY, Math.min(table.readUInt16LE(10), 2047))) {
    const bytes = source.read(base + entry.readUInt32LE(16), 8);
    const required = (entry.readUInt32LE(24) & 4) !== 0;
    if (guid === PARENT_LOCATOR) problems.push('it names a parent');
    else if (bytes.length < 8) problems.push('an item of its metadata is cut off');
    else if (guid === FILE_PARAMETERS && (bytes.readUInt32LE(4) & HAS_PARENT) !== 0) problems.push('it has a parent');
    else if (guid === DISK_SIZE) size = safeNumber(bytes.readBigUInt64LE(0));
    else if (required && guid !== FILE_PARAMETERS && !HARMLESS.includes(guid)) {
      problems.push('it needs metadata that is not known');
    }
  }
  if (size === undefined) problems.push('its virtual size is missing');
  return { size, problems };
}

export const vhdx: FormatParser = {
  name: 'vhdx',
  matches: (source) => source.read(0, 8).toString('latin1') === 'vhdxfile',
  inspect(source) {
    const table = source.read(REGION_TABLE, TABLE);
    if (table.length < 16 || table.toString('latin1', 0, 4) !== 'regi') return truncated('vhdx');
    const regions = entries(table, 16, Math.min(table.readUInt32LE(8), 2047));
    const problems = regions
      .filter(({ guid, entry }) => ![METADATA_REGION, BAT_REGION].includes(guid) && entry.readUInt32LE(28) !== 0)
      .map(() => 'it needs a region that is not known');
    const metadata = regions.find(({ guid }) => guid === METADATA_REGION);
    const base = metadata && safeNumber(metadata.entry.readBigUInt64LE(16));
    if (base === undefined) return { virtualSize: 0, problems: [...problems, 'its metadata is missing'] };
    const found = inspectMetadata(source, base);
    return { virtualSize: found.size ?? 0, problems: [...new Set([...problems, ...found.problems])] };
  },
};
