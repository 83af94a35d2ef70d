// The hosts' contract: agents register, bring the host in line, drop what is late, and let the newest command win.
import { setTimeout as pause } from 'node:timers/promises';
import { newId } from '@cumulet/common';
import { eventually } from '../busContract';
import { done, type ContractScene } from './scene';

/** Declares the tests. */
export function agentContract(scene: ContractScene): void {
  const answers = (task: string) => scene.controller.driver.replies.filter((reply) => reply.task === task);

  test('all three register with what the host has', () => {
    const { registrations } = scene.controller.api;
    const of = (role: string) => registrations.find((one) => one.role === role)?.inventory;
    const number = expect.any(Number);
    expect(of('compute')).toMatchObject({
      vcpus: number,
      memory_mib: number,
      disk_gib: number,
      hypervisor_type: 'QEMU',
      hypervisor_version: number,
      libvirt_version: expect.stringMatching(/^\d+\.\d+\.\d+$/),
      virt_type: expect.stringMatching(/^(kvm|qemu)$/),
      cpu_info: { arch: 'x86_64', topology: { cores: number } },
      traits: expect.arrayContaining(['COMPUTE_NODE', 'HW_ARCH_X86_64']),
    });
    expect(of('storage')).toMatchObject({ disk_gib: number, disk_free_gib: number });
    expect(of('network')).toMatchObject({ physical_networks: expect.any(Array) });
  });

  test('a command of another session, or of an older generation, is dropped without an answer', async () => {
    const { controller } = scene;
    const server = await scene.boot();
    const { server_id: id } = server;
    await scene.ensure(server, 5);
    const late = await controller.send('server.remove', id, { server_id: id }, { generation: 4 });
    const strange = await controller.send(
      'server.remove',
      id,
      { server_id: id },
      { generation: 6, session: controller.session('compute') - 1 },
    );
    expect(await scene.ensure({ ...server, power: 'unchanged' }, 5)).toMatchObject(done({ power: 'running' }));
    expect([...answers(late), ...answers(strange)]).toEqual([]);
  });

  test('a newer command takes over from one that waits for the guest, which gets no answer', async () => {
    const { controller } = scene;
    const server = await scene.boot();
    const { server_id: id } = server;
    const off = { ...server, power: 'shutdown' as const };
    const waiting = await controller.send('server.ensure', id, off, { generation: 2 });
    await pause(300);
    expect(await scene.ensure(server, 3)).toMatchObject(done({ power: 'running' }));
    expect(answers(waiting)).toEqual([]);
  });

  test('new agents remove what is not expected, keep the rest, say what is there, and drop what is late', async () => {
    const { controller, host } = scene;
    const [kept, lost] = [await scene.boot(), await scene.boot()];
    const gone = newId();
    const expected = [kept.server_id, gone].map((id) => ({ id, generation: 7 }));
    for (const role of ['compute', 'storage'] as const) controller.expect(role, expected);
    const [registered, session] = [controller.api.registrations.length, controller.session('compute')];
    controller.change([], [scene.portOf(lost)]);
    await host.stop();
    const before = controller.api.reports.length;
    await host.start();
    const news = controller.api.registrations.slice(registered);
    expect(news.map(({ role }) => role).sort()).toEqual(['compute', 'network', 'storage']);
    expect(controller.session('compute')).toBeGreaterThan(session);
    expect(controller.api.reports.slice(before)).toEqual(
      expect.arrayContaining([
        { id: kept.server_id, power: 'running' },
        { id: gone, power: 'shutdown', why: expect.any(String) },
      ]),
    );
    expect(await scene.kindsOf(kept.server_id)).toEqual(expect.arrayContaining(['disk', 'domain']));
    expect(await scene.kindsOf(lost.server_id)).toEqual([]);
    await eventually('the end of the tap', async () => (await scene.kindsOf(scene.portOf(lost).id)).length === 0);
    expect(await scene.kindsOf(scene.portOf(kept).id)).toContain('tap');
    // The generation that the controller names holds before the first command.
    const late = await controller.send(
      'server.remove',
      kept.server_id,
      { server_id: kept.server_id },
      { generation: 6 },
    );
    expect(await scene.ensure(kept, 7)).toMatchObject(done({ power: 'running' }));
    expect(answers(late)).toEqual([]);
    for (const role of ['compute', 'storage'] as const) controller.expect(role, []);
  });
}
