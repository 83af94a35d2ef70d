// Quota sets, quota classes and limits at the microversions where their keys change.
import { servers } from '../../controller/src/db/entities/compute';
import { forgetServer } from '../../controller/src/services/compute/serverEnd';
import { makeFlavor, makeImage } from '../support/computeFixtures';
import { startTestCloud, testCaller, testCallers, type TestCloud } from '../support/testCloud';

let cloud: TestCloud;
beforeEach(async () => void (cloud = await startTestCloud()));
afterEach(() => cloud.stop());

const at = (version: string) => ({ 'x-openstack-nova-api-version': version });
const get = (path: string, version = '2.1', token = 'demo') =>
  cloud.call('GET', `/compute/v2.1${path}`, { headers: at(version), token });
const put = (path: string, body: object, version = '2.1', token = 'admin') =>
  cloud.call('PUT', `/compute/v2.1${path}`, { headers: at(version), token, body });
const keys = (value: object) => Object.keys(value).sort();

const always = ['cores', 'instances', 'key_pairs', 'metadata_items', 'ram'];
const groups = ['server_group_members', 'server_groups'];
const files = ['injected_file_content_bytes', 'injected_file_path_bytes', 'injected_files'];
const network = ['fixed_ips', 'floating_ips', 'security_group_rules', 'security_groups'];

test.each([
  ['2.1', [...always, ...groups, ...files, ...network]],
  ['2.36', [...always, ...groups, ...files]],
  ['2.57', [...always, ...groups]],
])('a quota set at %s has exactly its resources', async (version, expected) => {
  for (const path of ['', '/detail', '/defaults']) {
    const answer = await get(`/os-quota-sets/demo-project${path}`, version);
    expect([path, keys(answer.body.quota_set)]).toEqual([path, [...expected, 'id'].sort()]);
    expect(answer.body.quota_set.id).toBe('demo-project');
  }
});

test.each([
  ['2.1', [...always, ...files, ...network]],
  ['2.50', [...always, ...groups, ...files]],
  ['2.57', [...always, ...groups]],
])('the quota class at %s has exactly its resources', async (version, expected) => {
  const answer = await get('/os-quota-class-sets/default', version, 'admin');
  expect(keys(answer.body.quota_class_set)).toEqual([...expected, 'id'].sort());
});

test('details say limit, use and nothing reserved', async () => {
  const answer = await get('/os-quota-sets/demo-project/detail', '2.57');
  expect(answer.body.quota_set.cores).toEqual({ limit: 20, in_use: 0, reserved: 0 });
});

test('limits that are set hold for that project until they are deleted', async () => {
  const set = await put('/os-quota-sets/demo-project', { quota_set: { cores: 7, ram: '4096' } });
  expect([set.status, set.body.quota_set.cores, set.body.quota_set.ram]).toEqual([200, 7, 4096]);
  expect(set.body.quota_set).not.toHaveProperty('id');
  expect((await get('/os-quota-sets/demo-project')).body.quota_set.cores).toBe(7);
  expect((await get('/os-quota-sets/other-project', '2.1', 'other')).body.quota_set.cores).toBe(20);
  await put('/os-quota-sets/demo-project', { quota_set: { cores: -1 } });
  expect((await get('/os-quota-sets/demo-project')).body.quota_set.cores).toBe(-1);
  const gone = await cloud.call('DELETE', '/compute/v2.1/os-quota-sets/demo-project', { token: 'admin' });
  expect(gone.status).toBe(202);
  expect((await get('/os-quota-sets/demo-project')).body.quota_set.cores).toBe(20);
});

test('the default class changes what projects without limits of their own have', async () => {
  await put('/os-quota-sets/demo-project', { quota_set: { cores: 7 } });
  const set = await put('/os-quota-class-sets/default', { quota_class_set: { cores: 3 } });
  expect([set.status, set.body.quota_class_set.cores]).toEqual([200, 3]);
  expect((await get('/os-quota-sets/other-project/defaults', '2.1', 'other')).body.quota_set.cores).toBe(3);
  expect((await get('/os-quota-sets/other-project', '2.1', 'other')).body.quota_set.cores).toBe(3);
  expect((await get('/os-quota-sets/demo-project')).body.quota_set.cores).toBe(7);
  expect((await put('/os-quota-class-sets/gold', { quota_class_set: { cores: 3 } })).status).toBe(501);
});

