// The client against the real storage and secret drivers: a directory pool, volumes as streams, secrets.
import { randomBytes, randomUUID } from 'node:crypto';
import { mkdir, readFile, symlink } from 'node:fs/promises';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { setTimeout as pause } from 'node:timers/promises';
import { ErrorCode, LibvirtClient } from '@cumulet/libvirt';
import type { PoolReference, VolumeReference } from '@cumulet/libvirt';
import { startPrivateLibvirtd } from '../support/privateLibvirtd';
import type { PrivateLibvirtd } from '../support/privateLibvirtd';

const SIZE = 3_000_001;
const name = `cml-test-storage-${randomUUID().slice(0, 8)}`;
const volumeXml = (volume: string, bytes: number): string =>
  `<volume><name>${volume}</name><capacity unit='B'>${bytes}</capacity><target><format type='raw'/></target></volume>`;
const poolXml = (): string =>
  `<pool type='dir'><name>${name}</name><target><path>${directory}/pool</path></target></pool>`;

let daemon: PrivateLibvirtd;
let directory: string;
let client: LibvirtClient;
let pool: PoolReference;

async function bytesOf(stream: Readable): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of stream) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks);
}

beforeAll(async () => {
  daemon = await startPrivateLibvirtd();
  directory = daemon.directory;
  // A modular installation as seen from its sockets, with one real daemon behind them.
  await mkdir(join(directory, 'modular'));
  for (const service of ['virtqemud', 'virtstoraged', 'virtsecretd', 'virtnwfilterd', 'virtnetworkd']) {
    await symlink(daemon.socketPath, join(directory, 'modular', `${service}-sock`));
  }
});
afterAll(() => daemon?.stop());

