// Host aggregates: exact bodies, zones of hosts, and what is refused.
import { makeFlavor, makeHost, makeImage, makeNetwork, settle } from '../support/computeFixtures';
import { startTestCloud, type Answer, type TestCloud } from '../support/testCloud';

let cloud: TestCloud;
let image: string;
beforeAll(async () => {
  cloud = await startTestCloud();
  for (const name of ['h1', 'h2', 'h3']) await makeHost(cloud, name);
  image = await makeImage(cloud);
  await makeNetwork(cloud, 'demo');
  await makeFlavor(cloud, 'small');
});
afterAll(() => cloud.stop());

const call = (method: string, path: string, body?: unknown, version = '2.1', token = 'admin'): Promise<Answer> =>
  cloud.call(method, `/compute/v2.1/os-aggregates${path}`, {
    token,
    headers: { 'x-openstack-nova-api-version': version },
    ...(body === undefined ? {} : { body }),
  });
const make = async (name: string, zone?: string): Promise<number> =>
  (await call('POST', '', { aggregate: { name, ...(zone === undefined ? {} : { availability_zone: zone }) } })).body
    .aggregate.id;
const act = (id: number | string, action: string, body: object) => call('POST', `/${id}/action`, { [action]: body });
const zoneOf = async (host: string): Promise<string> =>
  (await cloud.call('GET', `/compute/v2.1/os-services?host=${host}`, { token: 'admin' })).body.services[0].zone;
const boot = async (host: string): Promise<string> => {
  const body = { server: { name: 's', flavorRef: 'small', imageRef: image } };
  const { id } = (await cloud.call('POST', '/compute/v2.1/servers', { body })).body.server;
  await settle(cloud, id, { host });
  return id as string;
};

const keys = ['availability_zone', 'created_at', 'deleted', 'deleted_at', 'id', 'name', 'updated_at'];

test('show exactly their keys; a new one without hosts and metadata, from 2.41 with a uuid', async () => {
  const made = await call('POST', '', { aggregate: { name: 'fast', availability_zone: 'z1' } });
  expect(made.status).toBe(200);
  expect(Object.keys(made.body.aggregate).sort()).toEqual(keys);
  expect(made.body.aggregate).toMatchObject({
    name: 'fast',
    availability_zone: 'z1',
    deleted: false,
    updated_at: null,
  });
  expect(made.body.aggregate.created_at).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}$/);
  const { id } = made.body.aggregate;
  const shown = (await call('GET', `/${id}`)).body.aggregate;
  expect(Object.keys(shown).sort()).toEqual([...keys, 'hosts', 'metadata'].sort());
  expect(shown).toMatchObject({ hosts: [], metadata: { availability_zone: 'z1' } });
  expect((await call('GET', `/${id}`, undefined, '2.41')).body.aggregate.uuid).toMatch(/^[0-9a-f-]{36}$/);
  expect((await call('GET', '')).body.aggregates).toContainEqual(shown);
  expect((await call('DELETE', `/${id}`)).status).toBe(200);
  expect((await call('GET', `/${id}`)).status).toBe(404);
});

test('take the servers of flavors that ask for what their metadata says', async () => {
  const flavor = await makeFlavor(cloud, 'quick');
  const extra_specs = { 'aggregate_instance_extra_specs:ssd': 'true' };
  await cloud.call('POST', `/compute/v2.1/flavors/${flavor}/os-extra_specs`, { token: 'admin', body: { extra_specs } });
  const explain = async (token: string) =>
    (await cloud.call('POST', '/cumulet/v1/placement', { token, body: { flavor } })).body;
  const no = 'No valid host was found. 3 hosts: in no aggregate with ssd true.';
  expect((await explain('demo')).message).toBe(no);
  const [slow, fast] = [await make('slow'), await make('fast')];
  for (const [id, ssd] of [
    [slow, 'false'],
    [fast, 'true'],
  ] as const) {
    await act(id, 'set_metadata', { metadata: { ssd } });
    await act(id, 'add_host', { host: 'h3' });
  }
  expect(await explain('system')).toMatchObject({
    fits: 1,
    hosts: [
      { host: 'h3', fits: true },
      { host: 'h1', fits: false, filter: 'aggregate', reason: 'in no aggregate with ssd true' },
      { host: 'h2', fits: false },
    ],
  });
  await act(fast, 'remove_host', { host: 'h3' });
  expect((await explain('demo')).message).toBe(no);
  await act(slow, 'remove_host', { host: 'h3' });
  for (const id of [slow, fast]) expect((await call('DELETE', `/${id}`)).status).toBe(200);
});

test('put their hosts into a zone and let them out of it', async () => {
  const id = await make('zoned', 'z2');
  const added = await act(id, 'add_host', { host: 'h2' });
  expect(added.status).toBe(200);
  expect(added.body.aggregate).toMatchObject({ hosts: ['h2'], availability_zone: 'z2' });
  expect(await zoneOf('h2')).toBe('z2');
  const renamed = await call('PUT', `/${id}`, { aggregate: { name: 'zoned-2', availability_zone: 'z3' } });
  expect(renamed.body.aggregate).toMatchObject({ name: 'zoned-2', availability_zone: 'z3' });
  expect(await zoneOf('h2')).toBe('z3');
  const set = await act(id, 'set_metadata', { metadata: { availability_zone: 'z4', ssd: 'true' } });
  expect([renamed.status, set.status]).toEqual([200, 200]);
  expect(set.body.aggregate).toMatchObject({
    availability_zone: 'z4',
    metadata: { availability_zone: 'z4', ssd: 'true' },
  });
  expect(await zoneOf('h2')).toBe('z4');
  const cleared = await act(id, 'set_metadata', { metadata: { availability_zone: null } });
  expect(cleared.body.aggregate).toMatchObject({ availability_zone: null, metadata: { ssd: 'true' } });
  expect(await zoneOf('h2')).toBe('nova');
  expect((await call('DELETE', `/${id}`)).status).toBe(400);
  const removed = await act(id, 'remove_host', { host: 'h2' });
  expect([removed.status, removed.body.aggregate.hosts]).toEqual([200, []]);
  expect((await call('DELETE', `/${id}`)).status).toBe(200);
});

