// The storage agent with real qemu-img and files: disks made, repeated, grown, remade, removed; a disk that fills up.
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PassThrough, Readable } from 'node:stream';
import {
  createMemoryBus,
  CumuletError,
  exec,
  newId,
  parseConfig,
  silentLogger,
  systemClock,
  type DiskEnsure,
  type Exec,
} from '@cumulet/common';
import { createStorageAgent, StorageConfig, type StorageAgent } from '@cumulet/storage-agent';
import { driveAgent, type AgentDriver } from '../support/agentDriver';
import { fakeAgentApi, sha512, type FakeAgentApi } from '../support/fakeAgentApi';

const GIB = 2 ** 30;
let dir: string;
let api: FakeAgentApi;
let agent: StorageAgent;
let driver: AgentDriver;
/** Every command that the agent ran. */
const commands: string[][] = [];
const recorded: Exec = (argv, options) => {
  commands.push([...argv]);
  return exec(argv, options);
};

async function startAgent(): Promise<void> {
  const bus = createMemoryBus();
  driver = await driveAgent(bus, 'h1');
  const config = parseConfig(StorageConfig, JSON.stringify({ dir, min_free_mib: 0 }), 'test');
  agent = createStorageAgent({ host: 'h1', bus, api, exec: recorded, log: silentLogger, clock: systemClock, config });
  await agent.start();
}

beforeEach(async () => {
  commands.length = 0;
  dir = mkdtempSync(join(tmpdir(), 'cumulet-storage-'));
  api = fakeAgentApi();
  await startAgent();
});
afterEach(async () => {
  await agent.stop();
  rmSync(dir, { recursive: true, force: true });
});

function qcow2Image(size: string): Buffer {
  const path = join(dir, 'source.qcow2');
  execFileSync('qemu-img', ['create', '-q', '-f', 'qcow2', path, size]);
  execFileSync('qemu-io', ['-f', 'qcow2', '-c', 'write -P 0x5a 0 64k', path]);
  return execFileSync('cat', [path], { maxBuffer: 64 << 20 });
}

function upload(bytes: Buffer, format: 'qcow2' | 'raw'): DiskEnsure['image'] {
  api.images.set(sha512(bytes), bytes);
  return { id: newId(), digest: sha512(bytes), format, size: bytes.length };
}

const info = (path: string): Record<string, unknown> =>
  JSON.parse(execFileSync('qemu-img', ['info', '--output=json', path], { encoding: 'utf8' })) as Record<
    string,
    unknown
  >;
const holds = (path: string, pattern: number): boolean =>
  execFileSync('qemu-io', ['-f', 'qcow2', '-c', `read -P ${pattern} 0 4k`, path], { encoding: 'utf8' }).includes(
    '4096/4096',
  ) &&
  !execFileSync('qemu-io', ['-f', 'qcow2', '-c', `read -P ${pattern} 0 4k`, path], { encoding: 'utf8' }).includes(
    'failed',
  );

