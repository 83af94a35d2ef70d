// Servers: what create answers, what it makes, what shows at which microversion, and who may see it.
import { ports } from '../../controller/src/db/entities/network';
import { servers } from '../../controller/src/db/entities/compute';
import { tasks } from '../../controller/src/db/entities/tasks';
import { makeFlavor, makeHost, makeImage, makeNetwork, settle, withoutQuota } from '../support/computeFixtures';
import { startTestCloud, type Answer, type TestCloud } from '../support/testCloud';

let cloud: TestCloud;
let image: string;
let network: string;
beforeAll(async () => {
  cloud = await startTestCloud();
  image = await makeImage(cloud);
  network = await makeNetwork(cloud, 'demo');
  await makeFlavor(cloud, 'small');
  await withoutQuota(cloud);
});
afterAll(() => cloud.stop());

const at = (version: string) => ({ 'x-openstack-nova-api-version': version });
const post = (server: object, version = '2.1', token = 'demo', more: object = {}): Promise<Answer> =>
  cloud.call('POST', '/compute/v2.1/servers', {
    token,
    headers: at(version),
    body: { server: { name: 'hello', flavorRef: 'small', imageRef: image, ...server }, ...more },
  });
const create = async (server: object = {}, version = '2.1', token = 'demo'): Promise<string> => {
  const answer = await post(server, version, token);
  if (answer.status !== 202) throw new Error(JSON.stringify(answer.body));
  return answer.body.server.id as string;
};
const show = async (id: string, version = '2.1', token = 'demo') =>
  (await cloud.call('GET', `/compute/v2.1/servers/${id}`, { token, headers: at(version) })).body.server;
const row = (id: string) => cloud.cloud.db.read((session) => session.findOne(servers, { id }));
const keys = (value: object) => Object.keys(value).sort();

const plain = [
  ...['OS-DCF:diskConfig', 'OS-EXT-AZ:availability_zone', 'OS-EXT-STS:power_state', 'OS-EXT-STS:task_state'],
  ...['OS-EXT-STS:vm_state', 'OS-SRV-USG:launched_at', 'OS-SRV-USG:terminated_at', 'accessIPv4', 'accessIPv6'],
  ...['addresses', 'config_drive', 'created', 'flavor', 'hostId', 'id', 'image', 'key_name', 'links', 'metadata'],
  ...['name', 'os-extended-volumes:volumes_attached', 'progress', 'security_groups', 'status', 'tenant_id'],
  ...['updated', 'user_id'],
];
const extended21 = ['host', 'hypervisor_hostname', 'instance_name'].map((name) => `OS-EXT-SRV-ATTR:${name}`);
const extended23 = [
  ...['hostname', 'kernel_id', 'launch_index', 'ramdisk_id', 'reservation_id', 'root_device_name', 'user_data'],
].map((name) => `OS-EXT-SRV-ATTR:${name}`);
const steps: [string, string[]][] = [
  ['2.1', []],
  ['2.9', ['locked']],
  ['2.19', ['locked', 'description']],
  ['2.26', ['locked', 'description', 'tags']],
  ['2.63', ['locked', 'description', 'tags', 'trusted_image_certificates']],
  ['2.71', ['locked', 'description', 'tags', 'trusted_image_certificates', 'server_groups']],
  ['2.73', ['locked', 'description', 'tags', 'trusted_image_certificates', 'server_groups', 'locked_reason']],
];

