// The storage agent with real qemu-img and files: disks made, copied, repeated, grown, remade, removed; a disk that fills up.
import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { PassThrough, Readable } from 'node:stream';
import { CumuletError, newId } from '@cumulet/common';
import { sha512 } from '../support/fakeAgentApi';
import { GIB, holds, info, storageScene } from '../support/storageScene';

const scene = storageScene();
const { qcow2Image, startAgent, upload } = scene;

test.each(['qcow2', 'raw'] as const)('a disk on a %s image: made, repeated, grown, remade, removed', async (format) => {
  const image = upload(format === 'qcow2' ? qcow2Image('64M') : Buffer.alloc(1 << 20, 0x5a), format);
  const id = newId();
  const body = { server_id: id, image, size: GIB, revision: 1 };

  const made = await scene.driver.run('disk.ensure', id, body);
  const path = join(scene.dir, 'disks', id, 'disk-r1.qcow2');
  const backing = { path: join(scene.dir, 'disks', id, 'base-r1'), format };
  expect(made).toMatchObject({ outcome: 'done', observed: { path, format: 'qcow2', backing } });
  expect(info(path)).toMatchObject({
    format: 'qcow2',
    'virtual-size': GIB,
    'full-backing-filename': backing.path,
    'backing-filename-format': format,
  });
  expect(holds(path, 0x5a)).toBe(true);
  expect(statSync(join(scene.dir, 'disks', id)).mode & 0o777).toBe(0o711);
  expect(statSync(path).mode & 0o777).toBe(0o600);

  execFileSync('qemu-io', ['-f', 'qcow2', '-c', 'write -P 0x11 0 4k', path]);
  const repeated = await scene.driver.run('disk.ensure', id, body);
  expect(repeated.observed).toEqual(made.observed);
  expect(holds(path, 0x11)).toBe(true);
  expect(scene.api.opened).toHaveLength(1);

  await scene.driver.run('disk.ensure', id, { ...body, size: 2 * GIB });
  expect(info(path)['virtual-size']).toBe(2 * GIB);
  expect(holds(path, 0x11)).toBe(true);

  const remade = await scene.driver.run('disk.ensure', id, { ...body, size: 2 * GIB, revision: 2 });
  expect(readdirSync(join(scene.dir, 'disks', id)).sort()).toEqual(['base-r2', 'disk-r2.qcow2']);
  expect(holds(String(remade.observed['path']), 0x5a)).toBe(true);
  expect(await scene.agent.inventoryOfResources()).toContainEqual({ kind: 'disk', id, name: remade.observed['path'] });

  for (let i = 0; i < 2; i++)
    expect(await scene.driver.run('disk.remove', id, { server_id: id })).toMatchObject({ outcome: 'done' });
  expect(readdirSync(join(scene.dir, 'disks'))).toEqual([]);
  expect(await scene.agent.inventoryOfResources()).toEqual([]);
});