test.each(['qcow2', 'raw'] as const)('a disk on a %s image: made, repeated, grown, remade, removed', async (format) => {
  const image = upload(format === 'qcow2' ? qcow2Image('64M') : Buffer.alloc(1 << 20, 0x5a), format);
  const id = newId();
  const body = { server_id: id, image, size: GIB, revision: 1 };

  const made = await driver.run('disk.ensure', id, body);
  const path = join(dir, 'disks', id, 'disk-r1.qcow2');
  const backing = { path: join(dir, 'disks', id, 'base-r1'), format };
  expect(made).toMatchObject({ outcome: 'done', observed: { path, format: 'qcow2', backing } });
  expect(info(path)).toMatchObject({
    format: 'qcow2',
    'virtual-size': GIB,
    'full-backing-filename': backing.path,
    'backing-filename-format': format,
  });
  expect(holds(path, 0x5a)).toBe(true);
  expect(statSync(join(dir, 'disks', id)).mode & 0o777).toBe(0o711);
  expect(statSync(path).mode & 0o777).toBe(0o600);

  execFileSync('qemu-io', ['-f', 'qcow2', '-c', 'write -P 0x11 0 4k', path]);
  const repeated = await driver.run('disk.ensure', id, body);
  expect(repeated.observed).toEqual(made.observed);
  expect(holds(path, 0x11)).toBe(true);
  expect(api.opened).toHaveLength(1);

  await driver.run('disk.ensure', id, { ...body, size: 2 * GIB });
  expect(info(path)['virtual-size']).toBe(2 * GIB);
  expect(holds(path, 0x11)).toBe(true);

  const remade = await driver.run('disk.ensure', id, { ...body, size: 2 * GIB, revision: 2 });
  expect(readdirSync(join(dir, 'disks', id)).sort()).toEqual(['base-r2', 'disk-r2.qcow2']);
  expect(holds(String(remade.observed['path']), 0x5a)).toBe(true);
  expect(await agent.inventoryOfResources()).toContainEqual({ kind: 'disk', id, name: remade.observed['path'] });

  for (let i = 0; i < 2; i++)
    expect(await driver.run('disk.remove', id, { server_id: id })).toMatchObject({ outcome: 'done' });
  expect(readdirSync(join(dir, 'disks'))).toEqual([]);
  expect(await agent.inventoryOfResources()).toEqual([]);
});

test('disks of every kind are what qemu-img makes of it, the first and those from memory; none has anything of another', async () => {
  const images = [upload(qcow2Image('64M'), 'qcow2'), upload(Buffer.alloc(1 << 20, 0x5a), 'raw')];
  const kinds = images.flatMap((image) => [1, 2, 3].map((gib) => ({ image, size: gib * GIB })));
  for (const { image, size } of [...kinds, ...kinds]) {
    const id = newId();
    const made = await driver.run('disk.ensure', id, { server_id: id, image, size, revision: 1 });
    const path = String(made.observed['path']);
    const reference = join(dir, 'reference.qcow2');
    const options = ['-q', '-u', '-f', 'qcow2', '-F', image.format, '-b', 'base-r1'];
    execFileSync('qemu-img', ['create', ...options, reference, String(size)]);
    expect(readFileSync(path).equals(readFileSync(reference))).toBe(true);
    expect(statSync(path).mode & 0o777).toBe(0o600);
    execFileSync('qemu-img', ['check', '-q', path]);
    expect(holds(path, 0x5a)).toBe(true);
    execFileSync('qemu-io', ['-f', 'qcow2', '-c', 'write -P 0x77 0 4k', path]);
  }
});

