// Flavors with their extra specs and access, as clients see them at the oldest and newest microversion.
import { startTestCloud, type TestCloud } from '../support/testCloud';

let cloud: TestCloud;
beforeAll(async () => void (cloud = await startTestCloud()));
afterAll(() => cloud.stop());

const at = (version: string) => ({ 'x-openstack-nova-api-version': version });
const flavor = (name: string, more: object = {}) => ({ flavor: { name, ram: 512, vcpus: 1, disk: 5, ...more } });
const make = async (name: string, more: object = {}) => {
  const answer = await cloud.call('POST', '/compute/v2.1/flavors', { token: 'admin', body: flavor(name, more) });
  expect(answer.status).toBe(200);
  return answer.body.flavor as Record<string, unknown> & { id: string };
};
const detailKeys = [
  'OS-FLV-DISABLED:disabled',
  'OS-FLV-EXT-DATA:ephemeral',
  'disk',
  'id',
  'links',
  'name',
  'os-flavor-access:is_public',
  'ram',
  'rxtx_factor',
  'swap',
  'vcpus',
];

test('a new flavor has exactly the keys of 2.1, and an empty text for no swap', async () => {
  const made = await make('exact', { id: 'f-exact' });
  expect(Object.keys(made).sort()).toEqual(detailKeys);
  expect(made).toMatchObject({ id: 'f-exact', swap: '', rxtx_factor: 1, 'os-flavor-access:is_public': true });
  expect(made['links']).toEqual([
    { rel: 'self', href: `${cloud.url}/compute/v2.1/flavors/f-exact` },
    { rel: 'bookmark', href: `${cloud.url}/compute/flavors/f-exact` },
  ]);
});

test('description, extra specs and a numeric swap come with their microversions', async () => {
  const { id } = await make('steps');
  const keys = async (version: string) => {
    const answer = await cloud.call('GET', `/compute/v2.1/flavors/${id}`, { headers: at(version) });
    return answer.body.flavor as Record<string, unknown>;
  };
  expect(Object.keys(await keys('2.54')).sort()).toEqual(detailKeys);
  expect(Object.keys(await keys('2.55')).sort()).toEqual([...detailKeys, 'description'].sort());
  expect(await keys('2.61')).toMatchObject({ extra_specs: {}, swap: '' });
  expect(await keys('2.75')).toMatchObject({ swap: 0 });
});

test('numbers may come as text, an id is chosen when none is given', async () => {
  const made = await make('texts', { ram: '1024', vcpus: '2', swap: '128', id: null });
  expect(made).toMatchObject({ ram: 1024, vcpus: 2, swap: 128 });
  expect(made.id).toMatch(/^[0-9a-f-]{36}$/);
});

test.each([
  ['no memory', { ram: 0 }],
  ['a negative disk', { disk: -1 }],
  ['an unknown key', { colour: 'red' }],
  ['a name of spaces', { name: '  ' }],
  ['a number that is none', { vcpus: 'two' }],
  ['a factor of nothing', { rxtx_factor: 0 }],
  ['an id with odd characters', { id: 'a/b' }],
  ['a description before 2.55', { description: 'early' }],
])('%s is a bad request', async (_name, change) => {
  const answer = await cloud.call('POST', '/compute/v2.1/flavors', { token: 'admin', body: flavor('bad', change) });
  expect([answer.status, answer.body.badRequest?.code]).toEqual([400, 400]);
});

test('a taken name or id is a conflict', async () => {
  await make('taken', { id: 'taken-id' });
  for (const body of [flavor('taken'), flavor('other-name', { id: 'taken-id' })]) {
    const answer = await cloud.call('POST', '/compute/v2.1/flavors', { token: 'admin', body });
    expect([answer.status, Object.keys(answer.body)]).toEqual([409, ['conflictingRequest']]);
  }
});

test('only administrators manage flavors', async () => {
  const { id } = await make('managed');
  const calls: [string, string, object?][] = [
    ['POST', '/flavors', flavor('mine')],
    ['DELETE', `/flavors/${id}`],
    ['POST', `/flavors/${id}/os-extra_specs`, { extra_specs: { a: 'b' } }],
    ['PUT', `/flavors/${id}/os-extra_specs/a`, { a: 'b' }],
    ['DELETE', `/flavors/${id}/os-extra_specs/a`],
    ['GET', `/flavors/${id}/os-flavor-access`],
    ['POST', `/flavors/${id}/action`, { addTenantAccess: { tenant: 'x' } }],
    ['POST', `/flavors/${id}/action`, { removeTenantAccess: { tenant: 'x' } }],
  ];
  for (const [method, path, body] of calls) {
    const answer = await cloud.call(method, `/compute/v2.1${path}`, body ? { body } : {});
    expect([method, path, answer.status]).toEqual([method, path, 403]);
  }
});

