// The machine loses its power: after the next boot the same cloud is there, and the servers that ran run again.
import { installCloud, idleContent, type MachineCloud } from '../support/machineCloud';
import { startOwnMachine, type OwnMachine } from '../support/ownMachine';
import { createServer, until, uploadImage, type CloudClient } from '../support/realCloud';
import { tinyImage } from '../support/tinyImage';

jest.setTimeout(300_000);
let machine: OwnMachine;
let cloud: MachineCloud;

beforeAll(async () => {
  machine = await startOwnMachine();
  await machine.startLibvirtd();
  cloud = installCloud(machine, { compute: { shutdown_seconds: 1 } });
});
afterAll(() => machine?.remove());

/** Tries until it works: a guest under emulation takes its time. */
async function soon<T>(work: () => Promise<T>): Promise<T> {
  for (const end = Date.now() + 90_000; ; await new Promise((next) => setTimeout(next, 500))) {
    try {
      return await work();
    } catch (error) {
      if (Date.now() > end) throw error;
    }
  }
}

/** A floating IP that leads to the server through a router of the network. */
async function floatingIp(client: CloudClient, network: string, server: string): Promise<string> {
  const make = async (kind: string, body: object): Promise<Record<string, string>> =>
    (await client.call<Record<string, Record<string, string>>>('POST', `/network/v2.0/${kind}s`, { [kind]: body }))[
      kind
    ] ?? {};
  const outside = await make('network', {
    name: 'public',
    'router:external': true,
    'provider:network_type': 'flat',
    'provider:physical_network': 'public',
  });
  await make('subnet', {
    network_id: outside['id'],
    ip_version: 4,
    cidr: '172.24.4.0/24',
    gateway_ip: '172.24.4.1',
    enable_dhcp: false,
  });
  const router = await make('router', { name: 'way', external_gateway_info: { network_id: outside['id'] } });
  const { subnets } = await client.call<{ subnets: { id: string }[] }>(
    'GET',
    `/network/v2.0/subnets?network_id=${network}`,
  );
  await client.call('PUT', `/network/v2.0/routers/${router['id']}/add_router_interface`, { subnet_id: subnets[0]?.id });
  const { ports } = await client.call<{ ports: { id: string; security_groups: string[] }[] }>(
    'GET',
    `/network/v2.0/ports?device_id=${server}`,
  );
  await client.call('POST', '/network/v2.0/security-group-rules', {
    security_group_rule: { security_group_id: ports[0]?.security_groups[0], direction: 'ingress', protocol: 'icmp' },
  });
  const address = await make('floatingip', { floating_network_id: outside['id'], port_id: ports[0]?.id });
  return address['floating_ip_address'] ?? '';
}

const status = async (client: CloudClient, id: string): Promise<string> =>
  (await client.call<{ server: { status: string } }>('GET', `/compute/v2.1/servers/${id}`)).server.status;
const audit = async (client: CloudClient): Promise<string[]> =>
  (await client.call<{ findings: { message: string }[] }>('GET', '/cumulet/v1/audit')).findings.map(
    ({ message }) => message,
  );
const domains = async (): Promise<string[]> =>
  (await machine.run('virsh', '-c', 'qemu:///system', 'list', '--name')).trim().split('\n').sort();

test('a power cut and a boot later the same cloud is there with its servers', async () => {
  const client = await cloud.start();
  const content = await idleContent(client, machine.directory);
  const tiny = await uploadImage(client, tinyImage(), 'qcow2', 'tiny');
  await client.call('POST', '/compute/v2.1/flavors', {
    flavor: { name: 'nano', id: 'nano', vcpus: 1, ram: 128, disk: 1 },
  });
  const running = await createServer(client, { ...content, image: tiny, flavor: 'nano' }, 'running');
  const paused = await createServer(client, content, 'paused');
  const stopped = await createServer(client, content, 'stopped');
  for (const id of [running, paused, stopped]) await until(client, id, 'ACTIVE', 200);
  await client.call('POST', `/compute/v2.1/servers/${stopped}/action`, { 'os-stop': null });
  await client.call('POST', `/compute/v2.1/servers/${paused}/action`, { pause: null });
  await until(client, stopped, 'SHUTOFF', 200);
  await until(client, paused, 'PAUSED', 200);
  const address = await floatingIp(client, content.network, running);
  await soon(() => machine.run('ping', '-c', '1', '-W', '1', address));
  expect(await audit(client)).toEqual([]);

  await machine.powerOff();
  await machine.powerOn();
  await expect(machine.run('ip', 'link', 'show', 'cml-ext')).rejects.toThrow('does not exist');
  await machine.startLibvirtd();
  expect(await domains()).toEqual(['']);
  const after = await cloud.start();
  // The token of before is still good: it is the same cloud.
  after.token = client.token;
  await soon(async () => expect(await domains()).toContain(`cumulet-${running}`));
  await soon(async () => expect(await status(after, running)).toBe('ACTIVE'));
  await soon(() => machine.run('ping', '-c', '1', '-W', '1', address));
  expect(await status(after, stopped)).toBe('SHUTOFF');
  expect(await domains()).not.toContain(`cumulet-${stopped}`);
  // What was in its memory is lost, so it does not look as if it were still paused.
  await soon(async () => expect(await status(after, paused)).toBe('SHUTOFF'));
  await soon(async () => expect(await audit(after)).toEqual([]));
  expect(await cloud.orphans()).toEqual(['0 orphans']);
});
