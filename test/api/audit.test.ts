// The audit's view of the database, and what a fix makes of it. Hosts are in test/crash and test/host.
import { newId } from '@cumulet/common';
import { computeUsages, serverMigrations, servers } from '../../controller/src/db/entities/compute';
import { networks, portAddresses, ports } from '../../controller/src/db/entities/network';
import { allocations, hosts, tasks } from '../../controller/src/db/entities/tasks';
import { makeFlavor, makeImage } from '../support/computeFixtures';
import { startTestCloud, type TestCloud } from '../support/testCloud';

interface Found {
  readonly type: string;
  readonly kind: string;
  readonly id: string;
  readonly message: string;
  readonly remedy: string;
}

let world: TestCloud;
beforeAll(async () => {
  world = await startTestCloud();
});
afterAll(() => world.stop());

const look = async (): Promise<Found[]> =>
  (await world.call('GET', '/cumulet/v1/audit', { token: 'admin' })).body.findings as Found[];

test('only administrators see or fix anything', async () => {
  for (const [method, path] of [
    ['GET', '/cumulet/v1/audit'],
    ['POST', '/cumulet/v1/audit/fix'],
  ] as const) {
    expect((await world.call(method, path, { token: null })).status).toBe(401);
    for (const token of ['demo', 'reader', 'domain'])
      expect((await world.call(method, path, { token })).status).toBe(403);
  }
  expect((await world.call('GET', '/cumulet/v1/audit', { token: 'system' })).status).toBe(200);
});

test('rows that name nothing and wrong sums are named with their remedy, and fixed', async () => {
  const network = (await world.call('POST', '/network/v2.0/networks', { token: 'demo', body: { network: {} } })).body
    .network.id as string;
  await world.call('POST', '/network/v2.0/subnets', {
    token: 'demo',
    body: { subnet: { network_id: network, ip_version: 4, cidr: '10.0.0.0/24' } },
  });
  const makePort = async (): Promise<string> =>
    (await world.call('POST', '/network/v2.0/ports', { token: 'demo', body: { port: { network_id: network } } })).body
      .port.id as string;
  const [kept, lost, stray] = [await makePort(), await makePort(), await makePort()];
  const quota = (): Promise<number> =>
    world
      .call('GET', '/network/v2.0/quotas/demo-project/details', { token: 'admin' })
      .then(({ body }) => body.quota.port.used as number);
  const used = await quota();
  const [server, nothing, migration] = [newId(), newId(), newId()];
  const inventory = { vcpus: 8, memory_mib: 1024, disk_gib: 10 };
  await world.controller.agentApi.register({ host: 'node-9', role: 'compute', inventory });
  await world.cloud.db.write(async (session) => {
    await session.update(hosts, { name: 'node-9' }, { used_vcpus: 5 });
    const claim = { server_id: server, host: 'node-9', vcpus: 2, memory_mib: 0, disk_gib: 0, created_at: 0 };
    await session.insert(allocations, claim);
    await session.insert(computeUsages, { project_id: 'demo-project', resource: 'cores', used: 3 });
    await session.update(ports, { id: lost }, { device_owner: 'compute:nova', device_id: server });
    await session.update(ports, { id: stray }, { network_id: nothing });
    const [address] = await session.find(portAddresses, { where: { port_id: kept } });
    const size = { vcpus: 1, ram: 1, disk: 1, ephemeral: 0, swap: 0 };
    const flavor = { id: 'f', name: 'f', ...size, rxtx_factor: 1, extra_specs: {} };
    await session.insert(serverMigrations, {
      ...{ uuid: migration, server_id: server, project_id: 'demo-project', user_id: 'demo', type: 'resize' },
      ...{ status: 'migrating', open: 1, source_host: 'node-9', dest_host: null, vm_state: 'active' },
      ...{ shared_disk: false, wish: null, progress: null },
      ...{ old_flavor: flavor, new_flavor: flavor, old_revision: 1, new_revision: 2, created_at: 0, updated_at: 0 },
    });
    if (address) await session.insert(portAddresses, { ...address, address: '10.0.0.250', port_id: nothing });
  });
  const found = await look();
  const named = found.filter(({ kind, type }) => kind !== 'host' || type === 'wrong');
  expect(named.map(({ kind, id, remedy }) => [kind, id, remedy]).sort()).toEqual(
    [
      ['host', 'node-9', 'a fix counts it again'],
      ['project', 'demo-project', 'a fix counts it again'],
      ['migration', migration, 'a fix removes the row'],
      ['allocation', server, 'a fix removes the row'],
      ['port', lost, 'a fix removes the row'],
      ['port', stray, 'a fix removes the row'],
      ['address', '10.0.0.250', 'a fix removes the row'],
    ].sort(),
  );
  const answer = await world.call('POST', '/cumulet/v1/audit/fix', { token: 'admin' });
  expect(answer.status).toBe(200);
  expect(answer.body.fixed).toHaveLength(named.length);
  // A host whose agents never came is nothing that could be fixed.
  expect(answer.body.findings).toEqual([expect.objectContaining({ type: 'missing', kind: 'host', name: 'node-9' })]);
  expect(await look()).toEqual(answer.body.findings);
  const left = await world.cloud.db.read(async (session) => ({
    ports: (await session.find(ports, { where: { device_owner: '' } })).map(({ id }) => id),
    networks: await session.count(networks, { id: network }),
    host: await session.findOne(hosts, { name: 'node-9' }),
  }));
  expect(left).toMatchObject({ ports: [kept], networks: 1, host: { used_vcpus: 0 } });
  expect(await quota()).toBe(used - 2);
});

test('a server that is busy without a task is named, and set to ERROR', async () => {
  const [flavorRef, imageRef] = [await makeFlavor(world, 'audited'), await makeImage(world)];
  const create = async (): Promise<string> => {
    const server = { name: 'new', flavorRef, imageRef, networks: 'none' };
    const { body } = await world.call('POST', '/compute/v2.1/servers', {
      token: 'demo',
      body: { server },
      headers: { 'openstack-api-version': 'compute 2.37' },
    });
    return body.server.id as string;
  };
  const [attended, lost] = [await create(), await create()];
  const unattended = async (): Promise<Found[]> => (await look()).filter(({ kind }) => kind === 'server');
  expect(await unattended()).toEqual([]);
  await world.cloud.db.write((session) => session.update(tasks, { resource_id: lost }, { active: null }));
  expect(await unattended()).toEqual([
    {
      ...{ type: 'wrong', host: null, kind: 'server', id: lost, name: 'new' },
      message: `server ${lost} is scheduling, but no task works on it`,
      remedy: 'a fix sets it to ERROR, from which it can be rebooted, rebuilt or deleted',
    },
  ]);
  await world.call('POST', '/cumulet/v1/audit/fix', { token: 'admin' });
  expect(await unattended()).toEqual([]);
  const now = await world.cloud.db.read((session) => session.find(servers));
  expect(
    new Map(now.map(({ id, vm_state, task_state, fault }) => [id, [vm_state, task_state, fault?.message]])),
  ).toEqual(
    new Map([
      [attended, ['building', 'scheduling', undefined]],
      [lost, ['error', null, expect.stringContaining('ended without saying how')]],
    ]),
  );
});