test('the description changes from 2.55 on, and there is no such route before', async () => {
  const { id } = await make('described');
  const put = (version: string, name = id) =>
    cloud.call('PUT', `/compute/v2.1/flavors/${name}`, {
      token: 'admin',
      body: { flavor: { description: 'new words' } },
      headers: at(version),
    });
  expect((await put('2.54')).status).toBe(404);
  expect((await put('2.55')).body.flavor.description).toBe('new words');
  expect((await put('2.61')).body.flavor.extra_specs).toEqual({});
  expect((await put('2.55', 'nobody')).status).toBe(404);
});

test('a deleted flavor is gone, with its specs', async () => {
  const { id } = await make('gone');
  const gone = () => cloud.call('DELETE', `/compute/v2.1/flavors/${id}`, { token: 'admin' });
  expect((await gone()).status).toBe(202);
  expect((await gone()).status).toBe(404);
  expect((await cloud.call('GET', `/compute/v2.1/flavors/${id}`)).status).toBe(404);
});

test('a private flavor is seen by administrators and by projects that were given it', async () => {
  const { id } = await make('private', { 'os-flavor-access:is_public': false });
  const seen = async (token: string) => (await cloud.call('GET', `/compute/v2.1/flavors/${id}`, { token })).status;
  const listed = async (token: string, query = '') =>
    ((await cloud.call('GET', `/compute/v2.1/flavors${query}`, { token })).body.flavors as { id: string }[]).some(
      (one) => one.id === id,
    );
  const act = (body: object, version = '2.1') =>
    cloud.call('POST', `/compute/v2.1/flavors/${id}/action`, { token: 'admin', body, headers: at(version) });
  expect([await seen('demo'), await seen('admin'), await listed('demo'), await listed('admin')]).toEqual([
    404,
    200,
    false,
    false,
  ]);
  expect(await listed('admin', '?is_public=None')).toBe(true);
  expect(await listed('admin', '?is_public=false')).toBe(true);
  const given = await act({ addTenantAccess: { tenant: 'demo-project' } });
  expect([given.status, given.body]).toEqual([200, { flavor_access: [{ flavor_id: id, tenant_id: 'demo-project' }] }]);
  expect((await act({ addTenantAccess: { tenant: 'demo-project' } })).status).toBe(409);
  expect([await seen('demo'), await listed('demo'), await seen('other')]).toEqual([200, true, 404]);
  const list = await cloud.call('GET', `/compute/v2.1/flavors/${id}/os-flavor-access`, { token: 'admin' });
  expect(list.body).toEqual(given.body);
  expect((await act({ removeTenantAccess: { tenant: 'demo-project' } })).body).toEqual({ flavor_access: [] });
  expect((await act({ removeTenantAccess: { tenant: 'demo-project' } })).status).toBe(404);
});

test('access of a public flavor: no list, and none to add from 2.7 on', async () => {
  const { id } = await make('public-access');
  const path = `/compute/v2.1/flavors/${id}`;
  expect((await cloud.call('GET', `${path}/os-flavor-access`, { token: 'admin' })).status).toBe(404);
  const body = { addTenantAccess: { tenant: 'demo-project' } };
  expect((await cloud.call('POST', `${path}/action`, { token: 'admin', body, headers: at('2.7') })).status).toBe(409);
  for (const bad of [{}, { unknown: {} }, { addTenantAccess: {} }, { addTenantAccess: { tenant: 'a/b' } }])
    expect((await cloud.call('POST', `${path}/action`, { token: 'admin', body: bad })).status).toBe(400);
});

test('extra specs are set, shown, changed and removed one by one', async () => {
  const { id } = await make('specs');
  const path = `/compute/v2.1/flavors/${id}/os-extra_specs`;
  const admin = (method: string, key: string, body?: object) =>
    cloud.call(method, path + key, { token: 'admin', ...(body ? { body } : {}) });
  expect((await admin('POST', '', { extra_specs: { 'hw:cpu_policy': 'shared', n: 1 } })).status).toBe(200);
  expect((await cloud.call('GET', path)).body).toEqual({ extra_specs: { 'hw:cpu_policy': 'shared', n: '1' } });
  expect((await admin('PUT', '/n', { n: '2' })).body).toEqual({ n: '2' });
  expect((await cloud.call('GET', `${path}/n`)).body).toEqual({ n: '2' });
  expect((await admin('PUT', '/n', { m: '2' })).status).toBe(400);
  expect((await admin('PUT', '/n', {})).status).toBe(400);
  expect((await admin('POST', '', { extra_specs: { 'a/b': '1' } })).status).toBe(400);
  expect((await admin('DELETE', '/n')).status).toBe(200);
  expect((await admin('DELETE', '/n')).status).toBe(404);
  expect((await cloud.call('GET', `${path}/n`)).status).toBe(404);
  const shown = await cloud.call('GET', `/compute/v2.1/flavors/${id}`, { headers: at('2.61') });
  expect(shown.body.flavor.extra_specs).toEqual({ 'hw:cpu_policy': 'shared' });
  expect((await cloud.call('GET', '/compute/v2.1/flavors/nobody/os-extra_specs')).status).toBe(404);
});

