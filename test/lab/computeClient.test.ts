// The unmodified OpenStack client of the distribution works on the compute service, with a simulated host behind it.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createMemoryBus } from '@cumulet/common';
import { taskKinds } from '@cumulet/controller';
import { ADMIN_PASSWORD, startIdentity, type IdentityCloud } from '../support/identity';
import { runOpenstack } from '../support/openstackClient';
import { createSimulatedHost, type SimulatedHost } from '../support/simulatedHost';

jest.setTimeout(420_000);
let cloud: IdentityCloud;
let directory: string;
const bus = createMemoryBus();
const hosts = new Map<string, SimulatedHost>();
async function addHost(name: string): Promise<void> {
  const host = createSimulatedHost(name, bus, cloud.test.controller.agentApi);
  hosts.set(name, host);
  await host.start();
}
beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), 'cumulet-client-'));
  cloud = await startIdentity({
    bus,
    host: (name) => hosts.get(name)?.api,
    engine: { kinds: taskKinds, pollMs: 100 },
    config: {},
  });
  await addHost('node-1');
});
afterAll(async () => {
  for (const host of hosts.values()) await host.stop();
  await cloud.stop();
  rmSync(directory, { recursive: true });
});

/** Runs the client; its output as JSON where it is that, else as text. */
// eslint-disable-next-line @typescript-eslint/no-explicit-any -- tests look into output freely
async function openstack(words: string, version = '2.1'): Promise<any> {
  const environment = {
    OS_AUTH_URL: cloud.test.url,
    OS_USERNAME: 'admin',
    OS_PASSWORD: ADMIN_PASSWORD,
    OS_PROJECT_NAME: 'admin',
    OS_USER_DOMAIN_NAME: 'Default',
    OS_PROJECT_DOMAIN_NAME: 'Default',
    OS_IDENTITY_API_VERSION: '3',
    OS_COMPUTE_API_VERSION: version,
  };
  const stdout = await runOpenstack(words.split(' '), environment);
  try {
    return JSON.parse(stdout);
  } catch {
    return stdout;
  }
}
const status = async (name: string): Promise<string> => (await openstack(`server show ${name} -f json`)).status;
async function until(name: string, wanted: string): Promise<void> {
  for (let tries = 0; tries < 20; tries++) if ((await status(name)) === wanted) return;
  throw new Error(`${name} is ${await status(name)}, not ${wanted}`);
}

test('flavors, keys, quotas, hosts and zones', async () => {
  expect(await openstack('flavor create --ram 128 --disk 1 --vcpus 1 m1.nano -f json')).toMatchObject({
    name: 'm1.nano',
    ram: 128,
  });
  expect(await openstack('flavor list -f json')).toMatchObject([{ Name: 'm1.nano', VCPUs: 1 }]);
  await openstack('flavor set --property hw:cpu_policy=shared m1.nano');
  expect((await openstack('flavor show m1.nano -f json')).properties).toEqual({ 'hw:cpu_policy': 'shared' });
  expect(await openstack('keypair create mine')).toContain('BEGIN RSA PRIVATE KEY');
  expect(await openstack('keypair list -f json')).toMatchObject([{ Name: 'mine' }]);
  await openstack('quota set --cores 30 admin');
  expect(JSON.stringify(await openstack('quota show -f json'))).toContain('30');
  expect(await openstack('limits show --absolute -f json')).toEqual(
    expect.arrayContaining([{ Name: 'maxTotalCores', Value: 30 }]),
  );
  expect(await openstack('compute service list -f json')).toMatchObject([
    { Binary: 'nova-compute', Host: 'node-1', State: 'up' },
  ]);
  expect(await openstack('hypervisor list -f json')).toMatchObject([{ 'Hypervisor Hostname': 'node-1', State: 'up' }]);
  expect(await openstack('availability zone list --compute -f json')).toMatchObject([{ 'Zone Name': 'nova' }]);
});

