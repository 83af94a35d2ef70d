// The hosts' contract: ports come and go with the change feed, and commands wait for it.
import type { Reply } from '@cumulet/common';
import { eventually } from '../busContract';
import { done, failed, type ContractScene } from './scene';

/** Declares the tests. */
export function portContract(scene: ContractScene): void {
  test('of the feed are wired and reported; asked again, the answer is the same', async () => {
    const server = await scene.prepare();
    const port = scene.portOf(server);
    expect(await scene.ensurePorts(server.server_id, [port])).toMatchObject(done({ wired: true }));
    await eventually('the report', () => scene.controller.ports.get(port.id) === true);
    expect(await scene.kindsOf(port.id)).toContain('tap');
    expect(await scene.kindsOf(scene.network.id)).toContain('bridge');
  });

  test('can be asked to be made, which says nothing of their wires', async () => {
    const server = await scene.prepare();
    const body = { port_ids: [scene.portOf(server).id], sequence: 1, until: 'made' as const };
    expect(await scene.controller.run('ports.ensure', server.server_id, body)).toMatchObject(done({ wired: false }));
  });

  test('follow the feed when there is a hint, without a command', async () => {
    const { controller } = scene;
    const server = await scene.prepare();
    const port = scene.portOf(server);
    controller.change([], [port]);
    await controller.hint();
    await eventually('the end of the tap', async () => !(await scene.kindsOf(port.id)).includes('tap'));
    controller.ports.delete(port.id);
    controller.change([port]);
    await controller.hint();
    await eventually('the report', () => controller.ports.get(port.id) === true);
    expect(await scene.kindsOf(port.id)).toContain('tap');
    controller.change([], [port, scene.network]);
    await controller.hint();
    await eventually('the end of the bridge', async () => (await scene.kindsOf(scene.network.id)).length === 0);
  });

  test('that the feed does not name are refused, and so is a sequence that does not come', async () => {
    const { server_id: id } = await scene.prepare();
    expect(await scene.ensurePorts(id, [scene.stranger()])).toMatchObject(failed('port_not_here', true));
    expect(await scene.ensurePorts(id, [], scene.controller.change([]) + 1)).toMatchObject(failed('feed_behind', true));
  });

  test('wait for a controller that does not answer', async () => {
    const server = await scene.prepare();
    const { api } = scene.controller;
    const networkChanges = api.networkChanges.bind(api);
    api.networkChanges = () => Promise.reject(new Error('no controller answers'));
    try {
      const sequence = scene.controller.change([]);
      const answer = await scene.ensurePorts(server.server_id, [scene.portOf(server)], sequence);
      expect(answer).toMatchObject({ outcome: 'failed', fault: { retryable: true } });
    } finally {
      api.networkChanges = networkChanges;
    }
    expect(await scene.ensurePorts(server.server_id, [scene.portOf(server)])).toMatchObject(done({ wired: true }));
  });

  test('are taken off when the feed has let them go, not before', async () => {
    const server = await scene.prepare();
    const { controller } = scene;
    const port = scene.portOf(server);
    const takeOff = (sequence: number): Promise<Reply> =>
      controller.run('ports.remove', server.server_id, { port_ids: [port.id], sequence }, { generation: 2 });
    expect(await takeOff(controller.change([]))).toMatchObject(failed('port_still_here', true));
    const sequence = controller.change([], [port]);
    for (let i = 0; i < 2; i++) expect(await takeOff(sequence)).toMatchObject(done({ wired: false }));
    expect(await scene.kindsOf(port.id)).toEqual([]);
  });
}