test.each([
  ['hw:cpu_policy', 'shared', 200],
  ['hw:cpu_policy', 'odd', 400],
  ['hw:numa_nodes', '0', 400],
  ['hw:numa_nodes', '2', 200],
  ['hw:numa_nodes', 'two', 400],
  ['hw:numa_cpus.0', '0-3,^2', 200],
  ['hw:numa_cpus.0', 'all', 400],
  ['hw:boot_menu', 'yes', 200],
  ['hw:boot_menu', 'perhaps', 400],
  ['hw:colour', 'red', 400],
  ['quota:cpu_quota', '-1', 200],
  ['trait:CUSTOM_GPU', 'required', 200],
  ['resources:VGPU', '1', 200],
  ['aggregate_instance_extra_specs:ssd', 'true', 200],
  ['mine:colour', 'red', 200],
  ['plain', 'anything', 200],
])('extra spec %s=%s is answered with %d from 2.86 on, and taken before', async (key, value, status) => {
  const { id } = await make(`spec-${key}-${value}`.replaceAll(/[^a-z0-9-]/g, '-'));
  const set = (version: string) =>
    cloud.call('POST', `/compute/v2.1/flavors/${id}/os-extra_specs`, {
      token: 'admin',
      body: { extra_specs: { [key]: value } },
      headers: at(version),
    });
  expect((await set('2.86')).status).toBe(status);
  expect((await set('2.85')).status).toBe(200);
});

describe('lists', () => {
  let own: TestCloud;
  const names = async (query: string, version = '2.1') =>
    (await own.call('GET', `/compute/v2.1/flavors/detail${query}`, { headers: at(version) })).body.flavors.map(
      (one: { name: string }) => one.name,
    );
  beforeAll(async () => {
    own = await startTestCloud();
    for (const [name, ram, disk] of [
      ['c', 128, 1],
      ['a', 512, 5],
      ['b', 1024, 10],
    ] as const)
      await own.call('POST', '/compute/v2.1/flavors', { token: 'admin', body: flavor(name, { id: name, ram, disk }) });
  });
  afterAll(() => own.stop());

  test('are sorted by id and by what is asked', async () => {
    expect(await names('')).toEqual(['a', 'b', 'c']);
    expect(await names('?sort_key=memory_mb&sort_dir=desc')).toEqual(['b', 'a', 'c']);
    expect((await own.call('GET', '/compute/v2.1/flavors?sort_key=colour')).status).toBe(400);
    expect((await own.call('GET', '/compute/v2.1/flavors?sort_dir=up')).status).toBe(400);
  });

  test('are filtered by least memory and disk', async () => {
    expect(await names('?minRam=512')).toEqual(['a', 'b']);
    expect(await names('?minDisk=6')).toEqual(['b']);
    expect((await own.call('GET', '/compute/v2.1/flavors?minRam=much')).status).toBe(400);
    expect((await own.call('GET', '/compute/v2.1/flavors?is_public=maybe', { token: 'admin' })).status).toBe(400);
  });

  test('page with links until there is no more', async () => {
    const first = await own.call('GET', '/compute/v2.1/flavors?limit=2');
    expect(first.body.flavors.map((one: { id: string }) => one.id)).toEqual(['a', 'b']);
    expect(first.body.flavors_links).toEqual([
      { rel: 'next', href: `${own.url}/compute/v2.1/flavors?limit=2&marker=b` },
    ]);
    const next = await own.call('GET', (first.body.flavors_links[0].href as string).slice(own.url.length));
    expect(Object.keys(next.body)).toEqual(['flavors']);
    expect(next.body.flavors.map((one: { id: string }) => one.id)).toEqual(['c']);
    expect((await own.call('GET', '/compute/v2.1/flavors?marker=nobody')).status).toBe(400);
    expect((await own.call('GET', '/compute/v2.1/flavors?limit=-1')).status).toBe(400);
    expect((await own.call('GET', '/compute/v2.1/flavors?limit=0')).body.flavors).toEqual([]);
  });

  test('ignore unknown query keys before 2.75 and refuse them from then on', async () => {
    expect(await names('?colour=red', '2.74')).toHaveLength(3);
    expect((await own.call('GET', '/compute/v2.1/flavors?colour=red', { headers: at('2.75') })).status).toBe(400);
  });

  test('show exactly id, name and links in the short form', async () => {
    const answer = await own.call('GET', '/compute/v2.1/flavors');
    expect(Object.keys(answer.body.flavors[0]).sort()).toEqual(['id', 'links', 'name']);
  });

  test('ask the database the same number of times whatever the count', async () => {
    const count = async () => {
      const before = own.statements.length;
      await names('', '2.79');
      return own.statements.length - before;
    };
    const few = await count();
    for (let at = 0; at < 10; at++)
      await own.call('POST', '/compute/v2.1/flavors', { token: 'admin', body: flavor(`more-${at}`) });
    expect(await count()).toBe(few);
  });
});
