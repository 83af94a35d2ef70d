// Codecs: descriptions of XDR structures from which both directions and the TypeScript type follow.
import { XdrError, XdrReader, XdrWriter } from './xdr';

/** Both directions of one XDR type. */
export interface Codec<T> {
  write(writer: XdrWriter, value: T): void;
  read(reader: XdrReader): T;
}

/** The TypeScript type that a codec reads and writes. */
export type CodecType<C> = C extends Codec<infer T> ? T : never;

/** The XDR bytes of a value. @throws XdrError when the value has no such form. */
export function encode<T>(codec: Codec<T>, value: T): Buffer {
  const writer = new XdrWriter();
  codec.write(writer, value);
  return writer.finish();
}

/** The value in `bytes`, which must be used up. @throws XdrError for anything else than one whole value. */
export function decode<T>(codec: Codec<T>, bytes: Buffer): T {
  const reader = new XdrReader(bytes);
  const value = codec.read(reader);
  reader.end();
  return value;
}

export const i32: Codec<number> = { write: (w, v) => w.i32(v), read: (r) => r.i32() };
export const u32: Codec<number> = { write: (w, v) => w.u32(v), read: (r) => r.u32() };
export const i64: Codec<bigint> = { write: (w, v) => w.i64(v), read: (r) => r.i64() };
export const u64: Codec<bigint> = { write: (w, v) => w.u64(v), read: (r) => r.u64() };
export const double: Codec<number> = { write: (w, v) => w.double(v), read: (r) => r.double() };
export const string: Codec<string> = { write: (w, v) => w.string(v), read: (r) => r.string() };
/** Counted bytes, copied out of the packet so that they don't keep it alive. */
export const opaque: Codec<Buffer> = { write: (w, v) => w.opaque(v), read: (r) => Buffer.from(r.opaque()) };
/** XDR has no byte: `char`, `unsigned char` and `short` travel as 32-bit integers. */
export const i8: Codec<number> = { ...i32 };
export const u8: Codec<number> = { ...u32 };
export const u16: Codec<number> = { ...u32 };

const UUID = /^[0-9a-f]{8}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{12}$/i;

/** A UUID: sixteen raw bytes on the wire, the usual lower-case text with dashes here. */
export const uuid: Codec<string> = {
  write(writer, value) {
    if (!UUID.test(value)) throw new XdrError(`"${value}" is not a UUID`);
    writer.fixed(Buffer.from(value.replaceAll('-', ''), 'hex'), 16);
  },
  read(reader) {
    const hex = reader.fixed(16).toString('hex');
    return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join('-');
  },
};

/** A value that may be absent: `undefined` here, a 0 on the wire. */
export function optional<T>(codec: Codec<T>): Codec<T | undefined> {
  return {
    write(writer, value) {
      writer.u32(value === undefined ? 0 : 1);
      if (value !== undefined) codec.write(writer, value);
    },
    read(reader) {
      const present = reader.u32();
      if (present > 1) throw new XdrError(`${present} is neither present (1) nor absent (0)`);
      return present === 1 ? codec.read(reader) : undefined;
    },
  };
}

/** A counted array of at most `limit` items. */
export function arrayOf<T>(codec: Codec<T>, limit: number): Codec<T[]> {
  return {
    write(writer, values) {
      if (values.length > limit) throw new XdrError(`${values.length} items exceed the limit of ${limit}`);
      writer.u32(values.length);
      for (const value of values) codec.write(writer, value);
    },
    read(reader) {
      const count = reader.u32();
      // Each item takes at least four bytes, so a hostile count can't make us allocate more than was received.
      if (count > limit || count * 4 > reader.remaining) {
        throw new XdrError(`${count} items exceed the limit of ${limit} or the ${reader.remaining} bytes left`);
      }
      const values: T[] = [];
      for (let i = 0; i < count; i++) values.push(codec.read(reader));
      return values;
    },
  };
}

/** Exactly `count` items, without a count on the wire. */
export function fixedArray<T>(codec: Codec<T>, count: number): Codec<T[]> {
  return {
    write(writer, values) {
      if (values.length !== count) throw new XdrError(`expected ${count} items, got ${values.length}`);
      for (const value of values) codec.write(writer, value);
    },
    read: (reader) => Array.from({ length: count }, () => codec.read(reader)),
  };
}

type Fields = Record<string, Codec<unknown>>;
/** The object type of a struct's fields. */
export type StructType<F> = { [K in keyof F]: CodecType<F[K]> };

/** Fields one after the other, in the order in which they are written here. */
export function struct<F extends Fields>(fields: F): Codec<StructType<F>> {
  const entries = Object.entries(fields) as [keyof F, Codec<unknown>][];
  return {
    write(writer, value) {
      for (const [name, codec] of entries) codec.write(writer, value[name]);
    },
    read(reader) {
      const value: Partial<Record<keyof F, unknown>> = {};
      for (const [name, codec] of entries) value[name] = codec.read(reader);
      return value as StructType<F>;
    },
  };
}

/** A discriminated union: a 32-bit discriminant, then the value of that arm. */
export function union<A extends Record<string, { tag: number; codec: Codec<unknown> }>>(
  arms: A,
): Codec<{ [K in keyof A & string]: { type: K; value: CodecType<A[K]['codec']> } }[keyof A & string]> {
  type Value = { [K in keyof A & string]: { type: K; value: CodecType<A[K]['codec']> } }[keyof A & string];
  const byTag = new Map(Object.entries(arms).map(([type, arm]) => [arm.tag, type]));
  const codecOf = (type: string): Codec<unknown> | undefined => arms[type]?.codec;
  return {
    write(writer, { type, value }) {
      const codec = codecOf(type);
      if (!codec) throw new XdrError(`"${type}" is no arm of this union`);
      writer.i32(arms[type]?.tag ?? 0);
      codec.write(writer, value);
    },
    read(reader) {
      const tag = reader.i32();
      const type = byTag.get(tag);
      const codec = type === undefined ? undefined : codecOf(type);
      if (!codec) throw new XdrError(`discriminant ${tag} is unknown`);
      return { type, value: codec.read(reader) } as Value;
    },
  };
}
