// Regions, services and endpoints, and that the catalog in tokens follows them.
import { startIdentity, type IdentityCloud } from '../support/identity';

let cloud: IdentityCloud;
beforeAll(async () => void (cloud = await startIdentity()));
afterAll(() => cloud.stop());

const url = (path: string): string => `${cloud.test.url}/identity/v3${path}`;
const catalog = async () => (await cloud.must(200, 'GET', '/auth/catalog')).catalog;
const service = async (type: string): Promise<string> =>
  (await cloud.must(201, 'POST', '/services', { service: { type, name: type } })).service.id;

test('a region: made with an id of one choice, shown, changed, deleted', async () => {
  const { region } = await cloud.must(201, 'POST', '/regions', {
    region: { id: 'North Sea', description: 'cold', depth: 9 },
  });
  expect(region).toEqual({
    id: 'North Sea',
    description: 'cold',
    parent_region_id: null,
    depth: 9,
    links: { self: url('/regions/North%20Sea') },
  });
  expect((await cloud.must(200, 'GET', '/regions/North%20Sea')).region).toEqual(region);
  await cloud.must(409, 'POST', '/regions', { region: { id: 'North Sea' } });
  const child = (await cloud.must(201, 'PUT', '/regions/bay', { region: { parent_region_id: 'North Sea' } })).region;
  expect(child).toMatchObject({ id: 'bay', description: '', parent_region_id: 'North Sea' });
  const under = await cloud.must(200, 'GET', '/regions?parent_region_id=North%20Sea');
  expect(under.regions.map((one: { id: string }) => one.id)).toEqual(['bay']);
  const changed = await cloud.must(200, 'PATCH', '/regions/bay', { region: { description: 'warm' } });
  expect(changed.region).toMatchObject({ id: 'bay', description: 'warm', parent_region_id: 'North Sea' });
  await cloud.must(400, 'PATCH', '/regions/North%20Sea', { region: { parent_region_id: 'bay' } });
  await cloud.must(400, 'PATCH', '/regions/bay', { region: { parent_region_id: 'bay' } });
  await cloud.must(204, 'DELETE', '/regions/North%20Sea');
  await cloud.must(404, 'GET', '/regions/bay');
  expect((await cloud.must(201, 'POST', '/regions', { region: {} })).region.id).toMatch(/^[0-9a-f]{32}$/);
});

test('bad regions are refused', async () => {
  await cloud.must(400, 'POST', '/regions', {});
  await cloud.must(400, 'POST', '/regions', { region: { id: 5 } });
  await cloud.must(400, 'POST', '/regions', { region: { id: 'x'.repeat(256) } });
  await cloud.must(404, 'POST', '/regions', { region: { parent_region_id: 'nothing' } });
  await cloud.must(400, 'PUT', '/regions/a', { region: { id: 'b' } });
  await cloud.must(400, 'PATCH', '/regions/RegionOne', { region: {} });
  await cloud.must(403, 'DELETE', '/regions/RegionOne');
  await cloud.must(404, 'DELETE', '/regions/nothing');
});

test('a service: made, listed by type and name, changed, deleted with its endpoints', async () => {
  const { service: made } = await cloud.must(201, 'POST', '/services', {
    service: { type: 'dns', name: 'names', description: 'd', since: 2026 },
  });
  expect(made).toEqual({
    id: expect.stringMatching(/^[0-9a-f]{32}$/),
    type: 'dns',
    name: 'names',
    description: 'd',
    enabled: true,
    since: 2026,
    links: { self: url(`/services/${made.id}`) },
  });
  for (const query of ['type=dns', 'name=names'])
    expect((await cloud.must(200, 'GET', `/services?${query}`)).services).toEqual([made]);
  const changed = await cloud.must(200, 'PATCH', `/services/${made.id}`, {
    service: { type: 'dns2', name: 'n', description: null, enabled: false },
  });
  expect(changed.service).toMatchObject({ type: 'dns2', name: 'n', enabled: false });
  const { endpoint } = await cloud.must(201, 'POST', '/endpoints', {
    endpoint: { service_id: made.id, interface: 'public', url: 'http://dns.example/' },
  });
  expect((await catalog()).some((one: { type: string }) => one.type === 'dns2')).toBe(false);
  await cloud.must(204, 'DELETE', `/services/${made.id}`);
  await cloud.must(404, 'GET', `/services/${made.id}`);
  await cloud.must(404, 'GET', `/endpoints/${endpoint.id}`);
  await cloud.must(200, 'PATCH', `/services/${await service('same')}`, { service: { owner: 'me' } });
  await cloud.must(400, 'PATCH', `/services/${await service('same')}`, { service: { id: 'other' } });
  for (const body of [{}, { type: '' }, { type: 1 }, { type: 'a', enabled: 'no' }])
    await cloud.must(400, 'POST', '/services', { service: body });
  expect((await cloud.must(201, 'POST', '/services', { service: { type: 'bare' } })).service).not.toHaveProperty(
    'name',
  );
});

