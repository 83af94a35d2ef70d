// Byte-exact encoding and decoding: packets of the real client and daemon, and the rules of XDR.
import {
  arrayOf,
  decode,
  double,
  encode,
  fixedArray,
  i32,
  i64,
  opaque,
  optional,
  string,
  struct,
  u32,
  u64,
  uuid,
} from '../../libvirt/src/codec';
import type { Codec } from '../../libvirt/src/codec';
import { libvirtErrorFrom } from '../../libvirt/src/errors';
import { eventFrom } from '../../libvirt/src/events';
import { PacketDecoder, PacketType, encodePacket } from '../../libvirt/src/packet';
import type { Packet } from '../../libvirt/src/packet';
import { procedures } from '../../libvirt/src/procedures';
import { parametersOf, typedParameters } from '../../libvirt/src/types';
import { XdrError, XdrReader, XdrWriter } from '../../libvirt/src/xdr';
import { calls, download, notFound, replies, started } from '../support/libvirtPackets';

function packetIn(hex: string): Packet {
  const [packet, ...rest] = new PacketDecoder().push(Buffer.from(hex, 'hex'));
  if (!packet || rest.length > 0) throw new Error('not exactly one packet');
  return packet;
}

describe('packets of the real client and daemon', () => {
  test.each(calls)('%s is called with the same bytes as by libvirt itself', (key, serial, args, hex) => {
    const { program, number: procedure, args: codec } = procedures[key];
    const payload = encode(codec as Codec<unknown>, args);
    const bytes = encodePacket({ program, version: 1, procedure, type: PacketType.CALL, serial, status: 0, payload });
    expect(bytes.toString('hex')).toBe(hex);
    expect(decode(codec as Codec<unknown>, payload)).toEqual(args);
  });

  test.each(replies)("%s: the daemon's answer is understood, every byte of it", (key, serial, result, hex) => {
    const packet = packetIn(hex);
    expect(packet).toMatchObject({ type: PacketType.REPLY, serial, status: 0, procedure: procedures[key].number });
    const codec = procedures[key].result as Codec<unknown>;
    expect(decode(codec, packet.payload)).toEqual(result);
    expect(encode(codec, result).equals(packet.payload)).toBe(true);
  });

  test('an error is read in full', () => {
    expect(libvirtErrorFrom('DOMAIN_LOOKUP_BY_UUID', packetIn(notFound).payload)).toMatchObject({
      ...{ code: 42, domain: 12, level: 2, reason: 'Domain not found', procedure: 'DOMAIN_LOOKUP_BY_UUID' },
      message: 'libvirt DOMAIN_LOOKUP_BY_UUID: Domain not found (error 42 NO_DOMAIN, domain 12)',
      details: { str1: 'Domain not found', str2: undefined, int1: -1, int2: -1, dom: undefined, net: undefined },
    });
  });

  test('an event is read, its serial ignored', () => {
    expect(packetIn(started)).toMatchObject({ type: PacketType.MESSAGE, serial: 1 });
    expect(eventFrom(packetIn(started))).toEqual({
      name: 'lifecycle',
      domain: { name: 'g', uuid: '00010203-0405-0607-0809-0a0b0c0d0e0f', id: 2 },
      event: 'started',
      detail: 'booted',
    });
  });

  test('data of a stream, its end and the confirmation are told apart', () => {
    const seen = download
      .map(packetIn)
      .map(({ type, serial, status, payload }) => [type, serial, status, payload.toString()]);
    expect(seen).toEqual([
      [PacketType.STREAM, 3, 2, '12345678'],
      [PacketType.STREAM, 3, 2, ''],
      [PacketType.STREAM, 3, 0, ''],
    ]);
  });
});