test('create answers exactly what clients expect and makes everything in BUILD', async () => {
  const answer = await post({ security_groups: [{ name: 'default' }] });
  expect(answer.status).toBe(202);
  const { server } = answer.body;
  expect(keys(server)).toEqual(['OS-DCF:diskConfig', 'adminPass', 'id', 'links', 'security_groups']);
  expect(server.security_groups).toEqual([{ name: 'default' }]);
  expect(answer.headers.get('location')).toBe(`${cloud.url}/compute/v2.1/servers/${server.id}`);
  const shown = await show(server.id);
  expect(shown).toMatchObject({ status: 'BUILD', addresses: {}, 'OS-EXT-STS:task_state': 'scheduling', hostId: '' });
  await cloud.cloud.db.read(async (session) => {
    const [port, ...others] = await session.find(ports, { where: { device_id: server.id } });
    expect(port).toMatchObject({ network_id: network, device_owner: 'compute:nova', dns_name: 'hello' });
    expect(others).toEqual([]);
    const made = await session.find(tasks, { where: { resource_id: server.id } });
    expect(made).toMatchObject([
      { kind: 'server.create', active: 1, request_id: answer.headers.get('x-compute-request-id') },
    ]);
  });
});

test.each(steps)('a server at %s has exactly its keys', async (version, more) => {
  const id = await create();
  await settle(cloud, id);
  expect(keys(await show(id, version))).toEqual([...plain, ...more].sort());
  const extended = version === '2.1' ? extended21 : [...extended21, ...extended23];
  const status = ['2.1', '2.9'].includes(version) ? [] : ['host_status'];
  expect(keys(await show(id, version, 'admin'))).toEqual([...plain, ...more, ...extended, ...status].sort());
  const detail = await cloud.call('GET', '/compute/v2.1/servers/detail', { headers: at(version) });
  expect(keys(detail.body.servers[0])).toEqual([...plain, ...more].filter((key) => key !== 'server_groups').sort());
});

test('from 2.90 everybody sees the host name, from 2.96 the pinned zone', async () => {
  const id = await create({ networks: 'none', hostname: 'own-name' }, '2.90');
  await settle(cloud, id);
  const name = 'OS-EXT-SRV-ATTR:hostname';
  const newest = steps.at(-1)?.[1] ?? [];
  expect(keys(await show(id, '2.89'))).not.toContain(name);
  const expected = [...plain, ...newest, name].filter((key) => key !== 'security_groups');
  expect(keys(await show(id, '2.90'))).toEqual([...expected].sort());
  expect((await show(id, '2.90'))[name]).toBe('own-name');
  expect(keys(await show(id, '2.96'))).toEqual([...expected, 'pinned_availability_zone'].sort());
  expect((await show(id, '2.96')).pinned_availability_zone).toBeNull();
  expect((await post({ networks: 'none', hostname: 'a.b' }, '2.93')).status).toBe(400);
  const named = await create({ hostname: 'web.lab.example', networks: [{ uuid: network }] }, '2.94');
  await cloud.cloud.db.read(async (session) => {
    expect(await session.find(ports, { where: { device_id: named } })).toMatchObject([{ dns_name: 'web' }]);
  });
  const put = await cloud.call('PUT', `/compute/v2.1/servers/${id}`, {
    headers: at('2.96'),
    body: { server: { hostname: 'other' } },
  });
  expect(keys(put.body.server)).toEqual([...expected, 'pinned_availability_zone'].sort());
  const rename = (hostname: string) =>
    cloud.call('PUT', `/compute/v2.1/servers/${named}`, { headers: at('2.94'), body: { server: { hostname } } });
  const names = () =>
    cloud.cloud.db.read(async (session) =>
      (await session.find(ports, { where: { device_id: named } })).map((port) => port.dns_name),
    );
  await rename('mail.lab.example');
  expect(await names()).toEqual(['mail']);
  await rename('mail.elsewhere.example');
  expect(await names()).toEqual(['mail']);
  await cloud.cloud.db.write((session) => session.update(ports, { device_id: named }, { dns_name: 'own' }));
  await rename('db');
  expect(await names()).toEqual(['own']);
});

