// The hosts' contract: disks are made, copied, handed to other hosts and removed.
import { createHash } from 'node:crypto';
import { Readable } from 'node:stream';
import { HostError, newId, type DiskAdopt } from '@cumulet/common';
import { done, failed, upload, type ContractScene } from './scene';

/** Declares the tests. */
export function diskContract(scene: ContractScene): void {
  const adopt = (id: string, revision: number, from: DiskAdopt['from'], generation = 2) =>
    scene.controller.run('disk.adopt', id, { server_id: id, image: scene.image, revision, from }, { generation });
  /** What another host sends for a server. */
  const offer = (id: string, bytes: Buffer): void =>
    void scene.controller.api.disks.set(id, () =>
      Promise.resolve({ size: bytes.length, stream: Readable.from([bytes]) }),
    );
  const missing = (id: string, revision: number) =>
    expect(scene.host.api.openDisk(id, revision)).rejects.toThrow(HostError);

  test('a disk is made once, and is where the answer says', async () => {
    const { disk, server_id: id } = await scene.prepare();
    expect(disk).toMatchObject({ path: expect.stringContaining(id), format: 'qcow2' });
    expect(disk.backing).toMatchObject({ path: expect.any(String), format: 'raw' });
    expect((await scene.ensureDisk(id)).observed).toEqual(disk);
    expect(await scene.kindsOf(id)).toContain('disk');
  });

  test('another revision is another file, and the one before stays only if it is kept', async () => {
    const { disk, server_id: id } = await scene.prepare();
    const second = await scene.ensureDisk(id, { revision: 2, keep: [1] }, 2);
    expect(second.observed['path']).not.toBe(disk.path);
    for (const revision of [1, 2]) await scene.diskBytes(id, revision);
    expect(await scene.ensureDisk(id, { revision: 2 }, 3)).toMatchObject(done({ path: second.observed['path'] }));
    await missing(id, 1);
    await scene.diskBytes(id, 2);
  });

  test('a disk that is smaller than its image is refused for good', async () => {
    const { server_id: id } = await scene.prepare();
    const small = await scene.ensureDisk(id, { revision: 2, size: 1 << 19, keep: [1] }, 2);
    expect(small).toMatchObject(failed('disk_too_small', false));
  });

  test('an image that can not be had, or arrives damaged, is worth another try', async () => {
    const { server_id: id } = await scene.prepare();
    const { api } = scene.controller;
    const image = upload(scene.controller, Buffer.alloc(1 << 20, 0x5b));
    api.images.delete(image.digest);
    const fetch = () => scene.ensureDisk(id, { image, revision: 2, keep: [1] }, 2);
    expect(await fetch()).toMatchObject(failed('image_unavailable', true));
    api.images.set(image.digest, Buffer.alloc(1 << 20, 0x5c));
    expect(await fetch()).toMatchObject(failed('image_damaged', true));
    upload(scene.controller, Buffer.alloc(1 << 20, 0x5b));
    expect(await fetch()).toMatchObject(done());
  });

  test('an image is fetched once for all disks, and other hosts can have it', async () => {
    await scene.prepare();
    const { digest, size } = scene.image;
    const fetched = scene.controller.api.opened.filter((one) => one === digest).length;
    await scene.prepare();
    expect(scene.controller.api.opened.filter((one) => one === digest)).toHaveLength(fetched);
    const { size: total, stream } = await scene.host.api.openImage(digest, 1000);
    expect([total, Buffer.concat((await stream.toArray()) as Buffer[]).length]).toEqual([size, size - 1000]);
    await expect(scene.host.api.openImage('0'.repeat(128), 0)).rejects.toThrow(HostError);
  });

  test('a disk is sent with its digest; one that is not there is not', async () => {
    const { server_id: id } = await scene.prepare();
    const bytes = await scene.diskBytes(id, 1);
    const digest = createHash('sha512').update(bytes.subarray(0, -64)).digest();
    expect(digest.equals(bytes.subarray(-64))).toBe(true);
    await missing(id, 2);
    await missing(newId(), 1);
  });

  test('a copy of a disk stands beside it; without the original there is none', async () => {
    const { server_id: id } = await scene.prepare();
    const here = { revision: 1, elsewhere: false };
    expect(await adopt(id, 3, { revision: 2, elsewhere: false })).toMatchObject(failed('disk_failed', true));
    for (let i = 0; i < 2; i++) expect(await adopt(id, 2, here)).toMatchObject(done());
    for (const revision of [1, 2]) await scene.diskBytes(id, revision);
    const body = { server_id: id, revision: 1 };
    for (let i = 0; i < 2; i++)
      expect(await scene.controller.run('disk.remove', id, body, { generation: 3 })).toMatchObject(done());
    await missing(id, 1);
    await scene.diskBytes(id, 2);
  });

  test('a disk comes from another host whole, or not at all', async () => {
    const { server_id: id } = await scene.prepare();
    const bytes = await scene.diskBytes(id, 1);
    await scene.removeDisk(id, 2);
    const damaged = Buffer.from(bytes);
    damaged.writeUInt8(damaged.readUInt8(0) ^ 1, 0);
    offer(id, damaged);
    const there = { revision: 1, elsewhere: true };
    expect(await adopt(id, 2, there, 3)).toMatchObject(failed('disk_damaged', true));
    await missing(id, 2);
    offer(id, bytes);
    expect(await adopt(id, 2, there, 3)).toMatchObject(done());
    // Told again, it does not fetch what the guest may have changed by then.
    scene.controller.api.disks.delete(id);
    expect(await adopt(id, 2, there, 3)).toMatchObject(done());
    await scene.diskBytes(id, 2);
  });

  test('where hosts share no disks none is found', async () => {
    const { server_id: id } = await scene.prepare();
    const from = { host: 'h2', card: newId() };
    const body = { server_id: id, base_format: 'raw' as const, revision: 1, from, take: true };
    expect(await scene.controller.run('disk.find', id, body)).toMatchObject(failed('disks_not_shared', false));
  });

  test('a disk is gone after its removal, which can come twice', async () => {
    const { server_id: id } = await scene.prepare();
    for (let i = 0; i < 2; i++) expect(await scene.removeDisk(id)).toMatchObject(done());
    expect(await scene.kindsOf(id)).toEqual([]);
  });
}
