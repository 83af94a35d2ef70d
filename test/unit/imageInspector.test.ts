// The header parser: clean images pass with their size, every hostile one is refused with the reason.
import { closeSync, mkdtempSync, openSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { formatProblem } from '../../controller/src/services/image/verifyFormat';
import { inspect } from '../../controller/src/services/image/inspector/inspect';
import { parseAnswer } from '../../controller/src/services/image/inspector/inspectFile';
import { bufferSource, fileSource } from '../../controller/src/services/image/inspector/source';
import { DESCRIPTOR, qcow2Header, vdiHeader, vhdHeader, vhdxHeader, vmdkHeader } from '../support/diskHeaders';

const look = (bytes: Buffer) => inspect(bufferSource(bytes));
const isoBytes = (): Buffer => {
  const bytes = Buffer.alloc(40_000);
  bytes.write('CD001', 32_769, 'latin1');
  return bytes;
};
const fixedVhdBytes = (type = 2): Buffer => Buffer.concat([Buffer.alloc(8192), vhdHeader({ type }).subarray(0, 512)]);

describe('what a parser reads from', () => {
  let directory: string;
  let path: string;
  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), 'cumulet-source-'));
    path = join(directory, 'image');
    writeFileSync(path, '0123456789');
  });
  afterEach(() => rmSync(directory, { recursive: true }));

  test('gives what is there, in memory and in a file alike', () => {
    const descriptor = openSync(path, 'r');
    try {
      for (const source of [bufferSource(Buffer.from('0123456789')), fileSource(descriptor)]) {
        const read = (offset: number, length: number) => source.read(offset, length).toString();
        expect([source.size, read(0, 4), read(8, 4), read(10, 1), read(99, 1)]).toEqual([10, '0123', '89', '', '']);
        expect(() => source.read(0, 5_000_000)).toThrow('a header of 5000000 bytes is not read');
      }
    } finally {
      closeSync(descriptor);
    }
  });

  test('ends where a file ends that is cut off meanwhile', () => {
    const descriptor = openSync(path, 'r');
    try {
      const source = fileSource(descriptor);
      truncateSync(path, 3);
      expect(source.read(0, 10).toString()).toBe('012');
    } finally {
      closeSync(descriptor);
    }
  });
});

describe('clean images', () => {
  test.each([
    ['qcow2 version 3', qcow2Header({}), 'qcow2', 1_048_576],
    ['qcow2 version 2', qcow2Header({ version: 2 }), 'qcow2', 1_048_576],
    ['qcow2 with lazy refcounts, zstd and extended L2', qcow2Header({ incompatible: 0b11001n }), 'qcow2', 1_048_576],
    ['qcow2 with feature names', qcow2Header({ extensions: [[0x6803f857, 'x'.repeat(48)]] }), 'qcow2', 1_048_576],
    ['vmdk monolithicSparse', vmdkHeader(), 'vmdk', 1_048_576],
    ['vdi', vdiHeader(), 'vdi', 1_048_576],
    ['vhd', vhdHeader(), 'vhd', 10_485_760],
    ['vhd by its geometry', vhdHeader({ creator: 'qemu', cylinders: 20 }), 'vhd', 20 * 16 * 63 * 512],
    ['vhdx', vhdxHeader(), 'vhdx', 33_554_432],
    ['raw', Buffer.alloc(5000), 'raw', 5000],
    ['an empty file', Buffer.alloc(0), 'raw', 0],
    ['text that is no descriptor', Buffer.from('# a script\necho version\n'), 'raw', 24],
  ])('%s', (_name, bytes, format, virtualSize) => {
    expect(look(bytes)).toMatchObject({ format, virtualSize, problems: [] });
  });

  test('what raw bytes hold is told', () => {
    const gpt = Buffer.alloc(8192);
    gpt.write('EFI PART', 512, 'latin1');
    const mbr = Buffer.alloc(8192);
    mbr.writeUInt16LE(0xaa55, 510);
    mbr[446] = 0x80;
    const noMbr = Buffer.from(mbr);
    noMbr[446] = 7;
    expect(look(gpt).contents).toEqual(['gpt']);
    expect(look(mbr).contents).toEqual(['mbr']);
    expect(look(noMbr).contents).toEqual([]);
    expect(look(isoBytes()).contents).toEqual(['iso']);
    expect(look(fixedVhdBytes()).contents).toEqual(['vhd']);
    expect(look(fixedVhdBytes(3)).contents).toEqual([]);
  });
});