describe('a copy of a disk', () => {
  const write = (path: string, pattern: number): void =>
    void execFileSync('qemu-io', ['-f', 'qcow2', '-c', `write -P ${pattern} 0 4k`, path]);
  const diskPath = (id: string, revision: number): string => join(dir, 'disks', id, `disk-r${revision}.qcow2`);

  async function serverWithDisk(format: 'qcow2' | 'raw' = 'raw') {
    const image = upload(format === 'qcow2' ? qcow2Image('64M') : Buffer.alloc(1 << 20, 0x5a), format);
    const disk = { server_id: newId(), image, size: GIB, revision: 1 };
    await driver.run('disk.ensure', disk.server_id, disk);
    write(diskPath(disk.server_id, 1), 0x11);
    return disk;
  }

  test.each(['qcow2', 'raw'] as const)('stands on its own %s base; each of the two can go', async (format) => {
    const { server_id: id, image, size } = await serverWithDisk(format);
    const adopt = { server_id: id, image, revision: 2, from: { revision: 1, elsewhere: false } };
    for (let i = 0; i < 2; i++)
      expect(await driver.run('disk.adopt', id, adopt)).toMatchObject({ outcome: 'done', observed: {} });
    const grown = { server_id: id, image, size: 2 * size, revision: 2, keep: [1] };
    expect(await driver.run('disk.ensure', id, grown)).toMatchObject({ outcome: 'done' });
    expect(readdirSync(join(dir, 'disks', id)).sort()).toEqual([
      'base-r1',
      'base-r2',
      'disk-r1.qcow2',
      'disk-r2.qcow2',
    ]);
    expect(info(diskPath(id, 2))).toMatchObject({
      'virtual-size': 2 * GIB,
      'full-backing-filename': join(dir, 'disks', id, 'base-r2'),
      'backing-filename-format': format,
    });
    expect(statSync(diskPath(id, 2)).mode & 0o777).toBe(0o600);
    write(diskPath(id, 2), 0x22);
    expect([holds(diskPath(id, 1), 0x11), holds(diskPath(id, 2), 0x22)]).toEqual([true, true]);
    expect(info(diskPath(id, 1))['virtual-size']).toBe(GIB);
    // What the new one became stays when the command comes once more.
    await driver.run('disk.adopt', id, adopt);
    expect(holds(diskPath(id, 2), 0x22)).toBe(true);
    for (let i = 0; i < 2; i++)
      expect(await driver.run('disk.remove', id, { server_id: id, revision: 1 })).toMatchObject({ outcome: 'done' });
    expect(readdirSync(join(dir, 'disks', id)).sort()).toEqual(['base-r2', 'disk-r2.qcow2']);
    expect(holds(diskPath(id, 2), 0x22)).toBe(true);
  });

  const pieces = (bytes: Buffer, size: number): Buffer[] =>
    Array.from({ length: Math.ceil(bytes.length / size) }, (_, i) => bytes.subarray(i * size, (i + 1) * size));

  test.each([1, 63, 64, 65, 4096])(
    'comes from another host as it left it, also in pieces of %d bytes',
    async (size) => {
      const { server_id: id, image } = await serverWithDisk();
      const { size: total, stream } = await agent.openDisk(id, 1);
      const sent = Buffer.concat((await stream.toArray()) as Buffer[]);
      expect(total).toBe(sent.length);
      // Pieces matter where the digest begins.
      const parts = [sent.subarray(0, -600), ...pieces(sent.subarray(-600), size)];
      api.disks.set(id, () => Promise.resolve({ size: total, stream: Readable.from(parts) }));
      const adopt = { server_id: id, image, revision: 2, from: { revision: 1, elsewhere: true } };
      expect(await driver.run('disk.adopt', id, adopt)).toMatchObject({ outcome: 'done' });
      expect(holds(diskPath(id, 2), 0x11)).toBe(true);
      expect(info(diskPath(id, 2))['full-backing-filename']).toBe(join(dir, 'disks', id, 'base-r2'));
    },
  );

  test('that arrives damaged or cut off, for which there is no room, or that is not there, is no disk', async () => {
    const { server_id: id, image } = await serverWithDisk();
    const sent = Buffer.concat((await (await agent.openDisk(id, 1)).stream.toArray()) as Buffer[]);
    const damaged = Buffer.from(sent);
    damaged.writeUInt8(damaged.readUInt8(5000) ^ 1, 5000);
    const adopt = { server_id: id, image, revision: 2, from: { revision: 1, elsewhere: true } };
    const give = (bytes: Buffer, size = bytes.length): void =>
      void api.disks.set(id, () => Promise.resolve({ size, stream: Readable.from([bytes]) }));
    for (const [bytes, size, code] of [
      [damaged, damaged.length, 'disk_damaged'],
      [sent.subarray(0, -100), sent.length, 'disk_damaged'],
      [Buffer.alloc(0), sent.length, 'disk_damaged'],
      [sent, 1e15, 'disk_full'],
    ] as const) {
      give(bytes, size);
      expect((await driver.run('disk.adopt', id, adopt)).fault).toMatchObject({ code, retryable: true });
      expect(existsSync(diskPath(id, 2))).toBe(false);
    }
    api.disks.set(id, () => Promise.reject(new CumuletError('unreachable', 'nobody there')));
    expect((await driver.run('disk.adopt', id, adopt)).fault).toMatchObject({
      code: 'disk_failed',
      message: "the server's disk could not be copied",
    });
    const here = { ...adopt, from: { revision: 7, elsewhere: false } };
    expect((await driver.run('disk.adopt', id, here)).fault).toMatchObject({ code: 'disk_failed' });
    await expect(agent.openDisk(id, 7)).rejects.toMatchObject({ code: 'disk_missing' });
    await expect(agent.openDisk('nobody', 1)).rejects.toMatchObject({ code: 'bad_server_id' });
    give(sent);
    expect(await driver.run('disk.adopt', id, adopt)).toMatchObject({ outcome: 'done' });
    expect(readdirSync(join(dir, 'disks', id)).sort()).toEqual([
      'base-r1',
      'base-r2',
      'disk-r1.qcow2',
      'disk-r2.qcow2',
    ]);
  });

  test('from a host in strange hands is looked at before QEMU opens it', async () => {
    const { server_id: id, image } = await serverWithDisk();
    const secret = join(dir, 'secret');
    writeFileSync(secret, Buffer.alloc(1 << 20, 0x66));
    const evil = join(dir, 'evil.qcow2');
    const come = async (revision: number) => {
      const bytes = readFileSync(evil);
      const sent = Buffer.concat([bytes, Buffer.from(sha512(bytes), 'hex')]);
      api.disks.set(id, () => Promise.resolve({ size: sent.length, stream: Readable.from([sent]) }));
      commands.length = 0;
      return driver.run('disk.adopt', id, { server_id: id, image, revision, from: { revision: 1, elsewhere: true } });
    };
    execFileSync('qemu-img', ['create', '-q', '-f', 'qcow2', '-o', `data_file=${secret}`, evil, '1M']);
    expect((await come(2)).fault).toEqual({
      code: 'disk_refused',
      message: 'the disk from the host that the server leaves is refused: it has an external data file',
      retryable: false,
    });
    writeFileSync(evil, 'no disk at all');
    expect((await come(2)).fault?.message).toMatch(/it is not a qcow2 disk$/);
    expect(commands).toEqual([]);
    // Another base is not opened either: the copy stands on the image.
    rmSync(evil);
    execFileSync('qemu-img', ['create', '-q', '-f', 'qcow2', '-F', 'raw', '-b', secret, evil, '1M']);
    expect(await come(3)).toMatchObject({ outcome: 'done' });
    expect(holds(diskPath(id, 3), 0x5a)).toBe(true);
  });

  test('tells how far it has come, and ends at once when the server is deleted', async () => {
    const { server_id: id, image } = await serverWithDisk();
    const stream = new PassThrough();
    api.disks.set(id, () => Promise.resolve({ size: 1000, stream }));
    const adopt = { server_id: id, image, revision: 2, from: { revision: 1, elsewhere: true } };
    await driver.send('disk.adopt', id, adopt);
    // It goes on to wait for more.
    for (let i = 0; i < 300; i++) if (!stream.write(Buffer.alloc(1 << 20))) await once(stream, 'drain');
    expect(await driver.run('disk.remove', id, { server_id: id })).toMatchObject({ outcome: 'done' });
    expect(existsSync(join(dir, 'disks', id))).toBe(false);
    expect(driver.replies.some(({ outcome, observed }) => outcome === 'progress' && observed['copied_bytes'])).toBe(
      true,
    );
  }, 60_000);
});