test('disks of every kind are what qemu-img makes of it, the first and those from memory; none has anything of another', async () => {
  const images = [upload(qcow2Image('64M'), 'qcow2'), upload(Buffer.alloc(1 << 20, 0x5a), 'raw')];
  const kinds = images.flatMap((image) => [1, 2, 3].map((gib) => ({ image, size: gib * GIB })));
  for (const { image, size } of [...kinds, ...kinds]) {
    const id = newId();
    const made = await scene.driver.run('disk.ensure', id, { server_id: id, image, size, revision: 1 });
    const path = String(made.observed['path']);
    const reference = join(scene.dir, 'reference.qcow2');
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
  const diskPath = (id: string, revision: number): string => join(scene.dir, 'disks', id, `disk-r${revision}.qcow2`);

  async function serverWithDisk(format: 'qcow2' | 'raw' = 'raw') {
    const image = upload(format === 'qcow2' ? qcow2Image('64M') : Buffer.alloc(1 << 20, 0x5a), format);
    const disk = { server_id: newId(), image, size: GIB, revision: 1 };
    await scene.driver.run('disk.ensure', disk.server_id, disk);
    write(diskPath(disk.server_id, 1), 0x11);
    return disk;
  }

  test.each(['qcow2', 'raw'] as const)('stands on its own %s base; each of the two can go', async (format) => {
    const { server_id: id, image, size } = await serverWithDisk(format);
    const adopt = { server_id: id, image, revision: 2, from: { revision: 1, elsewhere: false } };
    for (let i = 0; i < 2; i++)
      expect(await scene.driver.run('disk.adopt', id, adopt)).toMatchObject({ outcome: 'done', observed: {} });
    const grown = { server_id: id, image, size: 2 * size, revision: 2, keep: [1] };
    expect(await scene.driver.run('disk.ensure', id, grown)).toMatchObject({ outcome: 'done' });
    expect(readdirSync(join(scene.dir, 'disks', id)).sort()).toEqual([
      'base-r1',
      'base-r2',
      'disk-r1.qcow2',
      'disk-r2.qcow2',
    ]);
    expect(info(diskPath(id, 2))).toMatchObject({
      'virtual-size': 2 * GIB,
      'full-backing-filename': join(scene.dir, 'disks', id, 'base-r2'),
      'backing-filename-format': format,
    });
    expect(statSync(diskPath(id, 2)).mode & 0o777).toBe(0o600);
    write(diskPath(id, 2), 0x22);
    expect([holds(diskPath(id, 1), 0x11), holds(diskPath(id, 2), 0x22)]).toEqual([true, true]);
    expect(info(diskPath(id, 1))['virtual-size']).toBe(GIB);
    // What the new one became stays when the command comes once more.
    await scene.driver.run('disk.adopt', id, adopt);
    expect(holds(diskPath(id, 2), 0x22)).toBe(true);
    for (let i = 0; i < 2; i++)
      expect(await scene.driver.run('disk.remove', id, { server_id: id, revision: 1 })).toMatchObject({
        outcome: 'done',
      });
    expect(readdirSync(join(scene.dir, 'disks', id)).sort()).toEqual(['base-r2', 'disk-r2.qcow2']);
    expect(holds(diskPath(id, 2), 0x22)).toBe(true);
  });

  const pieces = (bytes: Buffer, size: number): Buffer[] =>
    Array.from({ length: Math.ceil(bytes.length / size) }, (_, i) => bytes.subarray(i * size, (i + 1) * size));

  test.each([1, 63, 64, 65, 4096])(
    'comes from another host as it left it, also in pieces of %d bytes',
    async (size) => {
      const { server_id: id, image } = await serverWithDisk();
      const { size: total, stream } = await scene.agent.openDisk(id, 1);
      const sent = Buffer.concat((await stream.toArray()) as Buffer[]);
      expect(total).toBe(sent.length);
      // Pieces matter where the digest begins.
      const parts = [sent.subarray(0, -600), ...pieces(sent.subarray(-600), size)];
      scene.api.disks.set(id, () => Promise.resolve({ size: total, stream: Readable.from(parts) }));
      const adopt = { server_id: id, image, revision: 2, from: { revision: 1, elsewhere: true } };
      expect(await scene.driver.run('disk.adopt', id, adopt)).toMatchObject({ outcome: 'done' });
      expect(holds(diskPath(id, 2), 0x11)).toBe(true);
      expect(info(diskPath(id, 2))['full-backing-filename']).toBe(join(scene.dir, 'disks', id, 'base-r2'));
    },
  );

  test('stands on an image that another host can have, from any byte on', async () => {
    const { image } = await serverWithDisk();
    const whole = Buffer.concat((await (await scene.agent.openImage(image.digest, 0)).stream.toArray()) as Buffer[]);
    expect([whole.length, sha512(whole)]).toEqual([image.size, image.digest]);
    const { size, stream } = await scene.agent.openImage(image.digest, 100);
    const rest = Buffer.concat((await stream.toArray()) as Buffer[]);
    expect([size, rest.equals(whole.subarray(100))]).toEqual([image.size, true]);
    const unknown = 'a'.repeat(128);
    await expect(scene.agent.openImage(unknown, 0)).rejects.toMatchObject({ code: 'image_missing' });
    await expect(scene.agent.openImage('../disks', 0)).rejects.toMatchObject({ code: 'bad_digest' });
  });

  test('that arrives damaged or cut off, for which there is no room, or that is not there, is no disk', async () => {
    const { server_id: id, image } = await serverWithDisk();
    const sent = Buffer.concat((await (await scene.agent.openDisk(id, 1)).stream.toArray()) as Buffer[]);
    const damaged = Buffer.from(sent);
    damaged.writeUInt8(damaged.readUInt8(5000) ^ 1, 5000);
    const adopt = { server_id: id, image, revision: 2, from: { revision: 1, elsewhere: true } };
    const give = (bytes: Buffer, size = bytes.length): void =>
      void scene.api.disks.set(id, () => Promise.resolve({ size, stream: Readable.from([bytes]) }));
    for (const [bytes, size, code] of [
      [damaged, damaged.length, 'disk_damaged'],
      [sent.subarray(0, -100), sent.length, 'disk_damaged'],
      [Buffer.alloc(0), sent.length, 'disk_damaged'],
      [sent, 1e15, 'disk_full'],
    ] as const) {
      give(bytes, size);
      expect((await scene.driver.run('disk.adopt', id, adopt)).fault).toMatchObject({ code, retryable: true });
      expect(existsSync(diskPath(id, 2))).toBe(false);
    }
    scene.api.disks.set(id, () => Promise.reject(new CumuletError('unreachable', 'nobody there')));
    expect((await scene.driver.run('disk.adopt', id, adopt)).fault).toMatchObject({
      code: 'disk_failed',
      message: "the server's disk could not be copied",
    });
    const here = { ...adopt, from: { revision: 7, elsewhere: false } };
    expect((await scene.driver.run('disk.adopt', id, here)).fault).toMatchObject({ code: 'disk_failed' });
    await expect(scene.agent.openDisk(id, 7)).rejects.toMatchObject({ code: 'disk_missing' });
    await expect(scene.agent.openDisk('nobody', 1)).rejects.toMatchObject({ code: 'bad_server_id' });
    give(sent);
    expect(await scene.driver.run('disk.adopt', id, adopt)).toMatchObject({ outcome: 'done' });
    expect(readdirSync(join(scene.dir, 'disks', id)).sort()).toEqual([
      'base-r1',
      'base-r2',
      'disk-r1.qcow2',
      'disk-r2.qcow2',
    ]);
  });

  test('from a host in strange hands is looked at before QEMU opens it', async () => {
    const { server_id: id, image } = await serverWithDisk();
    const secret = join(scene.dir, 'secret');
    writeFileSync(secret, Buffer.alloc(1 << 20, 0x66));
    const evil = join(scene.dir, 'evil.qcow2');
    const come = async (revision: number) => {
      const bytes = readFileSync(evil);
      const sent = Buffer.concat([bytes, Buffer.from(sha512(bytes), 'hex')]);
      scene.api.disks.set(id, () => Promise.resolve({ size: sent.length, stream: Readable.from([sent]) }));
      scene.commands.length = 0;
      return scene.driver.run('disk.adopt', id, {
        server_id: id,
        image,
        revision,
        from: { revision: 1, elsewhere: true },
      });
    };
    execFileSync('qemu-img', ['create', '-q', '-f', 'qcow2', '-o', `data_file=${secret}`, evil, '1M']);
    expect((await come(2)).fault).toEqual({
      code: 'disk_refused',
      message: 'the disk from the host that the server leaves is refused: it has an external data file',
      retryable: false,
    });
    writeFileSync(evil, 'no disk at all');
    expect((await come(2)).fault?.message).toMatch(/it is not a qcow2 disk$/);
    expect(scene.commands).toEqual([]);
    // Another base is not opened either: the copy stands on the image.
    rmSync(evil);
    execFileSync('qemu-img', ['create', '-q', '-f', 'qcow2', '-F', 'raw', '-b', secret, evil, '1M']);
    expect(await come(3)).toMatchObject({ outcome: 'done' });
    expect(holds(diskPath(id, 3), 0x5a)).toBe(true);
  });

  test('tells how far it has come, and ends at once when the server is deleted', async () => {
    const { server_id: id, image } = await serverWithDisk();
    const stream = new PassThrough();
    scene.api.disks.set(id, () => Promise.resolve({ size: 1000, stream }));
    const adopt = { server_id: id, image, revision: 2, from: { revision: 1, elsewhere: true } };
    await scene.driver.send('disk.adopt', id, adopt);
    // It goes on to wait for more.
    for (let i = 0; i < 300; i++) if (!stream.write(Buffer.alloc(1 << 20))) await once(stream, 'drain');
    expect(await scene.driver.run('disk.remove', id, { server_id: id })).toMatchObject({ outcome: 'done' });
    expect(existsSync(join(scene.dir, 'disks', id))).toBe(false);
    expect(
      scene.driver.replies.some(({ outcome, observed }) => outcome === 'progress' && observed['copied_bytes']),
    ).toBe(true);
  });
});

test('an image that is larger than the disk is refused in words', async () => {
  const id = newId();
  const image = upload(qcow2Image('2G'), 'qcow2');
  const reply = await scene.driver.run('disk.ensure', id, { server_id: id, image, size: GIB, revision: 1 });
  expect(reply.fault).toEqual({
    code: 'disk_too_small',
    message: `the image needs a disk of ${2 * GIB} bytes, the server's has ${GIB}`,
    retryable: false,
  });
});

test('what a killed agent left is completed by the next one; what is not expected is removed', async () => {
  const image = upload(Buffer.alloc(4096, 1), 'raw');
  const [kept, gone] = [newId(), newId()];
  for (const id of [kept, gone])
    await scene.driver.run('disk.ensure', id, { server_id: id, image, size: GIB, revision: 1 });
  await scene.agent.stop();
  const directory = join(scene.dir, 'disks', kept);
  rmSync(join(directory, 'disk-r1.qcow2'));
  writeFileSync(join(directory, 'disk-r1.qcow2.part'), 'half an overlay');
  writeFileSync(join(scene.dir, 'images', `${image.digest}.part-1`), 'half an image');

  scene.api.expected = [{ id: kept, generation: 1 }];
  await startAgent();
  expect(existsSync(join(scene.dir, 'disks', gone))).toBe(false);
  expect(readdirSync(join(scene.dir, 'images'))).toEqual([image.digest]);
  const body = { server_id: kept, image, size: GIB, revision: 1 };
  expect(await scene.driver.run('disk.ensure', kept, body, { session: 2 })).toMatchObject({ outcome: 'done' });
  expect(readdirSync(directory).sort()).toEqual(['base-r1', 'disk-r1.qcow2']);
});

test('a disk that fills up is a fault in words, and works when there is room again', async () => {
  await scene.agent.stop();
  const mount = join(scene.dir, 'small');
  mkdirSync(mount);
  execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=1m', 'tmpfs', mount]);
  try {
    await startAgent(mount);
    const image = upload(Buffer.alloc(4096, 1), 'raw');
    writeFileSync(join(mount, 'filler'), Buffer.alloc(900 << 10));
    const id = newId();
    const body = { server_id: id, image, size: GIB, revision: 1 };
    const full = await scene.driver.run('disk.ensure', id, body, { session: 2 });
    expect(full.fault).toMatchObject({
      code: 'disk_full',
      message: "there is not enough space on the host for the server's disk",
      retryable: true,
    });
    const large = { ...image, digest: sha512(Buffer.from('large')), size: 1 << 21 };
    const refused = await scene.driver.run('disk.ensure', id, { ...body, image: large }, { session: 2 });
    expect(refused.fault?.message).toMatch(
      /^there is not enough space on the host for the image: 2 MiB are needed and \d MiB are free$/,
    );
    rmSync(join(mount, 'filler'));
    expect(await scene.driver.run('disk.ensure', id, body, { session: 2 })).toMatchObject({
      outcome: 'done',
      fault: null,
    });
  } finally {
    await scene.agent.stop();
    execFileSync('umount', [mount]);
  }
});

test('the registration says how much room there is', () => {
  expect(scene.api.registrations[0]).toEqual({
    host: 'h1',
    role: 'storage',
    inventory: { disk_gib: expect.any(Number), disk_free_gib: expect.any(Number) },
  });
});