test.each([
  [{ cores: -2 }, '2.1'],
  [{ cores: 'many' }, '2.1'],
  [{ cores: 3_000_000_000 }, '2.1'],
  [{ colour: 1 }, '2.1'],
  [{ floating_ips: 1 }, '2.36'],
  [{ injected_files: 1 }, '2.57'],
])('%j at %s is a bad request', async (quota_set, version) => {
  expect((await put('/os-quota-sets/demo-project', { quota_set }, version)).body.badRequest.code).toBe(400);
});

test('foreign quotas are forbidden, and so is changing one’s own', async () => {
  expect((await get('/os-quota-sets/other-project')).status).toBe(403);
  expect((await get('/os-quota-sets/other-project/detail')).status).toBe(403);
  expect((await get('/os-quota-class-sets/default')).status).toBe(403);
  expect((await put('/os-quota-sets/demo-project', { quota_set: {} }, '2.1', 'demo')).status).toBe(403);
  expect((await put('/os-quota-class-sets/default', { quota_class_set: {} }, '2.1', 'demo')).status).toBe(403);
  expect((await cloud.call('DELETE', '/compute/v2.1/os-quota-sets/demo-project')).status).toBe(403);
  expect((await get('/limits?tenant_id=other-project')).status).toBe(403);
});

describe('limits of one user', () => {
  const of = '/os-quota-sets/demo-project?user_id=demo-user';
  const boot = (more: object = {}) =>
    cloud.call('POST', '/compute/v2.1/servers', {
      body: { server: { name: 'x', flavorRef: 'small', imageRef: image, ...more } },
    });
  let image: string;
  beforeEach(async () => {
    image = await makeImage(cloud);
    await makeFlavor(cloud, 'small');
  });

  test('are the project’s until they are set, are shown, and are the project’s again when they are deleted', async () => {
    expect((await get(of)).body.quota_set.cores).toBe(20);
    const set = await put(of, { quota_set: { cores: 3, metadata_items: '0', key_pairs: 0 } });
    expect([set.status, set.body.quota_set.cores, set.body.quota_set.metadata_items]).toEqual([200, 3, 0]);
    expect((await get(of)).body.quota_set.cores).toBe(3);
    expect((await get('/os-quota-sets/demo-project')).body.quota_set.cores).toBe(20);
    expect((await get('/os-quota-sets/demo-project?user_id=another')).body.quota_set.cores).toBe(20);
    const key = await cloud.call('POST', '/compute/v2.1/os-keypairs', { body: { keypair: { name: 'k' } } });
    expect(key.body.forbidden.code).toBe(403);
    expect((await boot({ metadata: { a: 'b' } })).body.forbidden.code).toBe(403);
    await put('/os-quota-sets/demo-project', { quota_set: { cores: 10 } });
    const gone = await cloud.call('DELETE', `/compute/v2.1${of}`, { token: 'admin' });
    expect(gone.status).toBe(202);
    expect((await get(of)).body.quota_set.cores).toBe(10);
    await put(of, { quota_set: { cores: 4 } });
    await cloud.call('DELETE', '/compute/v2.1/os-quota-sets/demo-project', { token: 'admin' });
    expect((await get(of)).body.quota_set.cores).toBe(20);
  });

  test('hold for that user’s servers alone, and a request for several gets what there is room for', async () => {
    await put(of, { quota_set: { instances: 2 } });
    expect((await boot({ min_count: 1, max_count: 5, return_reservation_id: true })).status).toBe(202);
    expect((await get(`${of.replace('?', '/detail?')}`)).body.quota_set.instances).toEqual({
      limit: 2,
      in_use: 2,
      reserved: 0,
    });
    const over = await boot();
    expect([over.status, over.body.forbidden.message]).toEqual([
      403,
      'Quota exceeded for instances: Requested 1, but already used 2 of 2 instances',
    ]);
    const colleague = { ...testCaller('demo', ['member']), userId: 'colleague' };
    Object.assign(testCallers, { colleague });
    const body = { server: { name: 'x', flavorRef: 'small', imageRef: image } };
    expect((await cloud.call('POST', '/compute/v2.1/servers', { body, token: 'colleague' })).status).toBe(202);
    expect((await get('/os-quota-sets/demo-project/detail')).body.quota_set.instances.in_use).toBe(3);
    const less = await put(of, { quota_set: { instances: 1 } });
    expect(less.body.badRequest.message).toContain('greater than or equal to already used and reserved 2');
    expect((await put(of, { quota_set: { instances: 1, force: true } })).status).toBe(200);
  });

  test('are at most the project’s, unless forced; what belongs to no user stays the project’s', async () => {
    for (const cores of [21, -1])
      expect((await put(of, { quota_set: { cores } })).body.badRequest.message).toContain('less than or equal to 20');
    expect((await put(of, { quota_set: { cores: 21, force: true } })).body.quota_set.cores).toBe(21);
    await put(of, { quota_set: { floating_ips: 7 } });
    expect((await get('/os-quota-sets/demo-project')).body.quota_set.floating_ips).toBe(7);
  });

  test('are set and deleted by administrators, and not shown to other projects', async () => {
    expect((await put(of, { quota_set: { cores: 1 } }, '2.1', 'demo')).status).toBe(403);
    expect((await cloud.call('DELETE', `/compute/v2.1${of}`)).status).toBe(403);
    expect((await get(of, '2.1', 'other')).status).toBe(403);
  });
});