test('an image that is larger than the disk is refused in words', async () => {
  const id = newId();
  const image = upload(qcow2Image('2G'), 'qcow2');
  const reply = await driver.run('disk.ensure', id, { server_id: id, image, size: GIB, revision: 1 });
  expect(reply.fault).toEqual({
    code: 'disk_too_small',
    message: `the image needs a disk of ${2 * GIB} bytes, the server's has ${GIB}`,
    retryable: false,
  });
});

test('what a killed agent left is completed by the next one; what is not expected is removed', async () => {
  const image = upload(Buffer.alloc(4096, 1), 'raw');
  const [kept, gone] = [newId(), newId()];
  for (const id of [kept, gone]) await driver.run('disk.ensure', id, { server_id: id, image, size: GIB, revision: 1 });
  await agent.stop();
  const directory = join(dir, 'disks', kept);
  rmSync(join(directory, 'disk-r1.qcow2'));
  writeFileSync(join(directory, 'disk-r1.qcow2.part'), 'half an overlay');
  writeFileSync(join(dir, 'images', `${image.digest}.part-1`), 'half an image');

  api.expected = [{ id: kept, generation: 1 }];
  await startAgent();
  expect(existsSync(join(dir, 'disks', gone))).toBe(false);
  expect(readdirSync(join(dir, 'images'))).toEqual([image.digest]);
  const body = { server_id: kept, image, size: GIB, revision: 1 };
  expect(await driver.run('disk.ensure', kept, body, { session: 2 })).toMatchObject({ outcome: 'done' });
  expect(readdirSync(directory).sort()).toEqual(['base-r1', 'disk-r1.qcow2']);
});

