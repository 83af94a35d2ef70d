// Snapshots that the storage agent makes with real qemu-img: flat, whole, streamed, removed; refused in words.
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readdirSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { CumuletError, newId } from '@cumulet/common';
import { GIB, holds, info, storageScene } from '../support/storageScene';

const scene = storageScene();
const { qcow2Image, upload } = scene;

describe('snapshots', () => {
  const image_id = newId();
  const file = (id: string): string => join(scene.dir, 'disks', id, `snapshot-${image_id}.qcow2`);
  const body = (server_id: string, base_format: 'qcow2' | 'raw') => ({ server_id, image_id, revision: 1, base_format });
  async function server(format: 'qcow2' | 'raw'): Promise<{ id: string; disk: string }> {
    const image = upload(format === 'qcow2' ? qcow2Image('64M') : Buffer.alloc(1 << 20, 0x5a), format);
    const id = newId();
    const made = await scene.driver.run('disk.ensure', id, { server_id: id, image, size: GIB, revision: 1 });
    const disk = String(made.observed['path']);
    execFileSync('qemu-io', ['-f', 'qcow2', '-c', 'write -P 0x11 1M 4k', disk]);
    return { id, disk };
  }

  test.each(['qcow2', 'raw'] as const)(
    'of a disk on a %s image is flat, whole, streamed and removed',
    async (format) => {
      const { id, disk } = await server(format);
      const snapshot = body(id, format);
      const prepared = await scene.driver.run('snapshot.prepare', id, snapshot);
      expect(prepared).toMatchObject({ outcome: 'done', observed: { path: file(id) } });
      for (let i = 0; i < 2; i++)
        expect(await scene.driver.run('snapshot.flatten', id, snapshot)).toMatchObject({ fault: null });
      expect(info(file(id))).not.toHaveProperty('backing-filename');
      expect(statSync(file(id)).mode & 0o777).toBe(0o600);
      execFileSync('qemu-img', ['compare', '-q', '-f', 'qcow2', '-F', 'qcow2', disk, file(id)]);
      for (let i = 0; i < 2; i++)
        expect(await scene.driver.run('snapshot.upload', id, snapshot)).toMatchObject({ fault: null });
      const stored = join(scene.dir, 'stored.qcow2');
      writeFileSync(stored, scene.api.stored.get(image_id) ?? '');
      execFileSync('qemu-img', ['compare', '-q', '-f', 'qcow2', '-F', 'qcow2', disk, stored]);
      for (let i = 0; i < 2; i++)
        expect(await scene.driver.run('snapshot.remove', id, snapshot)).toMatchObject({ fault: null });
      expect(readdirSync(join(scene.dir, 'disks', id)).sort()).toEqual(['base-r1', 'disk-r1.qcow2']);
    },
  );

  test('never hold what a disk’s own header names as its base', async () => {
    const { id, disk } = await server('raw');
    const secret = join(scene.dir, 'secret');
    writeFileSync(secret, Buffer.alloc(1 << 20, 0x77));
    execFileSync('qemu-img', ['rebase', '-u', '-f', 'qcow2', '-F', 'raw', '-b', secret, disk]);
    await scene.driver.run('snapshot.flatten', id, body(id, 'raw'));
    expect(holds(file(id), 0x5a)).toBe(true);
  });

  test('that somebody made with a base of its own is not given away', async () => {
    const { id } = await server('raw');
    execFileSync('qemu-img', ['create', '-q', '-f', 'qcow2', '-F', 'raw', '-b', '/etc/passwd', file(id)]);
    const answer = await scene.driver.run('snapshot.upload', id, body(id, 'raw'));
    expect(answer.fault).toMatchObject({ code: 'snapshot_damaged', retryable: false });
    expect(scene.api.stored.size).toBe(0);
  });

  test('are refused of a disk that is in use, fail for good when the image service says so, and in words', async () => {
    const { id, disk } = await server('qcow2');
    const holder = spawn('qemu-io', ['-f', 'qcow2', disk], { stdio: ['pipe', 'pipe', 'ignore'] });
    await once(holder.stdout, 'data');
    const busy = await scene.driver.run('snapshot.flatten', id, body(id, 'qcow2'));
    expect(busy.fault).toMatchObject({ code: 'snapshot_failed', retryable: true });
    expect(busy.fault?.message).not.toContain('/');
    holder.stdin.end('quit\n');
    await once(holder, 'exit');
    await scene.driver.run('snapshot.flatten', id, body(id, 'qcow2'));
    scene.api.storeImage = () => Promise.reject(new CumuletError('image_refused', 'the project is over its quota'));
    expect((await scene.driver.run('snapshot.upload', id, body(id, 'qcow2'))).fault).toEqual({
      code: 'image_refused',
      message: 'the project is over its quota',
      retryable: false,
    });
    scene.api.storeImage = () => Promise.reject(new Error('no controller'));
    expect((await scene.driver.run('snapshot.upload', id, body(id, 'qcow2'))).fault).toMatchObject({
      code: 'upload_failed',
    });
    const missing = await scene.driver.run('snapshot.prepare', id, { ...body(id, 'qcow2'), revision: 9 });
    expect(missing.fault).toMatchObject({ code: 'snapshot_failed' });
    // What a broken attempt left goes when the disk is next looked at, and with the server.
    expect(await scene.driver.run('disk.remove', id, { server_id: id })).toMatchObject({ outcome: 'done' });
    expect(existsSync(file(id))).toBe(false);
  });
});