test('unknown query keys are refused from 2.75 on', async () => {
  for (const path of ['/os-quota-sets/demo-project', '/os-quota-sets/demo-project/detail', '/limits']) {
    expect((await get(`${path}?colour=red`, '2.74')).status).toBe(200);
    expect((await get(`${path}?colour=red`, '2.75')).status).toBe(400);
  }
});

const absolute = [
  ...['maxServerGroupMembers', 'maxServerGroups', 'maxServerMeta', 'maxTotalCores', 'maxTotalInstances'],
  ...['maxTotalKeypairs', 'maxTotalRAMSize', 'totalCoresUsed', 'totalInstancesUsed', 'totalRAMUsed'],
  'totalServerGroupsUsed',
];
const personality = ['maxPersonality', 'maxPersonalitySize'];
const networks = [
  ...['maxSecurityGroupRules', 'maxSecurityGroups', 'maxTotalFloatingIps'],
  ...['totalFloatingIpsUsed', 'totalSecurityGroupsUsed'],
];

test.each([
  ['2.1', [...absolute, ...personality, ...networks, 'maxImageMeta']],
  ['2.36', [...absolute, ...personality, 'maxImageMeta']],
  ['2.39', [...absolute, ...personality]],
  ['2.57', absolute],
])('limits at %s have exactly their keys', async (version, expected) => {
  const answer = await get('/limits', version);
  expect(keys(answer.body.limits)).toEqual(['absolute', 'rate']);
  expect(answer.body.limits.rate).toEqual([]);
  expect(keys(answer.body.limits.absolute)).toEqual([...expected].sort());
});

test('an administrator reads the limits of another project', async () => {
  await put('/os-quota-sets/demo-project', { quota_set: { cores: 7 } });
  const answer = await get('/limits?tenant_id=demo-project', '2.1', 'admin');
  expect(answer.body.limits.absolute.maxTotalCores).toBe(7);
});

test('the end of a server gives its quota back, once', async () => {
  const id = await makeImage(cloud);
  await makeFlavor(cloud, 'small');
  const body = { server: { name: 'short', flavorRef: 'small', imageRef: id } };
  const made = await cloud.call('POST', '/compute/v2.1/servers', { body });
  const used = async () => (await get('/limits')).body.limits.absolute;
  expect(await used()).toMatchObject({ totalInstancesUsed: 1, totalCoresUsed: 1, totalRAMUsed: 128 });
  const limit = await put('/os-quota-sets/demo-project', { quota_set: { instances: 0 } });
  expect(limit.body.badRequest.message).toContain('already used');
  const row = await cloud.cloud.db.read((session) => session.findOne(servers, { id: made.body.server.id }));
  if (!row) throw new Error('no server');
  for (let time = 0; time < 2; time++) await cloud.cloud.db.write((session) => forgetServer(session, cloud.cloud, row));
  expect(await used()).toMatchObject({ totalInstancesUsed: 0, totalCoresUsed: 0, totalRAMUsed: 0 });
});