describe.each(['monolithic', 'modular'])('with a %s daemon', (kind) => {
  beforeAll(async () => {
    client = await LibvirtClient.connect({
      socketPath: kind === 'modular' ? join(directory, 'modular', 'virtqemud-sock') : daemon.socketPath,
    });
    pool = await client.definePool(poolXml());
    await client.buildPool(pool);
    await client.startPool(pool);
  });
  afterAll(async () => {
    for (const volume of await client.volumes(pool)) await client.deleteVolume(volume);
    for (let i = 0; i < 2; i++) await client.destroyPool(pool);
    for (let i = 0; i < 2; i++) await client.undefinePool(pool);
    await client.close();
  });

  test('pools are listed, found, described and absent', async () => {
    expect(await client.pools()).toContainEqual(pool);
    expect(await client.lookupPool(name)).toEqual(pool);
    expect(await client.lookupPool(`${name}-none`)).toBeUndefined();
    expect(await client.poolInfo(pool)).toMatchObject({ state: 'running' });
    expect(await client.poolXml(pool)).toContain(`${directory}/pool`);
    await client.setPoolAutostart(pool, true);
    await client.setPoolAutostart(pool, false);
    await client.refreshPool(pool);
  });

  test('a volume is made once, found, grown, cloned, wiped and deleted', async () => {
    const volume = await client.createVolume(pool, volumeXml('a', 4096));
    expect(await client.ensureVolume(pool, 'a', 4096, volumeXml('a', 4096))).toEqual(volume);
    await expect(client.ensureVolume(pool, 'a', 8192, volumeXml('a', 8192))).rejects.toMatchObject({
      code: ErrorCode.STORAGE_VOL_EXIST,
    });
    expect(await client.volumes(pool)).toContainEqual(volume);
    expect(await client.lookupVolume(pool, 'a')).toEqual(volume);
    expect(await client.lookupVolume(pool, 'none')).toBeUndefined();
    expect(await client.lookupVolumeByPath(await client.volumePath(volume))).toEqual(volume);
    expect(await client.volumeXml(volume)).toContain('<volume');
    await client.resizeVolume(volume, 8192);
    expect(await client.volumeInfo(volume)).toMatchObject({ type: 'file', capacity: 8192 });
    const clone = await client.cloneVolume(pool, volumeXml('b', 8192), volume);
    await client.wipeVolume(clone);
    for (const each of [volume, clone]) for (let i = 0; i < 2; i++) await client.deleteVolume(each);
    expect(await client.lookupVolume(pool, 'a')).toBeUndefined();
  });

  describe('a volume as a stream', () => {
    const data = randomBytes(SIZE);
    let volume: VolumeReference;
    beforeAll(async () => {
      volume = await client.createVolume(pool, volumeXml('stream', SIZE));
      await pipeline(Readable.from([data.subarray(0, 1), data.subarray(1)]), await client.uploadVolume(volume));
    });

    test('holds exactly what was uploaded when the upload has finished', async () => {
      expect((await readFile(await client.volumePath(volume))).equals(data)).toBe(true);
    });

    test('gives back the same bytes, whole and in part, many times at once', async () => {
      const whole = await Promise.all(
        Array.from({ length: 8 }, async () => bytesOf(await client.downloadVolume(volume))),
      );
      expect(whole.every((bytes) => bytes.equals(data))).toBe(true);
      const part = await bytesOf(await client.downloadVolume(volume, { offset: 10, length: 20 }));
      expect(part.equals(data.subarray(10, 30))).toBe(true);
    });

    test('waits for a slow reader and loses nothing', async () => {
      const stream = await client.downloadVolume(volume);
      const chunks: Buffer[] = [];
      for await (const chunk of stream) {
        chunks.push(chunk as Buffer);
        expect(stream.readableLength).toBeLessThan(SIZE / 2);
        await pause(2);
      }
      expect(Buffer.concat(chunks).equals(data)).toBe(true);
    });

    test('may be given up half-way', async () => {
      const stream = await client.downloadVolume(volume);
      const closed = new Promise((resolve) => stream.once('close', resolve));
      stream.destroy();
      await closed;
      expect(await client.volumeInfo(volume)).toMatchObject({ capacity: SIZE });
    });

    test('refuses more than fits, with the reason', async () => {
      const upload = pipeline(Readable.from([data]), await client.uploadVolume(volume, { length: 100 }));
      await expect(upload).rejects.toMatchObject({ name: 'LibvirtError', code: ErrorCode.SYSTEM_ERROR });
    });

    test('refuses to open what does not exist', async () => {
      await expect(client.downloadVolume({ ...volume, name: 'none', key: 'none' })).rejects.toMatchObject({
        code: ErrorCode.NO_STORAGE_VOL,
      });
    });
  });

  test('secrets are kept, found by uuid and usage, and removed', async () => {
    const uuid = randomUUID();
    const xml = `<secret ephemeral='yes' private='yes'><uuid>${uuid}</uuid>
      <usage type='iscsi'><target>${name}</target></usage></secret>`;
    const secret = await client.defineSecret(xml);
    expect(secret).toEqual({ uuid, usageType: 3, usageID: name });
    await client.setSecretValue(secret, Buffer.from('chap secret'));
    expect(await client.secrets()).toContainEqual(secret);
    expect(await client.lookupSecret(uuid)).toEqual(secret);
    expect(await client.lookupSecretByUsage('iscsi', name)).toEqual(secret);
    for (let i = 0; i < 2; i++) await client.undefineSecret(secret);
    expect(await client.lookupSecret(uuid)).toBeUndefined();
  });

  test('network filters and networks are found or absent', async () => {
    const filter = await client.defineFilter(`<filter name='${name}' chain='root'/>`);
    expect(await client.lookupFilter(name)).toEqual(filter);
    for (let i = 0; i < 2; i++) await client.undefineFilter(filter);
    expect(await client.lookupFilter(name)).toBeUndefined();
    expect(await client.networks()).toBeInstanceOf(Array);
    expect(await client.lookupNetwork(`${name}-none`)).toBeUndefined();
  });
});
