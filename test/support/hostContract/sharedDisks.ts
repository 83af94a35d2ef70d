// The hosts' contract where hosts have one directory of disks: a disk is one host's at a time, and what comes late does not touch it.
import { newId, type DiskFind } from '@cumulet/common';
import { done, failed, type ContractScene } from './scene';

/** Declares the tests. */
export function sharedDiskContract(scene: ContractScene): void {
  /** What the last registration of the storage agent said. */
  const told = (): Readonly<Record<string, unknown>> =>
    scene.controller.api.registrations.findLast(({ role }) => role === 'storage')?.inventory ?? {};
  const find = (id: string, changes: Partial<DiskFind> = {}, generation = 1) => {
    const from = { host: scene.controller.host, card: String(told()['shared_disks_card']) };
    const body = { server_id: id, base_format: 'raw' as const, revision: 1, from, take: false, ...changes };
    return scene.controller.run('disk.find', id, body, { generation });
  };

  test('it registers with the mark of the directory, and with a fresh card each time', async () => {
    const before = told();
    expect(before).toMatchObject({ shared_disks: expect.any(String), shared_disks_card: expect.any(String) });
    await scene.host.stop();
    await scene.host.start();
    expect(told()['shared_disks']).toBe(before['shared_disks']);
    expect(told()['shared_disks_card']).not.toBe(before['shared_disks_card']);
  });

  test('a disk is found by the card of who made it, and never made', async () => {
    const { disk, server_id: id } = await scene.prepare();
    expect(disk.shared).toBe(true);
    for (let i = 0; i < 2; i++) expect((await find(id)).observed).toEqual(disk);
    expect(await find(id, { revision: 2 })).toMatchObject(failed('disk_missing', false));
    expect(await find(newId())).toMatchObject(failed('disk_missing', false));
    const from = { host: scene.controller.host, card: newId() };
    expect(await find(id, { from })).toMatchObject(failed('disks_not_shared', false));
  });

  test('what comes late for a disk that was given to another host is refused, or leaves it alone', async () => {
    const { controller, host } = scene;
    const { server_id: id } = await scene.prepare();
    expect(await find(id, { take: true }, 5)).toMatchObject(done());
    // An agent that was told nothing of it, as on another host.
    controller.expect('storage', [{ id, generation: 0 }]);
    await host.stop();
    await host.start();
    expect(await scene.ensureDisk(id, {}, 3)).toMatchObject(failed('disk_elsewhere', false));
    const body = { server_id: id, image: scene.image, revision: 2, from: { revision: 1, elsewhere: false } };
    expect(await controller.run('disk.adopt', id, body, { generation: 3 })).toMatchObject(
      failed('disk_elsewhere', false),
    );
    expect(await find(id, { take: true }, 4)).toMatchObject(failed('disk_elsewhere', false));
    expect(await scene.removeDisk(id, 4)).toMatchObject(done());
    await scene.diskBytes(id, 1);
    expect(await scene.ensureDisk(id, {}, 6)).toMatchObject(done());
    controller.expect('storage', []);
  });
}
