// The header parser against random bytes, and against qemu-img on images that qemu-img made.
import { execFileSync } from 'node:child_process';
import { mkdtempSync, openSync, readFileSync, rmSync, writeFileSync, closeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { inspect, type Inspection } from '../../controller/src/services/image/inspector/inspect';
import { bufferSource, fileSource } from '../../controller/src/services/image/inspector/source';
import { qcow2Header, vdiHeader, vhdHeader, vhdxHeader, vmdkHeader } from '../support/diskHeaders';

// Runs qemu-img some hundred times.
let directory: string;
beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'cumulet-inspect-'));
});
afterAll(() => rmSync(directory, { recursive: true, force: true }));

function inspectPath(path: string): Inspection {
  const descriptor = openSync(path, 'r');
  try {
    return inspect(fileSource(descriptor));
  } finally {
    closeSync(descriptor);
  }
}

interface QemuInfo {
  readonly format: string;
  readonly 'virtual-size': number;
  readonly 'backing-filename'?: string;
  readonly 'format-specific'?: { data: { 'data-file'?: string; extents?: { filename: string }[] } };
}

const qemuInfo = (path: string, ...more: string[]): QemuInfo =>
  JSON.parse(
    execFileSync('qemu-img', ['info', '--output=json', ...more, path], {
      stdio: ['ignore', 'pipe', 'ignore'],
    }).toString(),
  ) as QemuInfo;

const seeds = [qcow2Header({}), qcow2Header({ version: 2 }), vmdkHeader(), vhdHeader(), vdiHeader(), vhdxHeader()];

/** A header with some bytes changed, mostly early ones, and perhaps cut off. */
const mutated = (from: readonly Buffer[], most: number) =>
  fc
    .record({
      seed: fc.constantFrom(...from),
      edits: fc.array(fc.tuple(fc.nat({ max: most }), fc.nat({ max: 255 })), { maxLength: 12 }),
      length: fc.option(fc.nat({ max: 300_000 }), { freq: 4 }),
    })
    .map(({ seed, edits, length }) => {
      const bytes = Buffer.from(seed);
      for (const [at, value] of edits) if (at < bytes.length) bytes[at] = value;
      return length === null ? bytes : bytes.subarray(0, length);
    });

test('any bytes get an answer with a possible size and printable reasons', () => {
  const anything = fc.oneof(
    fc.uint8Array({ maxLength: 2048 }).map((bytes) => Buffer.from(bytes)),
    mutated(seeds, 700),
    mutated([vhdxHeader()], 1024 * 1024 + 70_000),
  );
  fc.assert(
    fc.property(anything, (bytes) => {
      const found = inspect(bufferSource(bytes));
      expect(Number.isSafeInteger(found.virtualSize) && found.virtualSize >= 0).toBe(true);
      for (const problem of found.problems) expect(problem).toMatch(/^[ -~]{1,300}$/);
    }),
    { numRuns: 1500 },
  );
});

test('a header cut off at any byte is answered as well', () => {
  for (const seed of seeds) {
    for (let length = 0; length < 600; length++) {
      expect(() => inspect(bufferSource(seed.subarray(0, length)))).not.toThrow();
    }
  }
});

const QEMU_NAMES: Readonly<Record<string, string>> = { vhd: 'vpc' };

test.each([
  ['qcow2', []],
  ['qcow2', ['compat=0.10']],
  ['qcow2', ['compression_type=zstd']],
  ['qcow2', ['extended_l2=on']],
  ['qcow2', ['lazy_refcounts=on']],
  ['qcow2', ['cluster_size=512']],
  ['qcow2', ['cluster_size=2M']],
  ['vmdk', []],
  ['vmdk', ['subformat=streamOptimized']],
  ['vdi', []],
  ['vdi', ['static=on']],
  ['vpc', []],
  ['vpc', ['force_size=on']],
  ['vhdx', []],
  ['vhdx', ['subformat=fixed']],
  ['raw', []],
])('%s %j: format and size agree with qemu-img', (format, options) => {
  for (const size of [512, 1024 * 1024, 3 * 1024 * 1024 + 512, 10 * 1024 * 1024 * 1024]) {
    if (size > 1e9 && (options.includes('static=on') || options.includes('subformat=fixed'))) continue;
    const path = join(directory, 'made');
    const chosen = options.flatMap((option) => ['-o', option]);
    execFileSync('qemu-img', ['create', '-q', '-f', format, ...chosen, path, String(size)]);
    const info = qemuInfo(path);
    const found = inspectPath(path);
    expect(QEMU_NAMES[found.format] ?? found.format).toBe(info.format);
    expect(found.virtualSize).toBe(info['virtual-size']);
    expect(found.problems).toEqual([]);
    rmSync(path);
  }
});