test('values have the types and time formats that clients parse', async () => {
  await makeHost(cloud, 'h1', 'lab');
  const id = await create({ config_drive: true, metadata: { role: 'web' }, accessIPv4: '192.0.2.1' });
  await settle(cloud, id, { host: 'h1' });
  const shown = await show(id, '2.26', 'admin');
  expect(shown.created).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/);
  expect(shown['OS-SRV-USG:launched_at']).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}$/);
  expect(shown).toMatchObject({
    status: 'ACTIVE',
    config_drive: 'True',
    accessIPv4: '192.0.2.1',
    accessIPv6: '',
    metadata: { role: 'web' },
    key_name: null,
    'OS-EXT-STS:power_state': 1,
    'OS-EXT-STS:vm_state': 'active',
    'OS-EXT-STS:task_state': null,
    'OS-EXT-AZ:availability_zone': 'lab',
    'OS-SRV-USG:terminated_at': null,
    'OS-EXT-SRV-ATTR:host': 'h1',
    'OS-EXT-SRV-ATTR:hypervisor_hostname': 'h1',
    'OS-EXT-SRV-ATTR:instance_name': `cumulet-${id}`,
    host_status: 'UP',
    image: { id: image },
    flavor: { id: 'small' },
    security_groups: [{ name: 'default' }],
  });
  expect(shown.hostId).toMatch(/^[0-9a-f]{56}$/);
  expect(shown.addresses.demo).toEqual([
    {
      version: 4,
      addr: expect.stringMatching(/^10\.0\.0\./),
      'OS-EXT-IPS:type': 'fixed',
      'OS-EXT-IPS-MAC:mac_addr': expect.stringMatching(/^([0-9a-f]{2}:){5}[0-9a-f]{2}$/),
    },
  ]);
});

test('from 2.47 the flavor is embedded without an id', async () => {
  const id = await create();
  expect(keys((await show(id, '2.46')).flavor)).toEqual(['id', 'links']);
  expect((await show(id, '2.47')).flavor).toEqual({
    original_name: 'small',
    vcpus: 1,
    ram: 128,
    disk: 1,
    ephemeral: 0,
    swap: 0,
    extra_specs: {},
  });
});

test('a failure shows its words to the owner and its details to administrators', async () => {
  const id = await create();
  const fault = { code: 500, message: 'no host has room', details: 'host h1: 0 MiB free', created: 1_790_000_000_000 };
  await settle(cloud, id, { vm_state: 'error', fault });
  expect((await show(id)).fault).toEqual({ code: 500, message: fault.message, created: '2026-09-21T14:13:20Z' });
  expect((await show(id, '2.1', 'admin')).fault.details).toBe(fault.details);
  expect(await show(id)).not.toHaveProperty('progress');
  await settle(cloud, id, { fault });
  expect(await show(id)).not.toHaveProperty('fault');
});

test('a second tenant finds nothing of the first', async () => {
  const id = await create();
  for (const [method, path, body] of [
    ['GET', `/servers/${id}`],
    ['PUT', `/servers/${id}`, { server: { name: 'mine' } }],
    ['DELETE', `/servers/${id}`],
  ] as const) {
    const answer = await cloud.call(method, `/compute/v2.1${path}`, { token: 'other', ...(body ? { body } : {}) });
    expect([method, answer.status]).toEqual([method, 404]);
    expect(answer.body.itemNotFound.message).toBe(`Instance ${id} could not be found.`);
  }
  expect((await cloud.call('GET', '/compute/v2.1/servers', { token: 'other' })).body.servers).toEqual([]);
});

test('readers read and change nothing', async () => {
  const id = await create();
  expect((await cloud.call('GET', `/compute/v2.1/servers/${id}`, { token: 'reader' })).status).toBe(200);
  expect((await post({}, '2.1', 'reader')).status).toBe(403);
  expect((await cloud.call('DELETE', `/compute/v2.1/servers/${id}`, { token: 'reader' })).status).toBe(403);
});

test('names are tried as ids and not found', async () => {
  const answer = await cloud.call('GET', '/compute/v2.1/servers/hello');
  expect([answer.status, answer.body.itemNotFound.message]).toEqual([404, 'Instance hello could not be found.']);
});