const flat = DESCRIPTOR.replace('monolithicSparse', 'monolithicFlat').replace(
  'SPARSE "disk.vmdk"',
  'FLAT "/etc/shadow" 0',
);
const stream = (footer: (bytes: Buffer) => void): Buffer => {
  const head = vmdkHeader({
    directory: 0xffff_ffff_ffff_ffffn,
    version: 3,
    descriptor: DESCRIPTOR.replace('monolithicSparse', 'streamOptimized'),
  });
  const bytes = Buffer.concat([head, head.subarray(0, 512), Buffer.alloc(512)]);
  footer(bytes.subarray(head.length));
  return bytes;
};

test('a streamOptimized VMDK whose footer repeats its header is clean', () => {
  expect(look(stream(() => undefined))).toMatchObject({ format: 'vmdk', problems: [] });
});

describe('hostile headers', () => {
  test.each([
    ['CVE-2024-32498: external data file by feature bit', qcow2Header({ incompatible: 4n }), 'external data file'],
    [
      'CVE-2024-32498: external data file by header extension',
      qcow2Header({ extensions: [[0x44415441, '/etc/shadow']] }),
      'names an external data file',
    ],
    ['CVE-2024-32498: raw external data file by autoclear bit', qcow2Header({ autoclear: 2n }), 'external data file'],
    [
      'CVE-2024-32498: data file hidden behind another extension',
      qcow2Header({
        incompatible: 4n,
        extensions: [
          [0x6803f857, 'a'.repeat(13)],
          [0x44415441, '/etc/shadow'],
        ],
      }),
      'names an external data file',
    ],
    ['CVE-2024-40767: backing file', qcow2Header({ backing: '/etc/shadow' }), 'backing file'],
    ['CVE-2024-40767: backing file in version 2', qcow2Header({ version: 2, backing: '/etc/shadow' }), 'backing file'],
    [
      'CVE-2024-40767: nested backing file in JSON',
      qcow2Header({ backing: 'json:{"driver":"raw","file":{"filename":"/etc/shadow"}}' }),
      'backing file',
    ],
    [
      'CVE-2024-40767: format of a backing file only',
      qcow2Header({ extensions: [[0xe2792aca, 'raw']] }),
      'format of a backing file',
    ],
    ['CVE-2022-47951: VMDK with a flat extent', vmdkHeader({ descriptor: flat }), 'monolithicFlat is not allowed'],
    ['CVE-2022-47951: VMDK that is only a descriptor', Buffer.from(flat), 'names other files'],
    [
      'CVE-2022-47951: a descriptor without its first line',
      Buffer.from('\n# x\nversion=1\n' + flat),
      'names other files',
    ],
    [
      'CVE-2022-47951: an allowed type with a flat extent',
      vmdkHeader({ descriptor: DESCRIPTOR.replace('SPARSE "disk.vmdk"', 'FLAT "/etc/shadow" 0') }),
      'extent is another file',
    ],
    [
      'CVE-2022-47951: an extent with a path',
      vmdkHeader({ descriptor: DESCRIPTOR.replace('disk.vmdk', '/etc/shadow') }),
      'extent is another file',
    ],
    [
      'CVE-2022-47951: two extents',
      vmdkHeader({ descriptor: `${DESCRIPTOR}RW 1 FLAT "/etc/shadow" 0\n` }),
      '2 extents',
    ],
    [
      'CVE-2022-47951: two types',
      vmdkHeader({ descriptor: `createType="monolithicSparse"\n${flat}` }),
      'no single createType',
    ],
    ['CVE-2022-47951: capacity 0, so that the descriptor decides', vmdkHeader({ capacity: 0n }), 'capacity is 0'],
    [
      'CVE-2022-47951: another footer than header',
      stream((footer) => void footer.writeBigUInt64LE(0n, 12)),
      'footer differs',
    ],
    ['a stream without a footer', stream((footer) => void footer.fill(0)), 'footer is missing'],
    ['a VMDK with a parent', vmdkHeader({ descriptor: `${DESCRIPTOR}parentFileNameHint="x"` }), 'names a parent'],
    ['a VMDK with a parent id', vmdkHeader({ descriptor: DESCRIPTOR.replace('ffffffff', '12345678') }), 'has a parent'],
    ['a VMDK of ESX', Buffer.from('COWD' + '\0'.repeat(600)), 'vmfsSparse'],
    ['a VMDK whose descriptor is elsewhere', vmdkHeader({ offset: 1n << 40n }), 'not inside the file'],
    ['a VMDK of an unknown version', vmdkHeader({ version: 9 }), 'version 9'],
    ['a VMDK cut off', vmdkHeader().subarray(0, 40), 'cut off'],
    ['a VMDK of absurd size', vmdkHeader({ capacity: 1n << 62n }), 'beyond all measure'],
    ['CVE-2015-5162: qcow2 with a huge L1 table', qcow2Header({ l1: 0x7fff_ffff }), 'L1 table is too large'],
    ['CVE-2015-5162: qcow2 of absurd size', qcow2Header({ size: (1n << 63n) - 1n }), 'beyond all measure'],
    ['CVE-2024-44082: qcow2 with unknown features', qcow2Header({ incompatible: 1n << 40n }), 'unknown incompatible'],
    ['qcow2 marked corrupt', qcow2Header({ incompatible: 2n }), 'corrupt'],
    ['qcow2 with encryption', qcow2Header({ crypt: 1 }), 'encrypted'],
    ['qcow2 with LUKS', qcow2Header({ extensions: [[0x0537be77, 'x'.repeat(16)]] }), 'encrypted'],
    ['qcow2 version 4', qcow2Header({ version: 4 }), 'version 4'],
    ['qcow2 with impossible clusters', qcow2Header({ clusterBits: 40 }), 'not possible'],
    ['qcow2 with a short header', qcow2Header({ headerLength: 80 }), 'claims 80 bytes'],
    ['qcow2 with a long header', qcow2Header({ headerLength: 1 << 20 }), 'claims 1048576 bytes'],
    ['qcow2 cut off', qcow2Header({}).subarray(0, 50), 'cut off'],
    ['qcow2 version 3 cut off', qcow2Header({}).subarray(0, 90), 'cut off'],
    [
      'qcow2 with an endless extension',
      (() => {
        const bytes = qcow2Header({ extensions: [[1, 'x']] });
        bytes.writeUInt32BE(0xffff_ffff, 108);
        return bytes;
      })(),
      'longer than the header',
    ],
    [
      'qcow2 with too many extensions',
      qcow2Header({ extensions: Array.from({ length: 80 }, () => [1, ''] as const) }),
      'too many header extensions',
    ],
    [
      'CVE-2024-40767: qcow2 that is also an ISO',
      (() => {
        const bytes = qcow2Header({});
        bytes.write('CD001', 32_769, 'latin1');
        return bytes;
      })(),
      'taken for qcow2 and for iso',
    ],
    ['qcow version 1', Buffer.from('514649fb0000000100000000', 'hex'), 'qcow is not allowed'],
    ['QED', Buffer.from('QED\0abcd', 'latin1'), 'qed is not allowed'],
    ['LUKS', Buffer.from('4c554b53babe0001', 'hex'), 'luks is not allowed'],
    ['a differencing VDI', vdiHeader({ type: 4 }), 'VDI type 4'],
    ['a VDI with a parent', vdiHeader({ parent: true }), 'has a parent'],
    ['a VDI of another version', vdiHeader({ version: 2 }), 'version 0x2'],
    ['a VDI of absurd size', vdiHeader({ size: 1n << 63n }), 'beyond all measure'],
    ['a VDI cut off', vdiHeader().subarray(0, 100), 'cut off'],
    ['a differencing VHD', vhdHeader({ type: 4 }), 'VHD type 4'],
    ['a VHD with a parent', vhdHeader({ parent: true }), 'has a parent'],
    ['a VHD without its dynamic header', vhdHeader({ sparse: false }), 'dynamic header is missing'],
    ['a VHD whose dynamic header is beyond all measure', vhdHeader({ at: 1n << 63n }), 'dynamic header is missing'],
    ['a VHD of absurd size', vhdHeader({ size: 1n << 63n }), 'beyond all measure'],
    ['a VHD cut off', vhdHeader().subarray(0, 100), 'cut off'],
    ['a VHDX with a parent', vhdxHeader({ hasParent: true }), 'has a parent'],
    ['a VHDX with a parent locator', vhdxHeader({ locator: true }), 'names a parent'],
    ['a VHDX with unknown metadata', vhdxHeader({ unknownItem: true }), 'metadata that is not known'],
    ['a VHDX with an unknown region', vhdxHeader({ unknownRegion: true }), 'region that is not known'],
    ['a VHDX without a size', vhdxHeader({ noSize: true }), 'virtual size is missing'],
    ['a VHDX cut off', vhdxHeader().subarray(0, 1000), 'cut off'],
    ['a VHDX without metadata', vhdxHeader().subarray(0, 1024 * 1024), 'metadata is missing'],
    ['a VHDX whose items are cut off', vhdxHeader().subarray(0, 1024 * 1024 + 65536), 'cut off'],
  ])('%s', (_name, bytes, problem) => {
    expect(look(bytes).problems.join('; ')).toContain(problem);
  });

  test('CVE-2015-7548: a raw image that a guest turned into a qcow2 is not raw any more', () => {
    expect(formatProblem('raw', look(qcow2Header({})))).toContain('raw does not match stream data qcow2');
  });

  test("a hostile image inside a clean one is the guest's data, not a header", () => {
    const outer = Buffer.concat([qcow2Header({}), Buffer.alloc(0x30000), qcow2Header({ backing: '/etc/shadow' })]);
    expect(look(outer)).toMatchObject({ format: 'qcow2', problems: [] });
  });
});

