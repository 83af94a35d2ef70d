// XDR (RFC 4506) reading and writing: big-endian items in multiples of four bytes, every length checked before use.

/** Longest string libvirt accepts, in bytes (REMOTE_STRING_MAX). */
const MAX_STRING_BYTES = 4_194_304;
/** Longest opaque value accepted, in bytes: a whole message. */
const MAX_OPAQUE_BYTES = 33_554_432;

/** Bytes that are not the XDR they should be, or a value that has no XDR form. */
export class XdrError extends Error {
  override readonly name = 'XdrError';
}

const padding = (length: number): number => (4 - (length % 4)) % 4;

/** Appends XDR items to a buffer that grows by doubling. */
export class XdrWriter {
  private buffer = Buffer.allocUnsafe(256);
  private length = 0;

  /** What was written so far; the writer must not be used afterwards. */
  finish(): Buffer {
    return this.buffer.subarray(0, this.length);
  }

  i32(value: number): void {
    const at = this.reserve(4);
    checkInteger(value, -0x8000_0000, 0x7fff_ffff, 'a signed 32-bit integer');
    this.buffer.writeInt32BE(value, at);
  }

  u32(value: number): void {
    const at = this.reserve(4);
    checkInteger(value, 0, 0xffff_ffff, 'an unsigned 32-bit integer');
    this.buffer.writeUInt32BE(value, at);
  }

  i64(value: bigint): void {
    if (BigInt.asIntN(64, value) !== value) throw new XdrError(`${value} is not a signed 64-bit integer`);
    this.buffer.writeBigInt64BE(value, this.reserve(8));
  }

  u64(value: bigint): void {
    if (BigInt.asUintN(64, value) !== value) throw new XdrError(`${value} is not an unsigned 64-bit integer`);
    this.buffer.writeBigUInt64BE(value, this.reserve(8));
  }

  double(value: number): void {
    this.buffer.writeDoubleBE(value, this.reserve(8));
  }

  /** Exactly `size` raw bytes, padded to four. */
  fixed(value: Uint8Array, size: number): void {
    if (value.length !== size) throw new XdrError(`expected ${size} bytes, got ${value.length}`);
    this.raw(value);
  }

  opaque(value: Uint8Array): void {
    if (value.length > MAX_OPAQUE_BYTES)
      throw new XdrError(`${value.length} bytes of data are more than a message holds`);
    this.u32(value.length);
    this.raw(value);
  }

  string(value: string): void {
    const bytes = Buffer.from(value, 'utf8');
    if (bytes.length > MAX_STRING_BYTES)
      throw new XdrError(`a string of ${bytes.length} bytes is too long for libvirt`);
    this.opaque(bytes);
  }

  private raw(value: Uint8Array): void {
    const pad = padding(value.length);
    const at = this.reserve(value.length + pad);
    this.buffer.set(value, at);
    this.buffer.fill(0, at + value.length, at + value.length + pad);
  }

  private reserve(size: number): number {
    const at = this.length;
    this.length += size;
    if (this.length > this.buffer.length) {
      const grown = Buffer.allocUnsafe(Math.max(this.length, this.buffer.length * 2));
      this.buffer.copy(grown, 0, 0, at);
      this.buffer = grown;
    }
    return at;
  }
}

function checkInteger(value: number, low: number, high: number, what: string): void {
  if (!Number.isInteger(value) || value < low || value > high) throw new XdrError(`${value} is not ${what}`);
}

/** Reads XDR items one after the other; every method throws {@link XdrError} rather than read past the end. */
export class XdrReader {
  private offset = 0;

  constructor(private readonly buffer: Buffer) {}

  /** Bytes not read yet. */
  get remaining(): number {
    return this.buffer.length - this.offset;
  }

  i32(): number {
    return this.buffer.readInt32BE(this.take(4));
  }

  u32(): number {
    return this.buffer.readUInt32BE(this.take(4));
  }

  i64(): bigint {
    return this.buffer.readBigInt64BE(this.take(8));
  }

  u64(): bigint {
    return this.buffer.readBigUInt64BE(this.take(8));
  }

  double(): number {
    return this.buffer.readDoubleBE(this.take(8));
  }

  /** A view (no copy) of `size` raw bytes. */
  fixed(size: number): Buffer {
    const at = this.take(size + padding(size));
    const end = at + size;
    for (let i = end; i < this.offset; i++) {
      if (this.buffer[i] !== 0) throw new XdrError('padding bytes are not zero');
    }
    return this.buffer.subarray(at, end);
  }

  opaque(limit = MAX_OPAQUE_BYTES): Buffer {
    const length = this.u32();
    if (length > limit) throw new XdrError(`a length of ${length} bytes exceeds the limit of ${limit}`);
    return this.fixed(length);
  }

  string(): string {
    return this.opaque(MAX_STRING_BYTES).toString('utf8');
  }

  /** @throws XdrError when bytes are left: the sender's idea of the structure is not ours. */
  end(): void {
    if (this.remaining !== 0) throw new XdrError(`${this.remaining} bytes are left after the last field`);
  }

  private take(size: number): number {
    if (size > this.remaining) throw new XdrError(`${size} bytes are needed, ${this.remaining} are left`);
    const at = this.offset;
    this.offset += size;
    return at;
  }
}
