// What administrators see of hosts: services, hypervisors, zones and usage, at the microversions where it changed.
import { agents, hosts } from '../../controller/src/db/entities/tasks';
import { servers } from '../../controller/src/db/entities/compute';
import { hoursIn } from '../../controller/src/services/compute/usage';
import { makeFlavor, makeHost, makeImage, makeNetwork, settle } from '../support/computeFixtures';
import { startTestCloud, type Answer, type TestCloud } from '../support/testCloud';

let cloud: TestCloud;
let server: string;
beforeAll(async () => {
  cloud = await startTestCloud();
  await makeHost(cloud, 'h1');
  await makeHost(cloud, 'h2', 'lab');
  const image = await makeImage(cloud);
  await makeNetwork(cloud, 'demo');
  await makeFlavor(cloud, 'small');
  const body = { server: { name: 'hello', flavorRef: 'small', imageRef: image } };
  server = (await cloud.call('POST', '/compute/v2.1/servers', { body })).body.server.id;
  await settle(cloud, server, { host: 'h1' });
  await cloud.cloud.db.write(async (session) => {
    const cpu_info = { arch: 'x86_64', model: 'm', vendor: 'v' };
    const inventory = { vcpus: 4, memory_mib: 8192, hypervisor_type: 'QEMU', hypervisor_version: 7002022, cpu_info };
    for (const name of ['h1', 'h2']) await session.update(hosts, { name }, { inventory, used_memory_mib: 128 });
    await session.update(agents, { host: 'h2' }, { heard_at: 1_790_000_000_000 });
  });
});
afterAll(() => cloud.stop());

const at = (version: string) => ({ 'x-openstack-nova-api-version': version });
const get = (path: string, version = '2.1', token = 'admin'): Promise<Answer> =>
  cloud.call('GET', `/compute/v2.1${path}`, { token, headers: at(version) });
const put = (path: string, body: object, version = '2.1', token = 'admin'): Promise<Answer> =>
  cloud.call('PUT', `/compute/v2.1${path}`, { token, headers: at(version), body });
const keys = (value: object) => Object.keys(value).sort();

describe('services', () => {
  const always = ['binary', 'disabled_reason', 'host', 'id', 'state', 'status', 'updated_at', 'zone'];

  test('show exactly their keys, numbered before 2.53', async () => {
    const [first, second] = (await get('/os-services')).body.services;
    expect(keys(first)).toEqual(always);
    expect(Number.isInteger(first.id)).toBe(true);
    expect(first).toMatchObject({ binary: 'nova-compute', host: 'h1', state: 'up', status: 'enabled', zone: 'nova' });
    expect(second).toMatchObject({ host: 'h2', state: 'down', zone: 'lab', updated_at: '2026-09-21T14:13:20.000000' });
    expect(keys((await get('/os-services', '2.11')).body.services[0])).toEqual([...always, 'forced_down'].sort());
    expect((await get('/os-services', '2.53')).body.services[0].id).toMatch(/^[0-9a-f-]{36}$/);
  });

  test('are filtered by host and binary', async () => {
    expect((await get('/os-services?host=h2')).body.services).toHaveLength(1);
    expect((await get('/os-services?binary=nova-scheduler')).body.services).toEqual([]);
    expect((await get('/os-services?colour=red', '2.75')).status).toBe(400);
  });

  test('are switched by name before 2.53', async () => {
    const body = { host: 'h1', binary: 'nova-compute' };
    expect((await put('/os-services/disable', body)).body).toEqual({ service: { ...body, status: 'disabled' } });
    expect((await get('/os-services?host=h1')).body.services[0].status).toBe('disabled');
    const reasoned = await put('/os-services/disable-log-reason', { ...body, disabled_reason: 'repair' });
    expect(reasoned.body.service).toEqual({ ...body, status: 'disabled', disabled_reason: 'repair' });
    expect((await get('/os-services?host=h1')).body.services[0].disabled_reason).toBe('repair');
    expect((await put('/os-services/enable', body)).body.service).toEqual({ ...body, status: 'enabled' });
    expect((await get('/os-services?host=h1')).body.services[0].disabled_reason).toBeNull();
    expect((await put('/os-services/force-down', { ...body, forced_down: false }, '2.11')).status).toBe(200);
    expect((await put('/os-services/force-down', { ...body, forced_down: true }, '2.11')).status).toBe(501);
    for (const [path, change, version, status] of [
      ['force-down', {}, '2.10', 404],
      ['force-down', {}, '2.11', 400],
      ['explode', {}, '2.1', 404],
      ['disable-log-reason', {}, '2.1', 400],
      ['disable', { binary: 'nova-scheduler' }, '2.1', 400],
      ['disable', { host: 'h9' }, '2.1', 404],
      ['disable', { colour: 'red' }, '2.1', 400],
    ] as const)
      expect([path, (await put(`/os-services/${path}`, { ...body, ...change }, version)).status]).toEqual([
        path,
        status,
      ]);
  });

  test('are switched by id from 2.53 on and answer in full', async () => {
    const { id } = (await get('/os-services?host=h1', '2.53')).body.services[0];
    const off = await put(`/os-services/${id}`, { status: 'disabled', disabled_reason: 'repair' }, '2.53');
    expect(off.body.service).toMatchObject({ id, status: 'disabled', disabled_reason: 'repair', forced_down: false });
    expect((await put(`/os-services/${id}`, { status: 'enabled' }, '2.53')).body.service.status).toBe('enabled');
    expect((await put(`/os-services/${id}`, { forced_down: true }, '2.53')).status).toBe(501);
    for (const [path, body, status] of [
      [id, {}, 400],
      [id, { status: 'enabled', disabled_reason: 'x' }, 400],
      [id, { status: 'odd' }, 400],
      ['enable', { status: 'enabled' }, 400],
      ['00000000-0000-0000-0000-000000000000', { status: 'enabled' }, 404],
    ] as const)
      expect([path, (await put(`/os-services/${path}`, body, '2.53')).status]).toEqual([path, status]);
  });

  test('are removed with a host that has nothing left', async () => {
    const remove = (id: string | number, version: string) =>
      cloud.call('DELETE', `/compute/v2.1/os-services/${id}`, { token: 'admin', headers: at(version) });
    await makeHost(cloud, 'h3');
    const idOf = async (host: string, version: string) =>
      (await get(`/os-services?host=${host}`, version)).body.services[0].id;
    expect((await remove(await idOf('h1', '2.53'), '2.53')).status).toBe(409);
    expect((await remove('one', '2.1')).status).toBe(400);
    expect((await remove(7, '2.1')).status).toBe(404);
    expect((await remove(await idOf('h3', '2.1'), '2.1')).status).toBe(204);
    expect((await get('/os-services?host=h3')).body.services).toEqual([]);
  });
});