test('a disk that fills up is a fault in words, and works when there is room again', async () => {
  await agent.stop();
  const mount = join(dir, 'small');
  mkdirSync(mount);
  execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=1m', 'tmpfs', mount]);
  const outer = dir;
  dir = mount;
  try {
    await startAgent();
    const image = upload(Buffer.alloc(4096, 1), 'raw');
    writeFileSync(join(mount, 'filler'), Buffer.alloc(900 << 10));
    const id = newId();
    const body = { server_id: id, image, size: GIB, revision: 1 };
    const full = await driver.run('disk.ensure', id, body, { session: 2 });
    expect(full.fault).toMatchObject({
      code: 'disk_full',
      message: "there is not enough space on the host for the server's disk",
      retryable: true,
    });
    const large = { ...image, digest: sha512(Buffer.from('large')), size: 1 << 21 };
    const refused = await driver.run('disk.ensure', id, { ...body, image: large }, { session: 2 });
    expect(refused.fault?.message).toMatch(
      /^there is not enough space on the host for the image: 2 MiB are needed and \d MiB are free$/,
    );
    rmSync(join(mount, 'filler'));
    expect(await driver.run('disk.ensure', id, body, { session: 2 })).toMatchObject({ outcome: 'done', fault: null });
  } finally {
    await agent.stop();
    execFileSync('umount', [mount]);
    dir = outer;
  }
});

test('the registration says how much room there is', () => {
  expect(api.registrations[0]).toEqual({
    host: 'h1',
    role: 'storage',
    inventory: { disk_gib: expect.any(Number), disk_free_gib: expect.any(Number) },
  });
});