test.each<[string, Codec<unknown>, unknown, string]>([
  ['the smallest int', i32, -2147483648, '80000000'],
  ['the largest unsigned int', u32, 4294967295, 'ffffffff'],
  ['the smallest hyper', i64, -(2n ** 63n), '8000000000000000'],
  ['the largest unsigned hyper', u64, 2n ** 64n - 1n, 'ffffffffffffffff'],
  ['a double', double, -0.5, 'bfe0000000000000'],
  ['a string with padding', string, 'héé', '0000000568c3a9c3a9000000'],
  ['an empty string', string, '', '00000000'],
  ['opaque bytes', opaque, Buffer.from([1]), '0000000101000000'],
  ['something present', optional(u32), 7, '0000000100000007'],
  ['something absent', optional(u32), undefined, '00000000'],
  ['an array', arrayOf(u32, 2), [1, 2], '000000020000000100000002'],
  ['a fixed array', fixedArray(u32, 2), [1, 2], '0000000100000002'],
  ['a struct', struct({ a: u32, b: string }), { a: 1, b: 'x' }, '000000010000000178000000'],
  ['a UUID', uuid, '00112233-4455-6677-8899-aabbccddeeff', '00112233445566778899aabbccddeeff'],
])('%s has its RFC 4506 form', (_what, codec, value, hex) => {
  expect(encode(codec, value).toString('hex')).toBe(hex);
  expect(decode(codec, Buffer.from(hex, 'hex'))).toEqual(value);
});

test('typed parameters carry every type, and become plain values', () => {
  const list = [
    { field: 'a', value: { type: 'int' as const, value: -1 } },
    { field: 'b', value: { type: 'uint' as const, value: 1 } },
    { field: 'c', value: { type: 'llong' as const, value: -(2n ** 40n) } },
    { field: 'd', value: { type: 'ullong' as const, value: 2n ** 40n } },
    { field: 'e', value: { type: 'double' as const, value: 1.5 } },
    { field: 'f', value: { type: 'boolean' as const, value: true } },
    { field: 'g', value: { type: 'string' as const, value: 'text' } },
  ];
  const bytes = encode(typedParameters, list);
  expect(decode(typedParameters, bytes)).toEqual(list);
  expect(parametersOf(list)).toEqual({ a: -1, b: 1, c: -(2 ** 40), d: 2 ** 40, e: 1.5, f: true, g: 'text' });
});

test('a UUID may be written without dashes and in capitals', () => {
  expect(encode(uuid, '00112233445566778899AABBCCDDEEFF').toString('hex')).toBe('00112233445566778899aabbccddeeff');
});

test.each<[string, Codec<unknown>, unknown]>([
  ['a fraction', i32, 1.5],
  ['an int out of range', i32, 2147483648],
  ['a negative unsigned', u32, -1],
  ['a hyper out of range', i64, 2n ** 63n],
  ['a negative unsigned hyper', u64, -1n],
  ['too many items', arrayOf(u32, 1), [1, 2]],
  ['too few items', fixedArray(u32, 2), [1]],
  ['no UUID', uuid, 'nonsense'],
  ['an arm that does not exist', typedParameters, [{ field: 'x', value: { type: 'float', value: 1 } }]],
  ['a string that is too long', string, 'x'.repeat(4_194_305)],
  ['opaque bytes beyond a message', opaque, Buffer.alloc(33_554_433)],
])('%s is refused before it is sent', (_what, codec, value) => {
  expect(() => encode(codec, value)).toThrow(XdrError);
});

test.each<[string, Codec<unknown>, string]>([
  ['a truncated int', u32, '000000'],
  ['a string longer than its bytes', string, '0000000800000000'],
  ['a string beyond the limit', string, 'ffffffff'],
  ['opaque bytes beyond the limit', opaque, 'ffffffff'],
  ['padding that is not zero', string, '0000000178000001'],
  ['a count beyond the limit', arrayOf(u32, 2), '00000003000000010000000200000003'],
  ['a count beyond the bytes', arrayOf(u32, 1000), '000000ff'],
  ['neither present nor absent', optional(u32), '00000002'],
  ['a type that does not exist', typedParameters, '00000001000000000000000900000000'],
  ['bytes after the end', u32, '0000000100000000'],
])('%s is refused when it arrives', (_what, codec, hex) => {
  expect(() => decode(codec, Buffer.from(hex, 'hex'))).toThrow(XdrError);
});

test('fixed bytes must have their size', () => {
  expect(() => new XdrWriter().fixed(Buffer.alloc(3), 4)).toThrow(XdrError);
  expect(() => new XdrReader(Buffer.alloc(3)).fixed(4)).toThrow(XdrError);
});
