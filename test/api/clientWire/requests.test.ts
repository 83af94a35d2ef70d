// Requests as clients really send them: headers, content types, sizes, unknown keys, and the many ways to write a query.
import { createHash } from 'node:crypto';
import { makeFlavor, makeImage, makeNetwork } from '../../support/computeFixtures';
import { startIdentity, type IdentityCloud } from '../../support/identity';
import { createImage, patch, upload } from '../../support/images';
import { networkCalls } from '../../support/networkFixtures';
import { startTestCloud, type TestCloud } from '../../support/testCloud';

let cloud: TestCloud;
let identity: IdentityCloud;
let image: string;
const { network, call: neutron } = networkCalls(() => cloud);
const at = (version: string) => ({ 'x-openstack-nova-api-version': version });
const compute = (method: string, path: string, body?: unknown, version = '2.1', token = 'demo') =>
  cloud.call(method, `/compute/v2.1${path}`, { token, body, headers: at(version) });

beforeAll(async () => {
  [cloud, identity] = await Promise.all([startTestCloud(), startIdentity()]);
  image = await makeImage(cloud);
  await makeFlavor(cloud, 'small');
});
afterAll(() => Promise.all([cloud.stop(), identity.stop()]));

describe('microversions', () => {
  test.each([
    [{}, '2.1'],
    [{ 'x-openstack-nova-api-version': '2.26' }, '2.26'],
    [{ 'x-openstack-nova-api-version': '2.27', 'openstack-api-version': 'compute 2.27' }, '2.27'],
    [{ 'x-openstack-nova-api-version': 'latest' }, '2.96'],
    [{ 'openstack-api-version': 'compute latest' }, '2.96'],
  ] as [Record<string, string>, string][])(
    'sent as %j are answered as %s in both headers, with Vary',
    async (headers, version) => {
      for (const path of ['/flavors', '/flavors/nobody']) {
        const answer = await cloud.call('GET', `/compute/v2.1${path}`, { headers });
        expect(answer.headers.get('x-openstack-nova-api-version')).toBe(version);
        expect(answer.headers.get('openstack-api-version')).toBe(`compute ${version}`);
        const vary = (answer.headers.get('vary') ?? '').split(', ');
        expect(vary).toEqual(expect.arrayContaining(['X-OpenStack-Nova-API-Version', 'OpenStack-API-Version']));
      }
    },
  );

  test('an action without one is served as 2.1, whatever the client negotiated for the rest', async () => {
    const body = { server: { name: 'x', flavorRef: 'small', imageRef: image, networks: 'none' } };
    const { id } = (await compute('POST', '/servers', body, '2.79')).body.server;
    const answer = await cloud.call('POST', `/compute/v2.1/servers/${id}/action`, { body: { lock: null } });
    expect([answer.status, answer.body, answer.headers.get('openstack-api-version')]).toEqual([202, '', 'compute 2.1']);
  });
});

describe('Accept', () => {
  test.each(['', '*/*', 'application/octet-stream', 'text/html, application/json;q=0.5'])(
    'of "%s" is never a reason to refuse',
    async (accept) => {
      const headers = { accept };
      const made = await createImage(cloud);
      const stream = { ...headers, 'content-type': 'application/octet-stream' };
      const put = await cloud.call('PUT', `/image/v2/images/${made.id}/file`, { body: 'bytes', headers: stream });
      const change = await cloud.call('PATCH', `/image/v2/images/${made.id}`, {
        headers: { ...headers, 'content-type': 'application/openstack-images-v2.1-json-patch' },
        body: JSON.stringify([{ op: 'replace', path: '/name', value: 'x' }]),
      });
      const list = await Promise.all(
        ['/compute/v2.1/flavors', '/network/v2.0/networks', '/image/v2/images'].map((path) =>
          cloud.call('GET', path, { headers }),
        ),
      );
      expect([put.status, change.status, ...list.map(({ status }) => status)]).toEqual([204, 200, 200, 200, 200]);
      const users = await identity.call('GET', '/users', undefined, identity.admin, headers);
      expect(users.status).toBe(200);
    },
  );
});

test('image data must be a stream of bytes, and a patch may be in either of its two forms', async () => {
  const { id } = await createImage(cloud);
  for (const type of ['application/json', 'text/plain']) {
    const answer = await cloud.call('PUT', `/image/v2/images/${id}/file`, {
      body: '{}',
      headers: { 'content-type': type },
    });
    expect([type, answer.status]).toEqual([type, 415]);
  }
  expect((await patch(cloud, id, [{ op: 'replace', path: '/name', value: 'new' }], 'demo', '2.1')).body.name).toBe(
    'new',
  );
  expect((await patch(cloud, id, [{ replace: '/name', value: 'old' }], 'demo', '2.0')).body.name).toBe('old');
});