describe('snapshots', () => {
  const image_id = newId();
  const file = (id: string): string => join(dir, 'disks', id, `snapshot-${image_id}.qcow2`);
  const body = (server_id: string, base_format: 'qcow2' | 'raw') => ({ server_id, image_id, revision: 1, base_format });
  async function server(format: 'qcow2' | 'raw'): Promise<{ id: string; disk: string }> {
    const image = upload(format === 'qcow2' ? qcow2Image('64M') : Buffer.alloc(1 << 20, 0x5a), format);
    const id = newId();
    const made = await driver.run('disk.ensure', id, { server_id: id, image, size: GIB, revision: 1 });
    const disk = String(made.observed['path']);
    execFileSync('qemu-io', ['-f', 'qcow2', '-c', 'write -P 0x11 1M 4k', disk]);
    return { id, disk };
  }

  test.each(['qcow2', 'raw'] as const)(
    'of a disk on a %s image is flat, whole, streamed and removed',
    async (format) => {
      const { id, disk } = await server(format);
      const snapshot = body(id, format);
      const prepared = await driver.run('snapshot.prepare', id, snapshot);
      expect(prepared).toMatchObject({ outcome: 'done', observed: { path: file(id) } });
      for (let i = 0; i < 2; i++)
        expect(await driver.run('snapshot.flatten', id, snapshot)).toMatchObject({ fault: null });
      expect(info(file(id))).not.toHaveProperty('backing-filename');
      expect(statSync(file(id)).mode & 0o777).toBe(0o600);
      execFileSync('qemu-img', ['compare', '-q', '-f', 'qcow2', '-F', 'qcow2', disk, file(id)]);
      for (let i = 0; i < 2; i++)
        expect(await driver.run('snapshot.upload', id, snapshot)).toMatchObject({ fault: null });
      const stored = join(dir, 'stored.qcow2');
      writeFileSync(stored, api.stored.get(image_id) ?? '');
      execFileSync('qemu-img', ['compare', '-q', '-f', 'qcow2', '-F', 'qcow2', disk, stored]);
      for (let i = 0; i < 2; i++)
        expect(await driver.run('snapshot.remove', id, snapshot)).toMatchObject({ fault: null });
      expect(readdirSync(join(dir, 'disks', id)).sort()).toEqual(['base-r1', 'disk-r1.qcow2']);
    },
  );

  test('never hold what a disk’s own header names as its base', async () => {
    const { id, disk } = await server('raw');
    const secret = join(dir, 'secret');
    writeFileSync(secret, Buffer.alloc(1 << 20, 0x77));
    execFileSync('qemu-img', ['rebase', '-u', '-f', 'qcow2', '-F', 'raw', '-b', secret, disk]);
    await driver.run('snapshot.flatten', id, body(id, 'raw'));
    expect(holds(file(id), 0x5a)).toBe(true);
  });

  test('that somebody made with a base of its own is not given away', async () => {
    const { id } = await server('raw');
    execFileSync('qemu-img', ['create', '-q', '-f', 'qcow2', '-F', 'raw', '-b', '/etc/passwd', file(id)]);
    const answer = await driver.run('snapshot.upload', id, body(id, 'raw'));
    expect(answer.fault).toMatchObject({ code: 'snapshot_damaged', retryable: false });
    expect(api.stored.size).toBe(0);
  });

  test('are refused of a disk that is in use, fail for good when the image service says so, and in words', async () => {
    const { id, disk } = await server('qcow2');
    const holder = spawn('qemu-io', ['-f', 'qcow2', disk], { stdio: ['pipe', 'pipe', 'ignore'] });
    await once(holder.stdout, 'data');
    const busy = await driver.run('snapshot.flatten', id, body(id, 'qcow2'));
    expect(busy.fault).toMatchObject({ code: 'snapshot_failed', retryable: true });
    expect(busy.fault?.message).not.toContain('/');
    holder.stdin.end('quit\n');
    await once(holder, 'exit');
    await driver.run('snapshot.flatten', id, body(id, 'qcow2'));
    api.storeImage = () => Promise.reject(new CumuletError('image_refused', 'the project is over its quota'));
    expect((await driver.run('snapshot.upload', id, body(id, 'qcow2'))).fault).toEqual({
      code: 'image_refused',
      message: 'the project is over its quota',
      retryable: false,
    });
    api.storeImage = () => Promise.reject(new Error('no controller'));
    expect((await driver.run('snapshot.upload', id, body(id, 'qcow2'))).fault).toMatchObject({ code: 'upload_failed' });
    const missing = await driver.run('snapshot.prepare', id, { ...body(id, 'qcow2'), revision: 9 });
    expect(missing.fault).toMatchObject({ code: 'snapshot_failed' });
    // What a broken attempt left goes when the disk is next looked at, and with the server.
    expect(await driver.run('disk.remove', id, { server_id: id })).toMatchObject({ outcome: 'done' });
    expect(existsSync(file(id))).toBe(false);
  });
});

