// The listener of an agent over mutual TLS: what controllers get from a host, and that nobody else gets anything.
import type { Server } from 'node:https';
import type { AddressInfo } from 'node:net';
import { Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { createHostListener, createMtlsClient, HostError, silentLogger } from '@cumulet/common';
import { createHostClients, type HostClients } from '@cumulet/controller';
import { agentApiScene } from '../support/agentApiScene';

const scene = agentApiScene();
const { listen, clientOf } = scene;

describe('the listener of an agent', () => {
  let agent: Server;
  let hosts: HostClients;
  const asked: string[] = [];
  const register = (host: string, where: string): Promise<unknown> =>
    Promise.all(
      (['compute', 'network', 'storage'] as const).map((role) =>
        clientOf(host).register({ host, role, inventory: {}, listener: new URL(where).host }),
      ),
    );
  const passwords: string[] = [];
  beforeAll(async () => {
    agent = createHostListener(
      {
        consoleLog: async (id, bytes) => Buffer.from(`${asked.push(id)} ${bytes}`),
        inventoryOfResources: async () => [{ kind: 'domain', id: scene.serverId, name: 'a domain' }],
        diagnostics: (id) => scene.world.host.api.diagnostics(id),
        openConsole: (id, kind) => scene.world.host.api.openConsole(id, kind),
        openDisk: (id, revision) =>
          revision === 1
            ? Promise.resolve({ size: 3, stream: Readable.from([Buffer.from(id.slice(0, 3))]) })
            : Promise.reject(new HostError('disk_missing', 'no such disk', { retryable: true })),
        openImage: (digest, start) =>
          digest === 'known'
            ? Promise.resolve({ size: 4, stream: Readable.from([Buffer.from('abcd').subarray(start)]) })
            : Promise.reject(new HostError('image_missing', 'no such image', { retryable: false })),
        setPassword: (_id, user, password) => {
          passwords.push(`${user} ${password}`);
          if (user === 'root') return Promise.resolve();
          return Promise.reject(new HostError('password_refused', 'the agent refused it', { retryable: false }));
        },
      },
      scene.ca.files('node-2'),
      silentLogger,
    );
    await register('node-2', await listen(agent));
    hosts = createHostClients(scene.world.test.cloud.db, scene.ca.files('ctl'));
  });
  afterAll(() => {
    hosts.close();
    agent.close();
    agent.closeAllConnections();
  });

  test('gives console logs and what is on the host to a controller', async () => {
    expect((await hosts.host('node-2').consoleLog(scene.serverId, 100)).toString()).toBe('1 100');
    expect(await hosts.host('node-2').inventoryOfResources()).toHaveLength(3);
  });

  test('gives diagnostics and sets passwords, and says in its words what it can’t', async () => {
    const host = hosts.host('node-2');
    expect(await host.diagnostics(scene.serverId)).toMatchObject({ maximumMemory: 131072 });
    const words = { name: 'HostError', code: 'not_running', message: 'the server is not running' };
    await expect(host.diagnostics('99999999-9999-4999-8999-999999999999')).rejects.toMatchObject(words);
    await expect(host.diagnostics('nobody')).rejects.toMatchObject({ code: 'bad_request' });
    await host.setPassword(scene.serverId, 'root', 'secret');
    expect(passwords).toEqual(['root secret']);
    await expect(host.setPassword(scene.serverId, 'boss', 'x')).rejects.toMatchObject({ code: 'password_refused' });
  });

  test('gives the disk of a server to the controller that asks for the right one', async () => {
    const host = hosts.host('node-2');
    const { size, stream } = await host.openDisk(scene.serverId, 1);
    expect([size, (await buffer(stream)).toString()]).toEqual([3, scene.serverId.slice(0, 3)]);
    await expect(host.openDisk(scene.serverId, 2)).rejects.toMatchObject({ name: 'HostError', code: 'disk_missing' });
    await expect(host.openDisk('nobody', 1)).rejects.toMatchObject({ code: 'bad_request' });
    await expect(host.openDisk(scene.serverId, NaN)).rejects.toMatchObject({ code: 'bad_request' });
  });

  test('gives an image, or the rest of it, by its digest', async () => {
    const host = hosts.host('node-2');
    for (const [start, rest] of [
      [0, 'abcd'],
      [3, 'd'],
    ] as const) {
      const { size, stream } = await host.openImage('known', start);
      expect([size, (await buffer(stream)).toString()]).toEqual([4, rest]);
    }
    await expect(host.openImage('other', 0)).rejects.toMatchObject({ name: 'HostError', code: 'image_missing' });
    for (const start of [NaN, -1])
      await expect(host.openImage('known', start)).rejects.toMatchObject({ code: 'bad_request' });
  });

  test('opens consoles of guests for a controller, and for nobody else', async () => {
    const host = hosts.host('node-2');
    for (const kind of ['serial', 'vnc'] as const) {
      const guest = await host.openConsole(scene.serverId, kind);
      guest.end('hello');
      expect((await buffer(guest)).toString()).toBe(`${kind} of ${scene.serverId}\r\nhello`);
    }
    const nobody = '99999999-9999-4999-8999-999999999999';
    await expect(host.openConsole(nobody, 'vnc')).rejects.toMatchObject({ name: 'HostError', code: 'not_running' });
    await expect(host.openConsole('nobody', 'vnc')).rejects.toMatchObject({ code: 'bad_request' });
    const base = `https://127.0.0.1:${(agent.address() as AddressInfo).port}`;
    const thief = createMtlsClient(scene.ca.files('node-1'), () => true, 'anybody');
    const path = `/host/v1/consoles/serial/${scene.serverId}`;
    await expect(thief.tunnel({ base, path, timeout: 5_000 })).rejects.toMatchObject({ code: 'forbidden' });
    thief.close();
  });

  test('gives nothing to another host', async () => {
    const base = `https://127.0.0.1:${(agent.address() as AddressInfo).port}`;
    const thief = createMtlsClient(scene.ca.files('node-1'), () => true, 'anybody');
    for (const path of [
      `/host/v1/diagnostics/${scene.serverId}`,
      '/host/v1/resources',
      `/host/v1/disks/${scene.serverId}?revision=1`,
      `/host/v1/console-logs/${scene.serverId}?bytes=9`,
    ])
      await expect(thief.bytes({ method: 'GET', base, path, timeout: 5_000 })).rejects.toMatchObject({
        code: 'forbidden',
      });
    thief.close();
  });

  test('refuses ids that could be paths', async () => {
    for (const id of ['..%2f..%2fetc%2fpasswd', 'x', '..'])
      await expect(hosts.host('node-2').consoleLog(id, 9)).rejects.toMatchObject({
        code: expect.any(String) as string,
      });
    expect(asked).toHaveLength(1);
  });

  test('a host that registers the address of another is not taken for it', async () => {
    await register('node-3', `https://127.0.0.1:${(agent.address() as AddressInfo).port}`);
    await expect(hosts.host('node-3').consoleLog(scene.serverId, 9)).rejects.toThrow(/not that of host node-3/);
    await expect(hosts.host('nobody').consoleLog(scene.serverId, 9)).rejects.toThrow(/has not said where/);
  });
});