test('an upload has the SDK’s own properties, also empty, and a download its digest in Content-MD5', async () => {
  const properties = {
    'owner_specified.openstack.md5': '',
    'owner_specified.openstack.sha256': '',
    'owner_specified.openstack.object': 'images/tiny',
  };
  const made = await createImage(cloud, properties);
  expect(made).toMatchObject(properties);
  expect((await upload(cloud, made.id as string, 'some bytes')).status).toBe(204);
  const down = await cloud.call('GET', `/image/v2/images/${made.id as string}/file`);
  expect([down.status, down.body]).toEqual([200, 'some bytes']);
  expect(down.headers.get('content-md5')).toBe(createHash('md5').update('some bytes').digest('hex'));
});

test('a body may have 114,688 bytes in every service that reads JSON', async () => {
  const filler = (bytes: number, around: (text: string) => object): string => {
    const empty = JSON.stringify(around('')).length;
    return JSON.stringify(around('x'.repeat(bytes - empty)));
  };
  const send = async (path: string, around: (text: string) => object, bytes: number) => {
    const headers = { 'content-type': 'application/json' };
    const target = path.startsWith('/identity') ? identity.test : cloud;
    const token = path.startsWith('/identity') ? identity.admin : 'demo';
    return (await target.call('POST', path, { token, headers, body: filler(bytes, around) })).status;
  };
  const routes: [string, (text: string) => object][] = [
    ['/compute/v2.1/servers', (x) => ({ server: { user_data: x } })],
    ['/network/v2.0/networks', (x) => ({ network: { name: x } })],
    ['/identity/v3/projects', (x) => ({ project: { name: x } })],
  ];
  for (const [path, around] of routes) {
    expect([path, await send(path, around, 114_688)]).toEqual([path, 400]);
    expect([path, await send(path, around, 114_689)]).toEqual([path, 413]);
  }
});

test('an empty body typed as JSON is no body, a charset and a slash at the end are nothing special', async () => {
  const typed = { headers: { 'content-type': 'application/json; charset=UTF-8' }, body: '' };
  const net = (await network()).id as string;
  const made = (await createImage(cloud)).id as string;
  const [project, person] = [await identity.project('typed'), await identity.person('typed')];
  const grant = `/identity/v3/projects/${project}/users/${person.id}/roles/${identity.roles['member'] ?? ''}`;
  expect((await cloud.call('PUT', `/network/v2.0/networks/${net}/tags/blue`, typed)).status).toBe(201);
  expect((await cloud.call('PUT', `/image/v2/images/${made}/tags/blue`, typed)).status).toBe(204);
  expect((await identity.test.call('PUT', grant, { ...typed, token: identity.admin })).status).toBe(204);
  const body = JSON.stringify({ network: { name: 'typed' } });
  expect((await cloud.call('POST', '/network/v2.0/networks', { ...typed, body })).status).toBe(201);
  for (const path of ['/network/v2.0/networks/', '/compute/v2.1/servers/', '/image/v2/images/'])
    expect([path, (await cloud.call('GET', path)).status]).toEqual([path, 200]);
});

describe('unknown keys', () => {
  test('of bodies: 400 from compute and network, kept and shown by identity and image', async () => {
    expect((await compute('POST', '/os-keypairs', { keypair: { name: 'k', colour: 'red' } })).status).toBe(400);
    expect((await neutron('POST', '/networks', { network: { name: 'n', colour: 'red' } })).status).toBe(400);
    expect(await createImage(cloud, { colour: 'red' })).toMatchObject({ colour: 'red' });
    const kept = { colour: 'red', depth: { of: [1] } };
    const domain = { domain: { name: 'dom', ...kept } };
    for (const [path, body] of [
      ['/projects', { project: { name: 'pro', ...kept } }],
      ['/users', { user: { name: 'use', ...kept } }],
      ['/groups', { group: { name: 'gro', ...kept } }],
      ['/roles', { role: { name: 'rol', ...kept } }],
      ['/domains', domain],
      ['/services', { service: { type: 'ser', ...kept } }],
    ] as [string, Record<string, object>][]) {
      const made = (await identity.must(201, 'POST', path, body))[Object.keys(body)[0] ?? ''];
      expect(made).toMatchObject(kept);
      const shown = await identity.must(200, 'GET', `${path}/${made.id as string}`);
      expect(Object.values(shown)[0]).toMatchObject(kept);
    }
    const [service] = (await identity.must(200, 'GET', '/services?type=ser')).services;
    const endpoint = { service_id: service.id, interface: 'public', url: 'http://x/', ...kept };
    expect((await identity.must(201, 'POST', '/endpoints', { endpoint })).endpoint).toMatchObject(kept);
  });

  test('of queries: ignored by compute below 2.75 and by identity, refused by network, which says so, a property filter in image', async () => {
    for (const path of ['/servers', '/servers/detail', '/flavors', '/os-keypairs']) {
      const old = await compute('GET', `${path}?colour=red`, undefined, path === '/os-keypairs' ? '2.35' : '2.74');
      expect([path, old.status]).toEqual([path, 200]);
      expect([path, (await compute('GET', `${path}?colour=red`, undefined, '2.75')).status]).toEqual([path, 400]);
    }
    await identity.must(200, 'GET', '/projects?colour=red');
    await network({ name: 'seen' });
    expect((await neutron('GET', '/extensions/filter-validation')).status).toBe(200);
    expect((await neutron('GET', '/networks?colour=red')).status).toBe(400);
    await createImage(cloud, { name: 'blue one', colour: 'blue' });
    expect((await cloud.call('GET', '/image/v2/images?colour=blue')).body.images).toMatchObject([{ name: 'blue one' }]);
  });
});