describe('delete', () => {
  const remove = (id: string, token = 'demo') => cloud.call('DELETE', `/compute/v2.1/servers/${id}`, { token });

  test('turns a running create and shows that it is deleting', async () => {
    const id = await create();
    expect((await remove(id)).status).toBe(204);
    expect((await show(id))['OS-EXT-STS:task_state']).toBe('deleting');
    const [task] = await cloud.cloud.db.read((session) =>
      session.find(tasks, { where: { resource_id: id, active: 1 } }),
    );
    expect(task?.delete_requested_at).not.toBeNull();
    expect((await remove(id)).status).toBe(204);
  });

  test('begins a task of its own and ends in 404', async () => {
    const id = await create();
    await settle(cloud, id);
    const before = (await row(id))?.generation ?? 0;
    expect((await remove(id)).status).toBe(204);
    expect((await row(id))?.generation).toBe(before + 1);
    const kinds = (
      await cloud.cloud.db.read((session) => session.find(tasks, { where: { resource_id: id, active: 1 } }))
    ).map((task) => task.kind);
    expect(kinds).toEqual(['server.delete']);
    await settle(cloud, id, { vm_state: 'deleted', deleted_at: Date.now() });
    expect((await remove(id)).status).toBe(404);
    expect((await cloud.call('GET', `/compute/v2.1/servers/${id}`)).status).toBe(404);
  });

  test('of a failed server never shows ERROR on the way', async () => {
    const id = await create();
    await settle(cloud, id, { vm_state: 'error' });
    await remove(id);
    expect((await show(id)).status).toBe('DELETED');
  });

  test('of a locked server is a conflict for its owner, not for an administrator', async () => {
    const id = await create();
    await settle(cloud, id, { locked: true, locked_by: 'owner' });
    const answer = await remove(id);
    expect([answer.status, answer.body.conflictingRequest.message]).toEqual([409, `Instance ${id} is locked`]);
    expect((await remove(id, 'admin')).status).toBe(204);
  });
});

describe('update', () => {
  const put = (id: string, server: object, version = '2.1') =>
    cloud.call('PUT', `/compute/v2.1/servers/${id}`, { headers: at(version), body: { server } });
  const before275 = [
    ...['OS-DCF:diskConfig', 'accessIPv4', 'accessIPv6', 'addresses', 'created', 'flavor', 'hostId', 'id', 'image'],
    ...['links', 'metadata', 'name', 'progress', 'status', 'tenant_id', 'updated', 'user_id'],
  ];

  test('changes name, addresses and description and answers the short form before 2.75', async () => {
    const id = await create();
    await settle(cloud, id);
    const renamed = await put(id, { name: 'renamed', accessIPv4: '192.0.2.9', accessIPv6: '' });
    expect(keys(renamed.body.server)).toEqual(before275);
    expect(keys(renamed.body.server.addresses.demo[0])).toEqual(['addr', 'version']);
    expect(renamed.body.server).toMatchObject({ name: 'renamed', accessIPv4: '192.0.2.9' });
    expect((await put(id, { description: 'words' }, '2.19')).body.server.description).toBe('words');
    expect((await put(id, { description: null }, '2.19')).body.server.description).toBeNull();
    expect((await put(id, { 'OS-DCF:diskConfig': 'AUTO' })).body.server['OS-DCF:diskConfig']).toBe('AUTO');
  });

  test('answers everything from 2.75 on', async () => {
    const id = await create();
    await settle(cloud, id);
    const full = await put(id, { name: 'renamed' }, '2.75');
    expect(keys(full.body.server)).toEqual(keys(await show(id, '2.75')));
  });

  test.each([
    [{ name: '' }, '2.1'],
    [{ name: ' spaced ' }, '2.1'],
    [{ description: 'early' }, '2.18'],
    [{ accessIPv4: 'here' }, '2.1'],
    [{ colour: 'red' }, '2.79'],
    [{ hostname: 'early' }, '2.79'],
  ])('%j at %s is a bad request', async (server, version) => {
    const id = await create();
    expect((await put(id, server, version)).body.badRequest.code).toBe(400);
  });
});