test('never give one host two zones, nor a server another zone', async () => {
  const [one, other, plain] = [await make('one', 'za'), await make('other', 'zb'), await make('plain')];
  expect((await act(one, 'add_host', { host: 'h1' })).status).toBe(200);
  const twice = await act(other, 'add_host', { host: 'h1' });
  expect(twice.status).toBe(409);
  expect(twice.body.conflictingRequest.message).toContain('already in availability zone za');
  expect((await act(one, 'add_host', { host: 'h1' })).status).toBe(409);
  expect((await act(plain, 'add_host', { host: 'h1' })).status).toBe(200);
  expect((await call('PUT', `/${plain}`, { aggregate: { availability_zone: 'zc' } })).status).toBe(400);
  expect((await act(plain, 'set_metadata', { metadata: { availability_zone: 'zc' } })).status).toBe(400);
  await boot('h1');
  await boot('h3');
  expect((await act(other, 'add_host', { host: 'h3' })).status).toBe(409);
  expect((await call('PUT', `/${one}`, { aggregate: { availability_zone: 'zd' } })).status).toBe(400);
  expect((await act(one, 'remove_host', { host: 'h1' })).status).toBe(409);
  expect((await act(plain, 'remove_host', { host: 'h1' })).status).toBe(200);
  expect(await zoneOf('h1')).toBe('za');
});

test('refuse what is wrong', async () => {
  const id = await make('taken');
  for (const [method, path, body, status] of [
    ['POST', '', { aggregate: { name: 'taken' } }, 409],
    ['POST', '', { aggregate: {} }, 400],
    ['POST', '', { aggregate: { name: '' } }, 400],
    ['POST', '', { aggregate: { name: 'x', availability_zone: 'a:b' } }, 400],
    ['POST', '', { aggregate: { name: 'x', colour: 'red' } }, 400],
    ['PUT', `/${id}`, { aggregate: {} }, 400],
    ['PUT', `/${id}`, { aggregate: { name: 'one' } }, 409],
    ['PUT', '/999', { aggregate: { name: 'x' } }, 404],
    ['GET', '/one', undefined, 400],
    ['GET', '/999', undefined, 404],
    ['DELETE', '/999', undefined, 404],
    ['POST', `/${id}/action`, { add_host: { host: 'nobody' } }, 404],
    ['POST', `/${id}/action`, { remove_host: { host: 'nobody' } }, 404],
    ['POST', `/${id}/action`, { remove_host: { host: 'h2' } }, 404],
    ['POST', `/${id}/action`, { add_host: {} }, 400],
    ['POST', `/${id}/action`, { add_host: { host: 'h2' }, remove_host: { host: 'h2' } }, 400],
    ['POST', `/${id}/action`, { explode: {} }, 400],
    ['POST', `/${id}/action`, { set_metadata: { metadata: { 'a/b': 'x' } } }, 400],
    ['POST', '/999/action', { set_metadata: { metadata: {} } }, 404],
    ['POST', `/${id}/images`, { cache: [{ id: image }] }, 404],
  ] as const)
    expect([method, path, body, (await call(method, path, body)).status]).toEqual([method, path, body, status]);
  expect((await call('POST', `/${id}/images`, { cache: [{ id: image }] }, '2.81')).status).toBe(501);
});

test('are for administrators only', async () => {
  const id = await make('secret');
  for (const [method, path, body] of [
    ['GET', '', undefined],
    ['GET', `/${id}`, undefined],
    ['POST', '', { aggregate: { name: 'mine' } }],
    ['PUT', `/${id}`, { aggregate: { name: 'mine' } }],
    ['DELETE', `/${id}`, undefined],
    ['POST', `/${id}/action`, { add_host: { host: 'h2' } }],
  ] as const)
    expect([method, path, (await call(method, path, body, '2.1', 'demo')).status]).toEqual([method, path, 403]);
  expect((await call('POST', `/${id}/images`, { cache: [{ id: image }] }, '2.81', 'demo')).status).toBe(403);
});

test('a host that is forgotten leaves its aggregates', async () => {
  await makeHost(cloud, 'h9');
  const id = await make('leaving');
  await act(id, 'add_host', { host: 'h9' });
  const headers = { 'x-openstack-nova-api-version': '2.53' };
  const listed = await cloud.call('GET', '/compute/v2.1/os-services?host=h9', { token: 'admin', headers });
  const path = `/compute/v2.1/os-services/${listed.body.services[0].id}`;
  expect((await cloud.call('DELETE', path, { token: 'admin', headers })).status).toBe(204);
  expect((await call('GET', `/${id}`)).body.aggregate.hosts).toEqual([]);
});