describe('declared and found formats', () => {
  test.each([
    ['qcow2', qcow2Header({}), true],
    ['qcow2', Buffer.alloc(512), false],
    ['raw', Buffer.alloc(512), true],
    ['raw', vmdkHeader(), false],
    ['raw', isoBytes(), true],
    ['iso', isoBytes(), true],
    ['iso', Buffer.alloc(512), false],
    ['vhd', vhdHeader(), true],
    ['vhd', fixedVhdBytes(), true],
    ['vhd', Buffer.alloc(2048), false],
    ['vmdk', vmdkHeader(), true],
    ['vdi', vdiHeader(), true],
    ['vhdx', vhdxHeader(), true],
    ['vhdx', vdiHeader(), false],
    ['ami', Buffer.alloc(512), true],
    ['ami', qcow2Header({}), false],
  ])('%s', (declared, bytes, fits) => {
    expect(formatProblem(declared, look(bytes)) === undefined).toBe(fits);
  });

  test('dangerous bytes are refused whatever is declared', () => {
    expect(formatProblem('qcow2', look(qcow2Header({ backing: 'x' })))).toContain('failed safety checks');
  });
});

test.each([
  ['no JSON', '<'],
  ['a missing part', '{"format":"raw"}'],
  ['a negative size', '{"format":"raw","contents":[],"virtualSize":-1,"problems":[]}'],
  ['control characters', '{"format":"raw","contents":[],"virtualSize":1,"problems":["a\\u001b[2J"]}'],
])('an answer of the child with %s is refused', (_name, text) => {
  expect(() => parseAnswer(text)).toThrow();
});
