// How clients get from a name to an id: the name tried as an id, then a list; and what the server create and the default group make of names.
import { makeFlavor, makeImage, makeNetwork } from '../../support/computeFixtures';
import { networkCalls } from '../../support/networkFixtures';
import { startTestCloud, type TestCloud } from '../../support/testCloud';

let cloud: TestCloud;
let image: string;
const { network, subnet, port, router, group } = networkCalls(() => cloud);
const get = (path: string, token = 'demo', headers: Record<string, string> = {}) =>
  cloud.call('GET', path, { token, headers });
const NEWEST = { 'x-openstack-nova-api-version': '2.79' };

beforeAll(async () => {
  cloud = await startTestCloud();
  image = await makeImage(cloud);
  await makeFlavor(cloud, 'small');
});
afterAll(() => cloud.stop());

test.each([
  ...['networks', 'subnets', 'ports', 'routers', 'security-groups', 'security-group-rules', 'subnetpools'],
  ...['floatingips', 'address-groups', 'rbac-policies', 'extensions', 'agents'],
])('a name tried as an id below /network/v2.0/%s is 404 with all three keys of NeutronError', async (collection) => {
  for (const name of ['demo', '203.0.113.5', 'Availability%20Zone']) {
    const answer = await get(`/network/v2.0/${collection}/${name}`, 'admin');
    expect([name, answer.status]).toEqual([name, 404]);
    expect(Object.keys(answer.body)).toEqual(['NeutronError']);
    expect(Object.keys(answer.body.NeutronError).sort()).toEqual(['detail', 'message', 'type']);
    expect(answer.body.NeutronError.type).toMatch(/NotFound$/);
  }
});

test.each([
  ...['servers/hello', 'flavors/m1.none', 'os-keypairs/mine'],
  ...['servers/hello/os-interface', 'os-hypervisors/node-1'],
])('a name tried as an id at /compute/v2.1/%s is 404 itemNotFound with code and message', async (path) => {
  const answer = await get(`/compute/v2.1/${path}`, 'admin');
  expect(answer).toMatchObject({ status: 404, body: { itemNotFound: { code: 404, message: expect.any(String) } } });
  expect(Object.keys(answer.body)).toEqual(['itemNotFound']);
});

test('a name tried as an id of a security group of compute is 400, which the client takes for not found', async () => {
  const answer = await get('/compute/v2.1/os-security-groups/web');
  expect(answer.body).toEqual({ badRequest: { code: 400, message: expect.stringContaining('uuid') } });
});

test('a name tried as an id of an image is 404 in JSON, whatever is accepted', async () => {
  for (const accept of ['application/json', '*/*', '']) {
    const answer = await get('/image/v2/images/tiny', 'demo', { accept });
    expect(answer.status).toBe(404);
    expect(answer.body).toMatchObject({ code: '404 Not Found', title: 'Not Found', message: expect.any(String) });
  }
});

test('a name in a list is an exact match, for servers a regular expression', async () => {
  for (const name of ['web', 'web-1']) {
    const made = await network({ name });
    await subnet(made.id, { name });
    await port(made.id, { name });
    await router({ name });
    await group({ name });
    await makeImage(cloud, { name });
  }
  for (const path of ['networks', 'subnets', 'ports', 'routers', 'security-groups']) {
    const { body } = await get(`/network/v2.0/${path}?name=web`);
    expect([path, (Object.values(body)[0] as unknown[]).length]).toEqual([path, 1]);
  }
  expect((await get('/image/v2/images?name=web')).body.images).toHaveLength(1);
  for (const name of ['web', 'web-1'])
    await cloud.call('POST', '/compute/v2.1/servers', {
      headers: NEWEST,
      body: { server: { name, flavorRef: 'small', imageRef: image, networks: 'none' } },
    });
  const names = async (query: string) =>
    (await get(`/compute/v2.1/servers?${query}`)).body.servers.map((one: { name: string }) => one.name).sort();
  expect(await names('name=web')).toEqual(['web', 'web-1']);
  expect(await names('name=%5Eweb%24')).toEqual(['web']);
});