describe('hypervisors', () => {
  const short = ['hypervisor_hostname', 'id', 'state', 'status'];
  const numbers = [
    ...['current_workload', 'disk_available_least', 'free_disk_gb', 'free_ram_mb', 'local_gb', 'local_gb_used'],
    ...['memory_mb', 'memory_mb_used', 'running_vms', 'vcpus', 'vcpus_used'],
  ];
  const detail = [...short, 'host_ip', 'hypervisor_type', 'hypervisor_version', 'service'];
  const first = async (path: string, version: string) => (await get(path, version)).body.hypervisors[0];

  test('show exactly their keys at each step', async () => {
    expect(keys(await first('/os-hypervisors', '2.1'))).toEqual(short);
    expect(keys(await first('/os-hypervisors/detail', '2.1'))).toEqual([...detail, ...numbers, 'cpu_info'].sort());
    expect(keys(await first('/os-hypervisors/detail', '2.79'))).toEqual([...detail, ...numbers, 'cpu_info'].sort());
  });

  test('lost their numbers and the routes for them with 2.88', async () => {
    expect(keys(await first('/os-hypervisors/detail', '2.88'))).toEqual([...detail, 'uptime'].sort());
    expect((await get('/os-hypervisors/statistics', '2.88')).status).toBe(404);
    const { id } = await first('/os-hypervisors', '2.88');
    expect((await get(`/os-hypervisors/${id}/uptime`, '2.88')).status).toBe(404);
  });

  test('have the numbers of their host', async () => {
    const old = await first('/os-hypervisors/detail', '2.1');
    expect(old).toMatchObject({
      hypervisor_hostname: 'h1',
      state: 'up',
      status: 'enabled',
      vcpus: 4,
      memory_mb: 8192,
      memory_mb_used: 128,
      free_ram_mb: 8064,
      local_gb: 100,
      running_vms: 1,
      current_workload: 0,
      hypervisor_type: 'QEMU',
      hypervisor_version: 7002022,
      service: { host: 'h1', disabled_reason: null },
    });
    expect(JSON.parse(old.cpu_info)).toMatchObject({ arch: 'x86_64' });
    expect((await first('/os-hypervisors/detail', '2.28')).cpu_info).toMatchObject({ arch: 'x86_64' });
    expect(Number.isInteger(old.id) && Number.isInteger(old.service.id)).toBe(true);
    expect((await first('/os-hypervisors/detail', '2.53')).service.id).toMatch(/^[0-9a-f-]{36}$/);
  });

  test('of a host whose compute agent has not registered yet have no numbers, and one that is switched off says so', async () => {
    await makeHost(cloud, 'h0');
    await cloud.cloud.db.write(async (session) => {
      await session.delete(agents, { host: 'h0' });
      await session.update(hosts, { name: 'h0' }, { inventory: {} });
    });
    const body = { host: 'h0', binary: 'nova-compute', disabled_reason: 'new' };
    await put('/os-services/disable-log-reason', body);
    const fresh = await first('/os-hypervisors/detail', '2.28');
    expect(fresh).toMatchObject({
      hypervisor_hostname: 'h0',
      state: 'down',
      status: 'disabled',
      vcpus: 0,
      memory_mb: 0,
      hypervisor_type: 'QEMU',
      hypervisor_version: 0,
      cpu_info: {},
      service: { host: 'h0', disabled_reason: 'new' },
    });
    await cloud.cloud.db.write((session) => session.delete(hosts, { name: 'h0' }));
  });

  test.each([
    [null, '127.0.0.1'],
    ['192.0.2.7:8775', '192.0.2.7'],
    ['[2001:db8::7]:8775', '2001:db8::7'],
  ])('whose agent listens on %s have the address %s', async (listener, address) => {
    const set = (change: string | null) =>
      cloud.cloud.db.write((session) => session.update(agents, { host: 'h1', role: 'compute' }, { listener: change }));
    await set(listener);
    expect((await first('/os-hypervisors/detail', '2.28')).host_ip).toBe(address);
    await set(null);
  });

  test('are shown by id, and list their servers when asked', async () => {
    const { id } = await first('/os-hypervisors', '2.53');
    const shown = await get(`/os-hypervisors/${id}?with_servers=true`, '2.53');
    expect(shown.body.hypervisor.servers).toEqual([{ name: 'hello', uuid: server }]);
    expect((await get(`/os-hypervisors/${id}`, '2.53')).body.hypervisor).not.toHaveProperty('servers');
    const all = (await get('/os-hypervisors?with_servers=1', '2.75')).body.hypervisors;
    expect(all.map((one: { servers: unknown[] }) => one.servers.length)).toEqual([1, 0]);
    expect((await get('/os-hypervisors?with_servers=1', '2.53')).body.hypervisors[1]).not.toHaveProperty('servers');
    expect((await get('/os-hypervisors/h1', '2.53')).status).toBe(400);
    expect((await get('/os-hypervisors/7')).status).toBe(404);
    const old = await first('/os-hypervisors', '2.1');
    expect((await get(`/os-hypervisors/${old.id}`)).body.hypervisor.hypervisor_hostname).toBe('h1');
    expect(keys((await get(`/os-hypervisors/${old.id}/uptime`)).body.hypervisor)).toEqual([...short, 'uptime'].sort());
  });

  test('are searched by path before 2.53 and by query afterwards', async () => {
    expect((await get('/os-hypervisors/h2/search')).body.hypervisors).toHaveLength(1);
    expect((await get('/os-hypervisors/h1/servers')).body.hypervisors[0].servers).toHaveLength(1);
    expect((await get('/os-hypervisors/nobody/search')).status).toBe(404);
    expect((await get('/os-hypervisors/h2/search', '2.53')).status).toBe(404);
    expect((await get('/os-hypervisors?hypervisor_hostname_pattern=h', '2.53')).body.hypervisors).toHaveLength(2);
    expect((await get('/os-hypervisors?hypervisor_hostname_pattern=x', '2.53')).status).toBe(404);
    expect((await get('/os-hypervisors?hypervisor_hostname_pattern=h&limit=1', '2.53')).status).toBe(400);
  });

  test('page from 2.33 on', async () => {
    expect((await get('/os-hypervisors?limit=1', '2.32')).body.hypervisors).toHaveLength(2);
    const page = (await get('/os-hypervisors?limit=1', '2.33')).body;
    const next = new URL(page.hypervisors_links[0].href);
    const rest = (await get(`/os-hypervisors${next.search}`, '2.33')).body;
    expect(rest.hypervisors[0].hypervisor_hostname).toBe('h2');
    expect((await get('/os-hypervisors?marker=7', '2.33')).status).toBe(400);
  });

  test('are summed up', async () => {
    const sums = (await get('/os-hypervisors/statistics')).body.hypervisor_statistics;
    expect(keys(sums)).toEqual([...numbers, 'count'].sort());
    expect(sums).toMatchObject({ count: 2, vcpus: 8, memory_mb: 16384, running_vms: 1 });
  });
});

