// qcow2 headers for tests, field by field as in "docs/interop/qcow2.txt" of QEMU.

export interface HeaderFields {
  magic?: number;
  version?: number;
  backingOffset?: bigint;
  size?: bigint;
  encryption?: number;
  features?: bigint;
}

/** The 104 bytes of a version 3 header; every field may be changed. */
export function qcow2Header(fields: HeaderFields = {}): Buffer {
  const {
    magic = 0x514649fb,
    version = 3,
    backingOffset = 0n,
    size = 1n << 20n,
    encryption = 0,
    features = 0n,
  } = fields;
  const bytes = Buffer.alloc(104);
  bytes.writeUInt32BE(magic, 0);
  bytes.writeUInt32BE(version, 4);
  bytes.writeBigUInt64BE(backingOffset, 8);
  bytes.writeUInt32BE(16, 20);
  bytes.writeBigUInt64BE(size, 24);
  bytes.writeUInt32BE(encryption, 32);
  bytes.writeBigUInt64BE(features, 72);
  bytes.writeUInt32BE(104, 100);
  return bytes;
}