test('flavors are listed with the word None, and lists that the client searches itself come whole', async () => {
  for (const path of ['/compute/v2.1/flavors', '/compute/v2.1/flavors/detail?is_public=None'])
    expect((await get(path)).body.flavors).toMatchObject([{ id: 'small' }]);
  expect((await get('/network/v2.0/floatingips')).body).toEqual({ floatingips: [] });
  const groups = (await get('/compute/v2.1/os-security-groups')).body.security_groups;
  expect(groups.map((one: { name: string }) => one.name).sort()).toEqual(['default', 'web', 'web-1']);
});

describe('server create', () => {
  const create = (server: object, version = '2.1', token = 'other') =>
    cloud.call('POST', '/compute/v2.1/servers', {
      token,
      headers: { 'x-openstack-nova-api-version': version },
      body: { server: { name: 'x', flavorRef: 'small', imageRef: image, ...server } },
    });

  test('takes a security group by name or, in the field name, by id; an ambiguous name is 409, an unknown one 400', async () => {
    await makeNetwork(cloud, 'own', { project: 'other-project', third: 9 });
    const first = await group({ name: 'twice' }, 'other');
    expect((await create({ security_groups: [{ name: 'twice' }] })).status).toBe(202);
    const byId = await create({ security_groups: [{ name: first.id }] });
    expect(byId).toMatchObject({ status: 202, body: { server: { security_groups: [{ name: first.id }] } } });
    await group({ name: 'twice' }, 'other');
    const ambiguous = await create({ security_groups: [{ name: 'twice' }] });
    expect([ambiguous.status, Object.keys(ambiguous.body)]).toEqual([409, ['conflictingRequest']]);
    expect((await create({ security_groups: [{ name: first.id }] })).status).toBe(202);
    expect((await create({ security_groups: [{ name: 'nobody' }] })).status).toBe(400);
  });

  test('needs no networks below 2.37 and wants them from there on: a list, auto or none', async () => {
    expect((await create({})).status).toBe(202);
    expect((await create({}, '2.36')).status).toBe(202);
    expect((await create({ networks: 'none' }, '2.36')).status).toBe(400);
    expect((await create({}, '2.37')).body.badRequest.message).toContain('networks');
    for (const networks of ['auto', 'none']) expect((await create({ networks }, '2.37')).status).toBe(202);
    expect((await create({ networks: 'some' }, '2.37')).status).toBe(400);
    await makeNetwork(cloud, 'second', { project: 'other-project', third: 10 });
    expect((await create({})).body.conflictingRequest.code).toBe(409);
  });
});

test('administrators see every project in network and image lists, of servers only when they say so', async () => {
  await network({ name: 'foreign' }, 'other');
  expect((await get('/network/v2.0/networks?name=foreign', 'admin')).body.networks).toHaveLength(1);
  const names = async (query: string, token = 'admin') =>
    new Set((await get(`/compute/v2.1/servers${query}`, token)).body.servers.map((one: { name: string }) => one.name));
  expect(await names('')).toEqual(new Set());
  for (const query of ['?all_tenants=1', '?all_tenants=True', '?all_tenants'])
    expect(await names(query)).toEqual(new Set(['web', 'web-1', 'x']));
  const defaults = await get('/network/v2.0/security-groups?name=default', 'admin');
  expect(defaults.body.security_groups.length).toBeGreaterThan(1);
});

test.each([
  ['listing groups', (token: string) => get('/network/v2.0/security-groups', token)],
  ['listing groups through compute', (token: string) => get('/compute/v2.1/os-security-groups', token)],
  ['listing ports', (token: string) => get('/network/v2.0/ports', token)],
  ['making a network', (token: string) => network({}, token)],
  ['making a group', (token: string) => group({}, token)],
])('the default group exists for a project after %s', async (_what, use) => {
  const fresh = await startTestCloud();
  const before = cloud;
  cloud = fresh;
  try {
    await use('demo');
    const { body } = await fresh.call('GET', '/network/v2.0/security-groups?name=default&project_id=demo-project', {
      token: 'admin',
    });
    expect(body.security_groups).toMatchObject([{ name: 'default', project_id: 'demo-project' }]);
  } finally {
    cloud = before;
    await fresh.stop();
  }
});