test('an endpoint: made, listed by its attributes, changed, deleted; the catalog follows at once', async () => {
  const service_id = await service('rating');
  const { endpoint } = await cloud.must(201, 'POST', '/endpoints', {
    endpoint: { service_id, interface: 'public', url: 'https://rate.example/v1', region_id: 'RegionOne', name: 'r' },
  });
  expect(endpoint).toEqual({
    id: expect.stringMatching(/^[0-9a-f]{32}$/),
    service_id,
    interface: 'public',
    url: 'https://rate.example/v1',
    region: 'RegionOne',
    region_id: 'RegionOne',
    enabled: true,
    name: 'r',
    links: { self: url(`/endpoints/${endpoint.id}`) },
  });
  const shown = async () => (await catalog()).find((one: { type: string }) => one.type === 'rating').endpoints;
  expect(await shown()).toEqual([
    {
      id: endpoint.id,
      interface: 'public',
      region: 'RegionOne',
      region_id: 'RegionOne',
      url: 'https://rate.example/v1',
    },
  ]);
  for (const query of [`service_id=${service_id}`, `service_id=${service_id}&interface=public&region_id=RegionOne`])
    expect((await cloud.must(200, 'GET', `/endpoints?${query}`)).endpoints).toEqual([endpoint]);
  expect((await cloud.must(200, 'GET', `/endpoints?service_id=${service_id}&interface=admin`)).endpoints).toEqual([]);
  await cloud.must(200, 'PATCH', `/endpoints/${endpoint.id}`, {
    endpoint: { url: '/rating', interface: 'internal', service_id },
  });
  expect((await shown())[0]).toMatchObject({ interface: 'internal', url: `${cloud.test.url}/rating` });
  expect((await cloud.must(200, 'GET', `/endpoints/${endpoint.id}`)).endpoint.url).toBe(`${cloud.test.url}/rating`);
  await cloud.must(200, 'PATCH', `/endpoints/${endpoint.id}`, { endpoint: { enabled: false } });
  expect(await shown()).toEqual([]);
  await cloud.must(204, 'DELETE', `/endpoints/${endpoint.id}`);
  await cloud.must(404, 'GET', `/endpoints/${endpoint.id}`);
});

test('the older attribute region makes the region', async () => {
  const service_id = await service('old-style');
  const { endpoint } = await cloud.must(201, 'POST', '/endpoints', {
    endpoint: { service_id, interface: 'admin', url: 'http://a.example', region: 'attic' },
  });
  expect(endpoint).toMatchObject({ region: 'attic', region_id: 'attic' });
  await cloud.must(200, 'GET', '/regions/attic');
  const moved = await cloud.must(200, 'PATCH', `/endpoints/${endpoint.id}`, { endpoint: { region_id: null } });
  expect(moved.endpoint.region_id).toBeNull();
});

test('bad endpoints are 400', async () => {
  const service_id = await service('strict');
  const good = { service_id, interface: 'public', url: 'http://a.example' };
  for (const change of [
    { service_id: 'nothing' },
    { interface: 'outside' },
    { url: 'no address' },
    { url: 5 },
    { url: 'http://a.example/%(password)s' },
    { region_id: 'nothing' },
    { enabled: 'yes' },
  ])
    await cloud.must(400, 'POST', '/endpoints', { endpoint: { ...good, ...change } });
  await cloud.must(400, 'POST', '/endpoints', { endpoint: { interface: 'public', url: 'http://a.example' } });
});

test('catalog addresses are those under which the caller reached us', async () => {
  const port = new URL(cloud.test.url).port;
  const answer = await fetch(`http://localhost:${port}/v3/auth/catalog`, { headers: { 'x-auth-token': cloud.admin } });
  const body = (await answer.json()) as { catalog: { type: string; endpoints: { url: string }[] }[] };
  expect(body.catalog.find((one) => one.type === 'image')?.endpoints[0]?.url).toBe(`http://localhost:${port}/image`);
});

test('joined as Terraform and the SDKs join them, catalog addresses lead to each service with a token of ours', async () => {
  const find = (entries: { type: string; endpoints: { interface: string; url: string }[] }[], type: string): string =>
    entries.find((one) => one.type === type)?.endpoints.find((one) => one.interface === 'public')?.url ?? '';
  const entries = await catalog();
  const paths = {
    identity: '/v3/projects',
    image: '/v2/images',
    network: '/v2.0/networks',
    compute: '/flavors',
  };
  for (const [type, path] of Object.entries(paths)) {
    const answer = await fetch(find(entries, type) + path, { headers: { 'x-auth-token': cloud.admin } });
    expect([type, answer.status]).toEqual([type, 200]);
  }
  for (const type of ['identity', 'image', 'network']) {
    const answer = await fetch(find(entries, type), { redirect: 'manual' });
    expect([type, [200, 300].includes(answer.status)]).toEqual([type, true]);
    expect(await answer.json()).toHaveProperty('versions');
  }
});