describe.each(['qcow2', 'raw'] as const)('a guest on a %s image that writes headers of disk formats', (format) => {
  const SECRET = Buffer.alloc(1 << 20, 0x77);
  let secret: string;
  /** What the guest writes where its disk begins: a whole qcow2 file whose base is a file of the host. */
  let header: Buffer;
  let id: string;
  let disk: string;
  let body: DiskEnsure;
  beforeEach(async () => {
    secret = join(dir, 'secret');
    writeFileSync(secret, SECRET);
    const made = join(dir, 'header.qcow2');
    execFileSync('qemu-img', ['create', '-q', '-f', 'qcow2', '-F', 'raw', '-b', secret, made]);
    header = Buffer.alloc(256 << 10);
    readFileSync(made).copy(header);
    const written = join(dir, 'header');
    writeFileSync(written, header);
    // Opened by what it claims to be, it leads to the secret.
    expect(holds(written, 0x77)).toBe(true);

    id = newId();
    const image = upload(format === 'qcow2' ? qcow2Image('64M') : Buffer.alloc(1 << 20, 0x5a), format);
    body = { server_id: id, image, size: GIB, revision: 1 };
    disk = String((await driver.run('disk.ensure', id, body)).observed['path']);
    execFileSync('qemu-io', ['-f', 'qcow2', '-c', `write -s ${written} 0 256k`, disk]);
  });

  /** The first bytes of a qcow2 file's disk, as its guest sees them. */
  function firstBytes(path: string): Buffer {
    const seen = join(dir, 'seen.raw');
    execFileSync('qemu-img', ['dd', '-f', 'qcow2', '-O', 'raw', 'bs=256k', 'count=1', `if=${path}`, `of=${seen}`]);
    return readFileSync(seen);
  }

  /** No file was opened by what its first bytes claim, nor without limits. */
  function expectFormats(used: readonly string[]): void {
    const formats: Record<string, RegExp> = {
      create: / -f qcow2 -u -F (qcow2|raw) -b base-r1 /,
      resize: / -f qcow2 /,
      convert: / -O qcow2 json:\{"driver":"qcow2","file":\{"driver":"file",.*"backing":\{"driver":"(qcow2|raw)",/,
    };
    const calls = commands.filter((argv) => argv.includes('qemu-img')).map((argv) => argv.join(' '));
    const verbOf = (call: string): string => / qemu-img (\w+) /.exec(call)?.[1] ?? call;
    expect(calls.map(verbOf)).toEqual(used);
    for (const call of calls) {
      expect(call).toMatch(/^prlimit --as=1073741824 --cpu=\d+ --core=0 -- qemu-img /);
      expect(call).toMatch(formats[verbOf(call)] ?? 'a call that no format is asserted of');
    }
  }

  test('CVE-2015-7548, CVE-2016-2140: gets nothing of the host into a snapshot', async () => {
    const image_id = newId();
    const snapshot = { server_id: id, image_id, revision: 1, base_format: format };
    for (const step of ['prepare', 'flatten', 'upload'] as const)
      expect(await driver.run(`snapshot.${step}`, id, snapshot)).toMatchObject({ fault: null });
    const stored = join(dir, 'stored.qcow2');
    writeFileSync(stored, api.stored.get(image_id) ?? '');
    expect(info(stored)).not.toHaveProperty('backing-filename');
    expect(firstBytes(stored).equals(header)).toBe(true);
    expect(readFileSync(stored).includes(SECRET.subarray(0, 4096))).toBe(false);
    expectFormats(['create', 'convert']);
  });

  test('CVE-2026-24708: changes nothing of the host when its disk grows', async () => {
    expect(await driver.run('disk.ensure', id, { ...body, size: 2 * GIB })).toMatchObject({ fault: null });
    expect(info(disk)).toMatchObject({
      'virtual-size': 2 * GIB,
      'full-backing-filename': join(dir, 'disks', id, 'base-r1'),
      'backing-filename-format': format,
    });
    expect(firstBytes(disk).equals(header)).toBe(true);
    expect(readFileSync(secret).equals(SECRET)).toBe(true);
    expectFormats(['create', 'resize']);
  });

  test('CVE-2026-24708: a disk whose file has become one of another format is not opened', async () => {
    const other = `# Disk DescriptorFile\nversion=1\ncreateType="monolithicFlat"\nRW 2048 FLAT "${secret}" 0\n`;
    writeFileSync(disk, other);
    const grown = await driver.run('disk.ensure', id, { ...body, size: 2 * GIB });
    expect(grown.fault).toMatchObject({ code: 'disk_damaged', retryable: false });
    expect(readFileSync(disk, 'utf8')).toBe(other);
    expect(readFileSync(secret).equals(SECRET)).toBe(true);
    expectFormats(['create']);
  });
});