test('a server’s whole life', async () => {
  const file = join(directory, 'tiny.raw');
  writeFileSync(file, Buffer.alloc(4096));
  await openstack(`image create --disk-format raw --container-format bare --file ${file} tiny`);
  await openstack('network create demo');
  await openstack('subnet create --network demo --subnet-range 10.0.0.0/24 demo');
  const create =
    'server create --image tiny --flavor m1.nano --network demo --key-name mine --property role=web --wait hello';
  expect(await openstack(`${create} -f json`)).toMatchObject({ name: 'hello', status: 'ACTIVE', key_name: 'mine' });
  const [listed] = await openstack('server list -f json');
  expect(listed).toMatchObject({ Name: 'hello', Status: 'ACTIVE', Image: 'tiny', Flavor: 'm1.nano' });
  expect(listed.Networks.demo[0]).toMatch(/^10\.0\.0\./);
  expect(await openstack('server list --long --all-projects -f json', '2.79')).toMatchObject([{ Host: 'node-1' }]);
  expect(await openstack('server show hello -f json', '2.79')).toMatchObject({ description: 'hello', locked: false });
  for (const [command, wanted] of [
    ['stop', 'SHUTOFF'],
    ['start', 'ACTIVE'],
    ['pause', 'PAUSED'],
    ['unpause', 'ACTIVE'],
    ['suspend', 'SUSPENDED'],
    ['resume', 'ACTIVE'],
  ] as const) {
    await openstack(`server ${command} hello`);
    await until('hello', wanted);
  }
  await openstack('server reboot --wait hello');
  await openstack('server lock hello');
  await openstack('server unlock hello');
  expect(await openstack('server rebuild --image tiny --wait hello')).toContain('Complete');
  await openstack('console log show hello');
  await openstack('server set --property more=words --name renamed hello');
  await openstack('server add security group renamed default');
  await openstack('server remove security group renamed default');
  const events = await openstack('server event list renamed -f json');
  expect(events.map((event: { Action: string }) => event.Action)).toEqual(
    expect.arrayContaining(['create', 'stop', 'start', 'reboot', 'rebuild', 'lock', 'unlock']),
  );
  expect(await openstack(`server event show renamed ${events.at(-1)['Request ID']} -f json`)).toMatchObject({
    action: 'create',
  });
  await openstack('usage show -f json');
  await openstack('server delete --wait renamed');
  expect(await openstack('server list -f json')).toEqual([]);
});

test('a server is migrated to another host, and back; its migrations are listed', async () => {
  await openstack('server create --image tiny --flavor m1.nano --network demo --wait mover');
  await addHost('node-2');
  const host = async (): Promise<string> =>
    (await openstack('server show mover -f json'))['OS-EXT-SRV-ATTR:host'] as string;
  await openstack('server migrate --wait mover');
  expect([await status('mover'), await host()]).toEqual(['VERIFY_RESIZE', 'node-2']);
  await openstack('server migration revert mover');
  await until('mover', 'ACTIVE');
  expect(await host()).toBe('node-1');
  await openstack('server migrate --host node-2 --wait mover', '2.56');
  await openstack('server migration confirm mover');
  await until('mover', 'ACTIVE');
  expect(await host()).toBe('node-2');
  const listed = await openstack('server migration list --server mover -f json', '2.80');
  expect(listed).toMatchObject(
    ['confirmed', 'reverted'].map((Status) => ({
      ...{ Status, Type: 'migration', 'Source Compute': 'node-1', 'Dest Compute': 'node-2' },
    })),
  );
  const live = 'server migrate --live-migration --wait mover';
  await openstack(live, '2.79');
  expect([await status('mover'), await host()]).toEqual(['ACTIVE', 'node-1']);
  await openstack(`${live} --block-migration`, '2.1');
  expect(await host()).toBe('node-2');
  await openstack(`${live} --host node-1`, '2.30');
  expect(await host()).toBe('node-1');
  const moves = await openstack('server migration list --server mover --type live-migration -f json', '2.80');
  expect(moves.map(({ Status }: { Status: string }) => Status)).toEqual(['completed', 'completed', 'completed']);
  await openstack('server delete --wait mover');
});

test('what fails is told in our words', async () => {
  await expect(
    openstack('server create --image tiny --flavor m1.nano --network demo --key-name nobody x'),
  ).rejects.toThrow('Invalid key_name provided.');
  await expect(openstack('server show nobody')).rejects.toThrow('nobody');
  await expect(openstack('flavor delete nobody')).rejects.toThrow('nobody');
});
