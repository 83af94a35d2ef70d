// The hosts' contract: servers are started, switched, looked at and removed.
import { HostError, interfaceName, newId } from '@cumulet/common';
import { done, failed, type ContractScene } from './scene';

/** Declares the tests. */
export function serverContract(scene: ContractScene): void {
  const refuses = async (answer: Promise<unknown>): Promise<void> => {
    const error = await answer.then(
      () => undefined,
      (reason: unknown) => reason,
    );
    expect(error).toBeInstanceOf(HostError);
    expect(error).toMatchObject({ code: 'not_running', retryable: false });
  };

  test('a server runs, is told so again, and is gone with its log after its removal, which can come twice', async () => {
    const { api } = scene.host;
    const server = await scene.prepare();
    const { server_id: id } = server;
    expect(await api.consoleLog(id, 1000)).toHaveLength(0);
    for (let i = 0; i < 2; i++) expect(await scene.ensure(server)).toMatchObject(done({ power: 'running' }));
    expect(await scene.kindsOf(id)).toEqual(expect.arrayContaining(['disk', 'domain']));
    expect((await api.consoleLog(id, 3)).length).toBeLessThanOrEqual(3);
    for (let i = 0; i < 2; i++) expect(await scene.remove(id)).toMatchObject(done());
    expect(await api.consoleLog(id, 1000)).toHaveLength(0);
    expect(await scene.kindsOf(id)).not.toContain('domain');
    expect(await scene.kindsOf(id)).toContain('disk');
  });

  test('it goes through its power states, each as often as it is asked; what is in an answer is not reported too', async () => {
    const { reports } = scene.controller.api;
    const before = reports.length;
    const server = await scene.prepare();
    for (const power of ['running', 'paused', 'running', 'suspended', 'running', 'paused', 'shutdown'] as const)
      for (let i = 0; i < 2; i++) expect(await scene.ensure({ ...server, power })).toMatchObject(done({ power }));
    expect(await scene.ensure({ ...server, power: 'suspended' })).toMatchObject(failed('not_running', false));
    expect(await scene.ensure({ ...server, power: 'unchanged' })).toMatchObject(done({ power: 'shutdown' }));
    expect(reports.slice(before).filter(({ id, power }) => id === server.server_id && power !== 'shutdown')).toEqual(
      [],
    );
  });

  test('without a disk it is refused, and so is one of another revision', async () => {
    const server = await scene.prepare();
    await scene.ensureDisk(server.server_id, { revision: 2 });
    expect(await scene.ensure(server)).toMatchObject(failed('disk_missing', true));
    await scene.removeDisk(server.server_id, 1);
    expect(await scene.ensure(server)).toMatchObject(failed('disk_missing', true));
    expect(await scene.kindsOf(server.server_id)).not.toContain('domain');
  });

  test('whose port is not wired it is refused when it shall run, and is there by then', async () => {
    const server = await scene.prepare();
    const lacking = { ...server, interfaces: [{ port_id: newId(), mac: 'fa:16:3e:00:00:02', mtu: 1400 }] };
    expect(await scene.ensure(lacking)).toMatchObject(failed('port_missing', true));
    expect(await scene.kindsOf(server.server_id)).toContain('domain');
    expect(await scene.ensure({ ...lacking, power: 'shutdown' })).toMatchObject(done({ power: 'shutdown' }));
    expect(await scene.ensure(server)).toMatchObject(done({ power: 'running' }));
  });

  test('a guest that runs is looked at, also when it is paused; without a channel to an agent it takes no password', async () => {
    const { api } = scene.host;
    const server = await scene.boot({ vcpus: 2, config_drive: { a: '' } });
    const { server_id: id, interfaces } = server;
    const number = expect.any(Number);
    const traffic = { bytes: number, packets: number, errors: number, drops: number };
    for (const power of ['running', 'paused'] as const) {
      await scene.ensure({ ...server, power });
      const found = await api.diagnostics(id);
      expect(found).toMatchObject({
        cpuTimes: [number, number],
        maximumMemory: 64 * 1024,
        memory: { rss: number },
        hypervisor: expect.stringMatching(/^(kvm|qemu)$/),
      });
      const disk = {
        readRequests: number,
        readBytes: number,
        writeRequests: number,
        writeBytes: number,
        errors: number,
      };
      expect(found.disks).toEqual(['vda', 'vdz'].map((device) => ({ device, ...disk })));
      const device = interfaceName('tap', interfaces[0]?.port_id ?? '');
      expect(found.interfaces).toEqual([{ device, received: traffic, sent: traffic }]);
      for (const kind of scene.host.consoles) (await api.openConsole(id, kind)).destroy();
    }
    await refuses(api.setPassword(id, 'root', 'secret'));
  });

  test('a guest that does not run can not be looked at, nor one that is not there', async () => {
    const { api } = scene.host;
    const { server_id: off } = await scene.boot({ power: 'shutdown' });
    for (const id of [off, newId()]) {
      await refuses(api.diagnostics(id));
      for (const kind of ['serial', 'vnc'] as const) await refuses(api.openConsole(id, kind));
      await refuses(api.setPassword(id, 'root', 'secret'));
    }
  });

  test('a guest that ends is reported once, with the reason', async () => {
    const { reports } = scene.controller.api;
    const { server_id: id } = await scene.boot();
    await scene.host.powerOff(id);
    const told = () => reports.filter((one) => one.id === id && one.power === 'shutdown');
    for (let tries = 0; tries < 200 && told().length === 0; tries++) await new Promise((next) => setTimeout(next, 20));
    expect(told()).toEqual([{ id, power: 'shutdown', why: expect.any(String) }]);
  });
}
