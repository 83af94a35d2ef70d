// VMDK (VMware's Virtual Disk Format 5.0): only one sparse file that holds everything. Descriptors that name other files are refused.
import { truncated, type Findings, type FormatParser } from './format';
import { safeNumber, type Source } from './source';

const SECTOR = 512;
const ALLOWED_TYPES = ['monolithicSparse', 'streamOptimized'];
const AT_END = 0xffff_ffff_ffff_ffffn;
const LARGEST_DESCRIPTOR = 1024 * 1024;
const HEADER = 80;

/** Like QEMU's probe: comments and blank lines, then "version=". Such a file is all descriptor. */
function isDescriptorFile(source: Source): boolean {
  const text = source.read(0, 20 * SECTOR).toString('latin1');
  if (/^\s*# Disk DescriptorFile/i.test(text)) return true;
  return /^(?:#[^\n]*\n|[ \t\r]*\n)*[ \t]*version=\s*[0-9]/i.test(text);
}

function descriptorProblems(text: string): string[] {
  const problems: string[] = [];
  const types = [...text.matchAll(/createType\s*=\s*"?([A-Za-z0-9]*)/gi)].map((match) => match[1] ?? '');
  const [type] = types;
  if (types.length !== 1 || type === undefined) problems.push('its descriptor has no single createType');
  else if (!ALLOWED_TYPES.includes(type)) problems.push(`VMDK type ${type} is not allowed`);
  const extents = text.split(/\r?\n/).filter((line) => /^\s*(RW|RDONLY|NOACCESS)\b/i.test(line));
  const [extent] = extents;
  if (extents.length !== 1 || extent === undefined) problems.push(`its descriptor has ${extents.length} extents`);
  else if (!/^\s*RW\s+\d+\s+SPARSE\s+"[^"/\\]*"\s*$/i.test(extent)) problems.push('its extent is another file');
  if (/parentFileNameHint/i.test(text)) problems.push('it names a parent file');
  const parents = [...text.matchAll(/parentCID\s*=\s*([0-9a-fA-F]*)/gi)];
  if (parents.some((match) => (match[1] ?? '').toLowerCase() !== 'ffffffff')) problems.push('it has a parent');
  return problems;
}

interface SparseHeader {
  readonly version: number;
  readonly capacity: bigint;
  readonly descriptorOffset: bigint;
  readonly descriptorSize: bigint;
  readonly grainDirectory: bigint;
}

function sparseHeader(bytes: Buffer): SparseHeader | undefined {
  if (bytes.length < HEADER || bytes.toString('latin1', 0, 4) !== 'KDMV') return undefined;
  return {
    version: bytes.readUInt32LE(4),
    capacity: bytes.readBigUInt64LE(12),
    descriptorOffset: bytes.readBigUInt64LE(28),
    descriptorSize: bytes.readBigUInt64LE(36),
    grainDirectory: bytes.readBigUInt64LE(56),
  };
}

/** A stream keeps its real header at the end; it must say the same as the first. */
function footerProblems(source: Source, header: SparseHeader): string[] {
  if (header.grainDirectory !== AT_END) return [];
  const footer = source.size < 2 * SECTOR ? undefined : sparseHeader(source.read(source.size - 2 * SECTOR, HEADER));
  if (!footer) return ['its footer is missing'];
  const same = (['version', 'capacity', 'descriptorOffset', 'descriptorSize'] as const).every(
    (key) => footer[key] === header[key],
  );
  return same ? [] : ['its footer differs from its header'];
}

function inspectSparse(source: Source): Findings {
  const header = sparseHeader(source.read(0, HEADER));
  if (!header) return truncated('vmdk');
  const problems: string[] = [];
  if (header.version < 1 || header.version > 3) problems.push(`VMDK version ${header.version} is not known`);
  if (header.capacity === 0n) problems.push('its capacity is 0');
  const offset = safeNumber(header.descriptorOffset * BigInt(SECTOR));
  const size = safeNumber(header.descriptorSize * BigInt(SECTOR));
  if (!offset || !size || size > LARGEST_DESCRIPTOR || offset + size > source.size) {
    problems.push('its descriptor is not inside the file');
  } else {
    const text = source.read(offset, size).toString('latin1');
    problems.push(...descriptorProblems(text.split('\0', 1)[0] ?? ''));
  }
  problems.push(...footerProblems(source, header));
  const virtualSize = safeNumber(header.capacity * BigInt(SECTOR));
  if (virtualSize === undefined) problems.push('its virtual size is beyond all measure');
  return { virtualSize: virtualSize ?? 0, problems };
}

export const vmdk: FormatParser = {
  name: 'vmdk',
  matches: (source) => {
    const magic = source.read(0, 4).toString('latin1');
    return magic === 'KDMV' || magic === 'COWD' || isDescriptorFile(source);
  },
  inspect(source) {
    const magic = source.read(0, 4).toString('latin1');
    if (magic === 'KDMV') return inspectSparse(source);
    const what = magic === 'COWD' ? 'VMDK type vmfsSparse is not allowed' : 'it is a descriptor that names other files';
    return { virtualSize: 0, problems: [what] };
  },
};