describe('queries', () => {
  test.each(['True', 'true', '1', 'yes', 't', 'on'])('a boolean may be written as %s', async (word) => {
    await makeNetwork(cloud, `outside-${word}`, { external: true, withSubnet: false });
    const names = async (query: string) =>
      (await neutron('GET', `/networks?${query}`)).body.networks.map((one: { name: string }) => one.name);
    expect(await names(`router:external=${word}&fields=name`)).toContain(`outside-${word}`);
    expect(await names(`router%3Aexternal=${word}`)).not.toContain('seen');
    const enabled = (await identity.must(200, 'GET', `/projects?enabled=${word}`)).projects;
    expect(enabled).toContainEqual(expect.objectContaining({ name: 'admin' }));
    expect((await compute('GET', `/servers?all_tenants=${word}`, undefined, '2.1', 'admin')).status).toBe(200);
  });

  test('a bare key is true for identity, and False is false', async () => {
    const off = await identity.project('off', { enabled: false });
    const ids = async (query: string) =>
      (await identity.must(200, 'GET', `/projects?${query}`)).projects.map((one: { id: string }) => one.id);
    expect(await ids('enabled')).not.toContain(off);
    expect(await ids('enabled=False')).toContain(off);
  });

  test('repeated keys are lists: fields leave the others out, ids and names are alternatives', async () => {
    const [first, second] = [await network({ name: 'one' }), await network({ name: 'two' })];
    const some = await neutron('GET', `/networks?fields=id&fields=name&name=one&name=two&sort_key=name&sort_dir=asc`);
    expect(some.body.networks).toEqual([
      { id: first.id, name: 'one' },
      { id: second.id, name: 'two' },
    ]);
    expect((await neutron('GET', `/networks/${first.id}?fields=name`)).body).toEqual({ network: { name: 'one' } });
    for (const path of ['subnets', 'ports', 'routers', 'floatingips', 'security-groups', 'security-group-rules']) {
      const rows = Object.values((await neutron('GET', `/${path}?fields=id`)).body)[0] as object[];
      for (const row of rows) expect([path, Object.keys(row)]).toEqual([path, ['id']]);
    }
  });

  test('a time without a zone is UTC', async () => {
    const usage = (query: string) => compute('GET', `/os-simple-tenant-usage/demo-project?${query}`);
    const answer = await usage('start=2026-10-26T05:28:15.661214&end=2026-10-27T05:28:15.661214');
    expect(answer.status).toBe(200);
    const listed = await compute(
      'GET',
      '/os-simple-tenant-usage?start=2026-10-26T05:28:15.661214&end=2026-10-27T05:28:15.661214&detailed=1',
      undefined,
      '2.1',
      'admin',
    );
    expect(listed.status).toBe(200);
    const { id } = await createImage(cloud, { name: 'timed' });
    const ids = async (query: string) =>
      (await cloud.call('GET', `/image/v2/images?name=timed&${query}`)).body.images.map(
        (one: { id: string }) => one.id,
      );
    expect(await ids('created_at=gt:2020-01-01T00:00:00')).toEqual([id]);
    expect(await ids('created_at=lt:2020-01-01T00:00:00')).toEqual([]);
    const since = new Date(Date.now() - 3_600_000).toISOString().slice(0, 19);
    expect((await compute('GET', `/servers?changes-since=${since}`)).body.servers.length).toBeGreaterThan(0);
  });
});