test('a converted image with data agrees as well', () => {
  const raw = join(directory, 'data.raw');
  writeFileSync(raw, Buffer.alloc(3_000_320, 'data'));
  for (const [format, ...more] of [['qcow2'], ['qcow2', '-c'], ['vmdk', '-o', 'subformat=streamOptimized'], ['vhdx']]) {
    const path = join(directory, 'converted');
    execFileSync('qemu-img', ['convert', '-f', 'raw', '-O', format ?? '', ...more, raw, path]);
    const found = inspectPath(path);
    expect(found).toMatchObject({ format, problems: [], virtualSize: qemuInfo(path)['virtual-size'] });
    rmSync(path);
  }
});

// qemu-img measures how many rounds of a hash fit into this many milliseconds; with few it can't and fails.
const ROUNDS = 'iter-time=500';

/** Runs qemu-img; again where a busy machine kept it from measuring that. */
function qemuImg(argv: readonly string[]): void {
  for (let tries = 1; ; tries++) {
    try {
      return void execFileSync('qemu-img', argv, { cwd: directory, stdio: 'pipe' });
    } catch (error) {
      if (tries === 10 || !String(error).includes('accurate CPU usage')) throw error;
    }
  }
}

test.each([
  ['a backing file', 'qcow2', ['-b', 'base.raw', '-F', 'raw']],
  ['a data file', 'qcow2', ['-o', 'data_file=outside']],
  [
    'encryption',
    'qcow2',
    ['--object', 'secret,id=s,data=x', '-o', `encrypt.format=luks,encrypt.key-secret=s,encrypt.${ROUNDS}`],
  ],
  ['a flat extent', 'vmdk', ['-o', 'subformat=monolithicFlat']],
  ['split sparse extents', 'vmdk', ['-o', 'subformat=twoGbMaxExtentSparse']],
  ['split flat extents', 'vmdk', ['-o', 'subformat=twoGbMaxExtentFlat']],
  ['another format: qcow', 'qcow', []],
  ['another format: qed', 'qed', []],
  ['another format: luks', 'luks', ['--object', 'secret,id=s,data=x', '-o', `key-secret=s,${ROUNDS}`]],
])('what qemu-img makes with %s is refused', (_name, format, options) => {
  writeFileSync(join(directory, 'base.raw'), Buffer.alloc(1024 * 1024));
  const path = join(directory, `hostile.${format}`);
  qemuImg(['create', '-q', '-f', format, ...options, path, '1M']);
  expect(inspectPath(path).problems).not.toEqual([]);
});

test('what passes as clean makes qemu-img open no other file', () => {
  const path = join(directory, 'mutated');
  const secret = join(directory, 'secret');
  writeFileSync(secret, 'secret');
  const made = join(directory, 'made.qcow2');
  execFileSync('qemu-img', ['create', '-q', '-f', 'qcow2', made, '1M']);
  const named = [
    qcow2Header({ backing: secret }),
    qcow2Header({ extensions: [[0x44415441, secret]] }),
    readFileSync(made),
    vmdkHeader(),
  ];
  fc.assert(
    fc.property(mutated(named, 120), (bytes) => {
      const found = inspect(bufferSource(bytes));
      if (found.problems.length > 0 || found.format === 'raw') return;
      writeFileSync(path, bytes);
      let info: QemuInfo;
      try {
        info = qemuInfo(path, '-U', '-f', QEMU_NAMES[found.format] ?? found.format);
      } catch {
        return; // QEMU refuses more than headers show, such as a wrong refcount table.
      }
      const data = info['format-specific']?.data;
      expect(info['backing-filename']).toBeUndefined();
      expect(data?.['data-file']).toBeUndefined();
      for (const extent of data?.extents ?? []) expect(extent.filename).toBe(path);
      // QEMU leaves out a last sector that is not whole.
      expect(info['virtual-size']).toBe(Math.floor((found.virtualSize ?? 0) / 512) * 512);
    }),
    { numRuns: 120 },
  );
});
