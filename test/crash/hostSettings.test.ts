// What an administrator sets of hosts through the placement API decides where servers are really built, and shows what they claim.
import { serverMigrations } from '../../controller/src/db/entities/compute';
import { startCloudWithHost, type CloudWithHost } from './cloudWithHost';

let world: CloudWithHost;
/** Ids of the providers by name. */
const ids: Record<string, string> = {};

beforeEach(async () => {
  world = await startCloudWithHost(() => 'deliver', ['node-1', 'node-2', 'node-3']);
  await world.startEngine();
  for (const { name, uuid } of (await placement('GET', '/resource_providers')).resource_providers) ids[name] = uuid;
});
afterEach(() => world.stop());

// eslint-disable-next-line @typescript-eslint/no-explicit-any -- tests look into bodies freely
async function placement(method: string, path: string, body?: object): Promise<any> {
  const headers = { 'openstack-api-version': 'placement 1.39' };
  const answer = await world.test.call(method, `/placement${path}`, { token: 'admin', headers, body });
  if (answer.status >= 300) throw new Error(`${method} ${path}: ${answer.status} ${JSON.stringify(answer.body)}`);
  return answer.body;
}
const of = (name: string, part: string): string => `/resource_providers/${ids[name] ?? ''}/${part}`;
async function setTraits(name: string, traits: string[]): Promise<void> {
  const { resource_provider_generation } = await placement('GET', of(name, 'traits'));
  await placement('PUT', of(name, 'traits'), { traits, resource_provider_generation });
}
async function setExtraSpecs(extra_specs: Record<string, string>): Promise<void> {
  await world.test.call('POST', '/compute/v2.1/flavors/nano/os-extra_specs', { token: 'admin', body: { extra_specs } });
}
const show = async (id: string) => (await world.test.call('GET', `/compute/v2.1/servers/${id}`)).body.server;
async function boot(count: number): Promise<string[]> {
  const servers = await Promise.all(Array.from({ length: count }, () => world.boot()));
  await world.settled();
  return servers;
}
/** How many domains each host has. */
const domains = (): number[] => world.hosts.map((host) => host.domains.size);

test('servers that require a trait are built where it is, servers that forbid it elsewhere', async () => {
  await placement('PUT', '/traits/CUSTOM_FAST');
  await setTraits('node-2', ['CUSTOM_FAST']);
  await setExtraSpecs({ 'trait:CUSTOM_FAST': 'required' });
  await boot(4);
  expect(domains()).toEqual([0, 4, 0]);
  await setExtraSpecs({ 'trait:CUSTOM_FAST': 'forbidden' });
  await boot(4);
  const [one = 0, fast, other = 0] = domains();
  expect([one + other, fast]).toEqual([4, 4]);
  await world.expectClean();
});

test('a trait that no host has fails the server with the reason, and one that comes later helps the next', async () => {
  await placement('PUT', '/traits/CUSTOM_FAST');
  await setExtraSpecs({ 'trait:CUSTOM_FAST': 'required' });
  const [failed = ''] = await boot(1);
  expect(await show(failed)).toMatchObject({
    status: 'ERROR',
    fault: { message: 'No valid host was found. 3 hosts: lacks trait CUSTOM_FAST.' },
  });
  await setTraits('node-3', ['CUSTOM_FAST']);
  const [built = ''] = await boot(1);
  expect((await show(built)).status).toBe('ACTIVE');
  expect(domains()).toEqual([0, 0, 1]);
});

test('what is reserved is not given out, and claims are shown as long as servers are there', async () => {
  for (const name of ['node-1', 'node-3']) {
    const now = await placement('GET', of(name, 'inventories'));
    now.inventories.MEMORY_MB.reserved = now.inventories.MEMORY_MB.total;
    await placement('PUT', of(name, 'inventories'), now);
  }
  const [first = '', second = ''] = await boot(2);
  expect(domains()).toEqual([0, 2, 0]);
  const claim = { VCPU: 1, MEMORY_MB: 128, DISK_GB: 1 };
  expect((await placement('GET', of('node-2', 'usages'))).usages).toEqual({ VCPU: 2, MEMORY_MB: 256, DISK_GB: 2 });
  expect((await placement('GET', of('node-2', 'allocations'))).allocations).toMatchObject({
    [first]: { resources: claim },
    [second]: { resources: claim },
  });
  expect(await placement('GET', `/allocations/${first}`)).toMatchObject({
    allocations: { [ids['node-2'] ?? '']: { resources: claim } },
    project_id: 'demo-project',
  });
  const usage = async () => (await placement('GET', '/usages?project_id=demo-project')).usages;
  expect(await usage()).toEqual({ INSTANCE: { VCPU: 2, MEMORY_MB: 256, DISK_GB: 2, consumer_count: 2 } });
  await world.test.call('DELETE', `/compute/v2.1/servers/${first}`);
  await world.settled();
  expect(await usage()).toEqual({ INSTANCE: { ...claim, consumer_count: 1 } });
  expect(await placement('GET', `/allocations/${first}`)).toEqual({ allocations: {} });
  await world.expectClean();
});

test('a server that is migrated claims its new host, and the migration the old one until it is confirmed', async () => {
  const [id = ''] = await boot(1);
  const act = async (body: object): Promise<void> => {
    await world.test.call('POST', `/compute/v2.1/servers/${id}/action`, { token: 'admin', body });
    await world.settled();
  };
  await act({ migrate: null });
  const where = { server_id: id };
  const migration = await world.test.cloud.db.read((session) => session.findOne(serverMigrations, where));
  const { uuid, source_host: from, dest_host } = migration ?? { uuid: '', source_host: '', dest_host: null };
  const to = dest_host ?? '';
  const claim = { VCPU: 1, MEMORY_MB: 128, DISK_GB: 1 };
  const holder = async (consumer: string, name: string, consumer_type: string) =>
    expect(await placement('GET', `/allocations/${consumer}`)).toMatchObject({
      allocations: { [ids[name] ?? '']: { resources: claim } },
      project_id: 'demo-project',
      consumer_type,
    });
  await holder(id, to, 'INSTANCE');
  await holder(uuid, from, 'MIGRATION');
  expect((await placement('GET', of(from, 'allocations'))).allocations).toEqual({
    [uuid]: { resources: claim, consumer_generation: 1 },
  });
  const usages = async (query = '') => (await placement('GET', `/usages?project_id=demo-project${query}`)).usages;
  const counted = { ...claim, consumer_count: 1 };
  expect(await usages()).toEqual({ INSTANCE: counted, MIGRATION: counted });
  expect(await usages('&consumer_type=MIGRATION')).toEqual({ MIGRATION: counted });
  expect(await usages('&consumer_type=all')).toEqual({
    all: { VCPU: 2, MEMORY_MB: 256, DISK_GB: 2, consumer_count: 2 },
  });
  await act({ confirmResize: null });
  expect(await usages()).toEqual({ INSTANCE: counted });
  expect(await placement('GET', `/allocations/${uuid}`)).toEqual({ allocations: {} });
  await world.expectClean();
});
