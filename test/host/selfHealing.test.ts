// What somebody breaks on a host by hand: within 30 seconds it is put back, or told in words with what to do about it.
import { readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { interfaceName } from '@cumulet/common';
import { idleContent, installCloud, type MachineCloud } from '../support/machineCloud';
import { startOwnMachine, type OwnMachine } from '../support/ownMachine';
import { createServer, until, type CloudClient, type Content } from '../support/realCloud';

let machine: OwnMachine;
let cloud: MachineCloud;
let client: CloudClient;
let content: Content;

beforeAll(async () => {
  machine = await startOwnMachine();
  await machine.startLibvirtd();
  cloud = installCloud(machine);
  client = await cloud.start();
  content = await idleContent(client, machine.directory);
});
afterAll(() => machine?.remove());

const LIMIT_MS = 30_000;

/** Asks until the answer fits; what it was at last is compared, so that a failure shows it. */
async function soon<T>(ask: () => Promise<T>, wanted: T): Promise<void> {
  const end = Date.now() + LIMIT_MS;
  let answer = await ask();
  while (JSON.stringify(answer) !== JSON.stringify(wanted) && Date.now() < end) {
    await new Promise((next) => setTimeout(next, 250));
    answer = await ask();
  }
  expect(answer).toEqual(wanted);
}

async function boot(name: string): Promise<string> {
  const id = await createServer(client, content, name);
  await until(client, id, 'ACTIVE', 100);
  return id;
}
const status = async (id: string): Promise<string> =>
  (await client.call<{ server: { status: string } }>('GET', `/compute/v2.1/servers/${id}`)).server.status;
const act = (id: string, body: unknown): Promise<unknown> =>
  client.call('POST', `/compute/v2.1/servers/${id}/action`, body);
const portOf = async (id: string): Promise<{ id: string; status: string }> => {
  const { ports } = await client.call<{ ports: [{ id: string; status: string }] }>(
    'GET',
    `/network/v2.0/ports?device_id=${id}`,
  );
  return ports[0];
};
interface Timeline {
  readonly tasks: readonly { readonly kind: string; readonly steps: readonly { readonly message: string }[] }[];
  readonly port_faults: readonly { readonly fault: string }[];
}
const timeline = (id: string): Promise<Timeline> => client.call('GET', `/cumulet/v1/servers/${id}/timeline`);
const findings = async (): Promise<string[]> =>
  (await client.call<{ findings: { message: string }[] }>('GET', '/cumulet/v1/audit')).findings.map(
    ({ message }) => message,
  );
const clean = (): Promise<void> => soon(findings, []);
const virsh = (...args: string[]): Promise<string> => machine.run('virsh', '-c', 'qemu:///system', ...args);

test('bridge, namespace, DHCP server and rules come back by themselves', async () => {
  await boot('one');
  await clean();
  const bridge = interfaceName('br', content.network);
  const namespace = `cml-dhcp-${content.network}`;
  const pid = readFileSync(join(cloud.data, 'network', content.network, 'pid'), 'utf8').trim();
  await machine.run('kill', '-9', pid);
  await machine.run('ip', 'link', 'del', bridge);
  await machine.run('ip', 'netns', 'del', namespace);
  await machine.run('iptables', '-F');
  await machine.run('nft', 'delete', 'table', 'bridge', 'cumulet');
  expect((await findings()).length).toBeGreaterThan(0);
  await clean();
  expect(await machine.run('iptables', '-S', 'FORWARD')).toContain('-j cumulet-forward');
  expect(await machine.run('ip', '-n', namespace, 'addr')).toContain('169.254.169.254');
  const links = JSON.parse(await machine.run('ip', '-json', 'link', 'show', 'master', bridge)) as unknown[];
  expect(links).toHaveLength(2);
});

test('a domain that was destroyed, or undefined too, is a server that is off, and says why', async () => {
  const [destroyed, gone] = [await boot('destroyed'), await boot('gone')];
  await virsh('destroy', `cumulet-${destroyed}`);
  await virsh('undefine', `cumulet-${gone}`);
  await virsh('destroy', `cumulet-${gone}`);
  for (const id of [destroyed, gone]) {
    await soon(() => status(id), 'SHUTOFF');
    const stop = (await timeline(id)).tasks.at(-1);
    expect(stop?.kind).toBe('server.stop');
    expect(stop?.steps[0]?.message).toMatch(id === gone ? /./ : /switched off on its host/);
  }
  expect(await findings()).toEqual([expect.stringMatching(`the domain of ${gone} is missing`)]);
  for (const id of [destroyed, gone]) {
    await act(id, { 'os-start': null });
    await soon(() => status(id), 'ACTIVE');
  }
  await clean();
});

test('a tap that was removed from under its guest is told of, and a hard reboot mends it', async () => {
  const id = await boot('cut off');
  await soon(async () => (await portOf(id)).status, 'ACTIVE');
  await machine.run('ip', 'link', 'del', interfaceName('tap', (await portOf(id)).id));
  await soon(async () => (await portOf(id)).status, 'DOWN');
  expect((await timeline(id)).port_faults).toMatchObject([{ fault: expect.stringMatching('a hard reboot') }]);
  expect((await findings()).join()).toMatch('removed by hand');
  await act(id, { reboot: { type: 'HARD' } });
  await soon(async () => (await portOf(id)).status, 'ACTIVE');
  await clean();
});

test('a disk that was removed is named by the audit, and a rebuild makes it anew', async () => {
  const id = await boot('disk');
  rmSync(join(cloud.data, 'host/disks', id), { recursive: true });
  expect(await findings()).toEqual([expect.stringMatching(`the disk of ${id} is missing`)]);
  await act(id, { rebuild: { imageRef: content.image } });
  await soon(() => status(id), 'ACTIVE');
  await clean();
});

test('libvirtd that was restarted costs no server anything', async () => {
  const id = await boot('kept');
  await machine.killLibvirtd();
  await machine.startLibvirtd();
  await act(id, { pause: null });
  await soon(() => status(id), 'PAUSED');
  await clean();
});
