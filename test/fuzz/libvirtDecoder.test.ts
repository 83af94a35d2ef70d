// Hostile and random bytes: decoders refuse with their own errors, never crash, never allocate by what a length claims.
import * as fc from 'fast-check';
import { decode, encode } from '../../libvirt/src/codec';
import type { Codec } from '../../libvirt/src/codec';
import { remoteError } from '../../libvirt/src/errors';
import { eventNames, wireOf } from '../../libvirt/src/events';
import { PacketDecoder, ProtocolError, encodePacket } from '../../libvirt/src/packet';
import type { Packet } from '../../libvirt/src/packet';
import { procedures } from '../../libvirt/src/procedures';
import { XdrError, XdrReader } from '../../libvirt/src/xdr';

const codecs: [string, Codec<unknown>][] = [
  ...Object.values(procedures).flatMap(({ name, args, result }): [string, Codec<unknown>][] => [
    [`${name} arguments`, args as Codec<unknown>],
    [`${name} result`, result as Codec<unknown>],
  ]),
  ...eventNames.map((name): [string, Codec<unknown>] => [`${name} event`, wireOf(name) as Codec<unknown>]),
  ['error', remoteError],
];

/** A reader that makes values up, so that each codec yields a value of its own shape. Numbers 0 and 1 count and choose. */
class InventingReader extends XdrReader {
  constructor(private readonly next: () => number) {
    super(Buffer.alloc(0));
  }
  override get remaining(): number {
    return Infinity;
  }
  override i32 = (): number => 1 + (this.next() % 7);
  override u32 = (): number => this.next() % 2;
  override i64 = (): bigint => BigInt.asIntN(64, BigInt(this.next()) << 33n);
  override u64 = (): bigint => BigInt.asUintN(64, -BigInt(this.next()));
  override double = (): number => this.next() / 3;
  override fixed = (size: number): Buffer => Buffer.alloc(size, this.next());
  override opaque = (): Buffer => Buffer.alloc(this.next() % 9, this.next());
  override string = (): string => 'ä日x'.repeat(this.next() % 4);
}

/** A value of the codec's type, from a seed. */
function invent(codec: Codec<unknown>, seed: number): unknown {
  let state = seed;
  return codec.read(new InventingReader(() => (state = (Math.imul(state, 1103515245) + 12345) & 0x7fffffff) >> 8));
}

/** Whether the bytes are a value; any error but an XdrError is thrown on. */
function tryDecode(codec: Codec<unknown>, bytes: Buffer): boolean {
  try {
    decode(codec, bytes);
    return true;
  } catch (error) {
    if (!(error instanceof XdrError)) throw error;
    return false;
  }
}

const seed = fc.integer({ min: 1, max: 0x7fffffff });

describe.each(codecs)('%s', (_name, codec) => {
  test('every value survives the way to the wire and back; every truncation and addition is refused', () => {
    fc.assert(
      fc.property(seed, (start) => {
        const value = invent(codec, start);
        const bytes = encode(codec, value);
        expect(decode(codec, bytes)).toEqual(value);
        for (let cut = 0; cut < bytes.length; cut += 4) {
          if (tryDecode(codec, bytes.subarray(0, cut))) throw new Error(`${cut} of ${bytes.length} bytes were enough`);
        }
        if (tryDecode(codec, Buffer.concat([bytes, Buffer.alloc(4)])))
          throw new Error('bytes after the end were ignored');
      }),
      { numRuns: 10 },
    );
  });

  test('hostile words anywhere are refused or harmless', () => {
    const words = fc.constantFrom(0xffffffff, 0x7fffffff, 0x80000000, 0x00400001, 0x00004001);
    fc.assert(
      fc.property(seed, words, fc.nat(), (start, word, where) => {
        const bytes = Buffer.from(encode(codec, invent(codec, start)));
        if (bytes.length < 4) return;
        bytes.writeUInt32BE(word, (where % (bytes.length / 4)) * 4);
        tryDecode(codec, bytes);
      }),
      { numRuns: 20 },
    );
  });
});

test('a length that claims gigabytes costs no memory', () => {
  const before = process.memoryUsage().arrayBuffers;
  const hostile = Buffer.from('ffffffff'.repeat(8), 'hex');
  for (let i = 0; i < 100; i++) for (const [, codec] of codecs) tryDecode(codec, hostile);
  expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(64 << 20);
});

describe('the packet decoder', () => {
  const packet: fc.Arbitrary<Packet> = fc.record({
    program: fc.nat(),
    version: fc.nat(),
    procedure: fc.integer(),
    type: fc.integer(),
    serial: fc.nat(),
    status: fc.integer(),
    payload: fc.uint8Array({ maxLength: 200 }).map((bytes) => Buffer.from(bytes)),
  });

  test('finds the same packets however the bytes are cut', () => {
    fc.assert(
      fc.property(fc.array(packet), fc.array(fc.integer({ min: 1, max: 90 }), { minLength: 1 }), (packets, cuts) => {
        const bytes = Buffer.concat(packets.map(encodePacket));
        const decoder = new PacketDecoder();
        const found: Packet[] = [];
        for (let at = 0, i = 0; at < bytes.length; i++) {
          const length = cuts[i % cuts.length] ?? 1;
          found.push(...decoder.push(bytes.subarray(at, at + length)));
          at += length;
        }
        expect(found).toEqual(packets);
      }),
    );
  });

  test('takes any bytes without another error than its own', () => {
    fc.assert(
      fc.property(fc.array(fc.uint8Array({ maxLength: 64 })), (chunks) => {
        const decoder = new PacketDecoder();
        try {
          for (const chunk of chunks) decoder.push(Buffer.from(chunk));
        } catch (error) {
          if (!(error instanceof ProtocolError)) throw error;
        }
      }),
      { numRuns: 1000 },
    );
  });

  test('holds no more than it was given, whatever a packet claims', () => {
    const decoder = new PacketDecoder();
    const before = process.memoryUsage().arrayBuffers;
    const head = Buffer.alloc(28);
    head.writeUInt32BE(33_554_436, 0);
    expect(decoder.push(head)).toEqual([]);
    for (let i = 0; i < 100; i++) expect(decoder.push(Buffer.alloc(10))).toEqual([]);
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(1 << 20);
  });

  test('a packet of the largest size passes, one byte more does not', () => {
    const header = { program: 1, version: 1, procedure: 1, type: 1, serial: 1, status: 0 };
    const largest = encodePacket({ ...header, payload: Buffer.alloc(33_554_436 - 28) });
    const decoder = new PacketDecoder();
    const found: Packet[] = [];
    for (let at = 0; at < largest.length; at += 65_536) found.push(...decoder.push(largest.subarray(at, at + 65_536)));
    expect(found.map(({ payload }) => payload.length)).toEqual([33_554_408]);
    expect(() => encodePacket({ ...header, payload: Buffer.alloc(33_554_436 - 27) })).toThrow(ProtocolError);
  });
});