describe('zones', () => {
  test('are listed for everybody, with hosts for administrators only', async () => {
    const answer = await get('/os-availability-zone', '2.1', 'demo');
    expect(answer.body).toEqual({
      availabilityZoneInfo: [
        { zoneName: 'nova', zoneState: { available: true }, hosts: null },
        { zoneName: 'lab', zoneState: { available: true }, hosts: null },
      ],
    });
    expect((await get('/os-availability-zone/detail', '2.1', 'demo')).status).toBe(403);
    const [nova] = (await get('/os-availability-zone/detail')).body.availabilityZoneInfo;
    expect(nova.hosts.h1['nova-compute']).toMatchObject({ active: true, available: true });
  });
});

test('none of it is for tenants', async () => {
  for (const path of ['/os-services', '/os-hypervisors', '/os-hypervisors/detail', '/os-hypervisors/statistics'])
    expect([path, (await get(path, '2.1', 'demo')).status]).toEqual([path, 403]);
  for (const path of ['/os-hypervisors/1', '/os-hypervisors/1/uptime', '/os-hypervisors/h/search', '/os-aggregates'])
    expect([path, (await get(path, '2.1', 'demo')).status]).toEqual([path, 403]);
  expect((await get('/os-hypervisors/h/servers', '2.1', 'demo')).status).toBe(403);
  expect((await get('/os-simple-tenant-usage', '2.1', 'demo')).status).toBe(403);
  expect((await get('/os-simple-tenant-usage/other-project', '2.1', 'demo')).status).toBe(403);
  expect((await put('/os-services/enable', { host: 'h1', binary: 'nova-compute' }, '2.1', 'demo')).status).toBe(403);
  expect((await cloud.call('DELETE', '/compute/v2.1/os-services/1')).status).toBe(403);
});

