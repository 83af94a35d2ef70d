// Headers of disk images, made by hand so that tests can bend every field.

/** A QCOW2 header with one cluster of 64 KiB after it. */
export function qcow2Header(changes: {
  version?: number;
  backing?: string;
  clusterBits?: number;
  size?: bigint;
  crypt?: number;
  l1?: number;
  incompatible?: bigint;
  autoclear?: bigint;
  headerLength?: number;
  extensions?: readonly (readonly [type: number, data: string | Buffer])[];
}): Buffer {
  const header = Buffer.alloc(65536);
  header.writeUInt32BE(0x514649fb, 0);
  header.writeUInt32BE(changes.version ?? 3, 4);
  header.writeUInt32BE(changes.clusterBits ?? 16, 20);
  header.writeBigUInt64BE(changes.size ?? 1024n * 1024n, 24);
  header.writeUInt32BE(changes.crypt ?? 0, 32);
  header.writeUInt32BE(changes.l1 ?? 1, 36);
  header.writeBigUInt64BE(0x30000n, 40);
  header.writeBigUInt64BE(0x10000n, 48);
  header.writeUInt32BE(1, 56);
  const isV2 = changes.version === 2;
  if (!isV2) {
    header.writeBigUInt64BE(changes.incompatible ?? 0n, 72);
    header.writeBigUInt64BE(changes.autoclear ?? 0n, 88);
    header.writeUInt32BE(4, 96);
    header.writeUInt32BE(changes.headerLength ?? 104, 100);
  }
  let at = isV2 ? 72 : 104;
  for (const [type, data] of changes.extensions ?? []) {
    header.writeUInt32BE(type, at);
    header.writeUInt32BE(data.length, at + 4);
    Buffer.from(data as string, 'latin1').copy(header, at + 8);
    at += 8 + Math.ceil(data.length / 8) * 8;
  }
  if (changes.backing !== undefined) {
    header.writeBigUInt64BE(BigInt(at + 8), 8);
    header.writeUInt32BE(changes.backing.length, 16);
    header.write(changes.backing, at + 8, 'latin1');
  }
  return header;
}

export const DESCRIPTOR = [
  '# Disk DescriptorFile',
  'version=1',
  'CID=12345678',
  'parentCID=ffffffff',
  'createType="monolithicSparse"',
  '',
  'RW 2048 SPARSE "disk.vmdk"',
  '',
].join('\n');

/** A sparse VMDK with its descriptor. */
export function vmdkHeader(
  changes: { descriptor?: string; capacity?: bigint; version?: number; directory?: bigint; offset?: bigint } = {},
): Buffer {
  const bytes = Buffer.alloc(65536);
  bytes.write('KDMV', 0, 'latin1');
  bytes.writeUInt32LE(changes.version ?? 1, 4);
  bytes.writeBigUInt64LE(changes.capacity ?? 2048n, 12);
  bytes.writeBigUInt64LE(128n, 20);
  bytes.writeBigUInt64LE(changes.offset ?? 1n, 28);
  bytes.writeBigUInt64LE(20n, 36);
  bytes.writeBigUInt64LE(changes.directory ?? 26n, 56);
  bytes.write(changes.descriptor ?? DESCRIPTOR, 512, 'latin1');
  return bytes;
}

/** A dynamic VHD: the copy of the footer and the sparse header. */
export function vhdHeader(
  changes: {
    type?: number;
    parent?: boolean;
    sparse?: boolean;
    /** Where the dynamic header is said to be. */
    at?: bigint;
    creator?: string;
    size?: bigint;
    /** Cylinders, of 16 heads and 63 sectors each. */
    cylinders?: number;
  } = {},
): Buffer {
  const bytes = Buffer.alloc(4096);
  bytes.write('conectix', 0, 'latin1');
  bytes.writeBigUInt64BE(changes.at ?? 512n, 16);
  bytes.write(changes.creator ?? 'win ', 28, 'latin1');
  bytes.writeBigUInt64BE(changes.size ?? 10_485_760n, 48);
  bytes.writeUInt16BE(changes.cylinders ?? 0, 56);
  bytes.set([16, 63], 58);
  bytes.writeUInt32BE(changes.type ?? 3, 60);
  if (changes.sparse !== false) bytes.write('cxsparse', 512, 'latin1');
  if (changes.parent) bytes.write('etc/passwd', 512 + 64, 'utf16le');
  return bytes;
}

/** A dynamic VDI. */
export function vdiHeader(changes: { type?: number; version?: number; parent?: boolean; size?: bigint } = {}): Buffer {
  const bytes = Buffer.alloc(512);
  bytes.writeUInt32LE(0xbeda107f, 64);
  bytes.writeUInt32LE(changes.version ?? 0x0001_0001, 68);
  bytes.writeUInt32LE(changes.type ?? 1, 76);
  bytes.writeBigUInt64LE(changes.size ?? 1_048_576n, 368);
  if (changes.parent) bytes.fill(7, 440, 456);
  return bytes;
}

const VHDX = {
  metadata: '06a27c8b90479a4bb8fe575f050f886e',
  parameters: '3767a1ca36fa434db3b633f0aa44e76b',
  size: '2442a52f1bcd7648b2115dbed83bf4b8',
  parent: '2d5fd3a80bb34d45abf7d3d84834ab0c',
};

/** A VHDX with its region and metadata tables; `more` adds metadata items. */
export function vhdxHeader(
  changes: {
    hasParent?: boolean;
    locator?: boolean;
    unknownItem?: boolean;
    unknownRegion?: boolean;
    noSize?: boolean;
  } = {},
): Buffer {
  const bytes = Buffer.alloc(1024 * 1024 + 128 * 1024);
  bytes.write('vhdxfile', 0, 'latin1');
  const regions: [string, number][] = [[VHDX.metadata, 1024 * 1024]];
  if (changes.unknownRegion) regions.push(['00'.repeat(16), 4096]);
  bytes.write('regi', 192 * 1024, 'latin1');
  bytes.writeUInt32LE(regions.length, 192 * 1024 + 8);
  regions.forEach(([guid, offset], at) => {
    const entry = 192 * 1024 + 16 + at * 32;
    bytes.write(guid, entry, 'hex');
    bytes.writeBigUInt64LE(BigInt(offset), entry + 16);
    bytes.writeUInt32LE(1, entry + 28);
  });
  const base = 1024 * 1024;
  bytes.write('metadata', base, 'latin1');
  const items: [string, number][] = [[VHDX.parameters, 65536]];
  if (!changes.noSize) items.push([VHDX.size, 65536 + 8]);
  if (changes.locator) items.push([VHDX.parent, 65536 + 16]);
  if (changes.unknownItem) items.push(['11'.repeat(16), 65536 + 16]);
  bytes.writeUInt16LE(items.length, base + 10);
  items.forEach(([guid, offset], at) => {
    const entry = base + 32 + at * 32;
    bytes.write(guid, entry, 'hex');
    bytes.writeUInt32LE(offset, entry + 16);
    bytes.writeUInt32LE(4, entry + 24);
  });
  bytes.writeUInt32LE(changes.hasParent ? 2 : 0, base + 65536 + 4);
  bytes.writeBigUInt64LE(33_554_432n, base + 65536 + 8);
  return bytes;
}