describe('usage', () => {
  const HOUR = 3_600_000;
  const iso = (time: number) => new Date(time).toISOString().replace('Z', '');

  test.each([
    ['a server that was never launched', null, null, 0],
    ['one that ran all the time', 0, null, 10],
    ['one that began within', 4 * HOUR, null, 6],
    ['one that ended within', 0, 3 * HOUR, 3],
    ['one that came later', 20 * HOUR, null, 0],
  ])('%s', (_name, launched_at, terminated_at, hours) => {
    expect(hoursIn({ launched_at, terminated_at }, { start: 0, end: 10 * HOUR })).toBe(hours);
  });

  test('sums hours, cores, memory and disk of a project, in times without a zone', async () => {
    const now = Date.now();
    await cloud.cloud.db.write((session) => session.update(servers, { id: server }, { launched_at: now - 2 * HOUR }));
    const query = `?start=${iso(now - HOUR)}&end=${iso(now)}`;
    const { tenant_usage: usage } = (await get(`/os-simple-tenant-usage/demo-project${query}`, '2.1', 'demo')).body;
    expect(keys(usage)).toEqual([
      ...['server_usages', 'start', 'stop', 'tenant_id', 'total_hours', 'total_local_gb_usage'],
      ...['total_memory_mb_usage', 'total_vcpus_usage'],
    ]);
    expect(usage.total_hours).toBeCloseTo(1, 2);
    expect(usage.total_memory_mb_usage).toBeCloseTo(128, 0);
    expect(usage.server_usages[0]).toMatchObject({
      instance_id: server,
      flavor: 'small',
      state: 'active',
      ended_at: null,
    });
    const all = (await get(`/os-simple-tenant-usage${query}`)).body.tenant_usages;
    expect(all).toHaveLength(1);
    expect(all[0]).not.toHaveProperty('server_usages');
    expect((await get(`/os-simple-tenant-usage${query}&detailed=1`)).body.tenant_usages[0]).toHaveProperty(
      'server_usages',
    );
    const page = (await get(`/os-simple-tenant-usage${query}&limit=1`, '2.40')).body;
    expect(page.tenant_usages_links[0].href).toContain(`marker=${server}`);
    const after = (await get(`/os-simple-tenant-usage${query}&limit=1&marker=${server}`, '2.40')).body;
    expect(after).toEqual({ tenant_usages: [] });
    const own = (await get(`/os-simple-tenant-usage/demo-project${query}&limit=1`, '2.40')).body;
    expect(own.tenant_usage_links[0].href).toContain('/os-simple-tenant-usage/demo-project?');
    expect((await get('/os-simple-tenant-usage/other-project', '2.1')).body).toEqual({ tenant_usage: {} });
  });

  test('refuses times that are none, turned periods and unknown markers', async () => {
    for (const query of ['?start=soon', '?start=2026-01-02T00:00:00&end=2026-01-01T00:00:00'])
      expect([query, (await get(`/os-simple-tenant-usage${query}`)).status]).toEqual([query, 400]);
    expect((await get('/os-simple-tenant-usage?marker=nobody', '2.40')).status).toBe(400);
  });
});
