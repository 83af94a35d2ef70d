// Discovery and catalog as clients read them: documents for everybody, links that keep the public prefix, entries that no client drops.
import { startIdentity, type IdentityCloud } from '../../support/identity';

let cloud: IdentityCloud;
beforeAll(async () => void (cloud = await startIdentity()));
afterAll(() => cloud.stop());

const get = (path: string, headers: Record<string, string> = {}, token: string | null = null) =>
  cloud.test.call('GET', path, { token, headers });

interface Entry {
  id: string;
  status: string;
  links: { rel: string; href: string }[];
  version?: string;
  min_version?: string;
}
/** The entries of a document in any of its three forms. */
const entries = (body: { version?: Entry; versions?: Entry[] | { values: Entry[] } }): Entry[] =>
  body.version ? [body.version] : Array.isArray(body.versions) ? body.versions : (body.versions?.values ?? []);

const DOCUMENTS = [
  ['/', 300, '/'],
  ['/v3', 200, '/v3/'],
  ['/v3/', 200, '/v3/'],
  ['/identity', 300, '/identity/'],
  ['/identity/', 300, '/identity/'],
  ['/identity/v3', 200, '/identity/v3/'],
  ['/identity/v3/', 200, '/identity/v3/'],
  ['/image', 300, '/image/v2/'],
  ['/image/', 300, '/image/v2/'],
  ['/compute', 200, '/compute/'],
  ['/compute/', 200, '/compute/'],
  ['/compute/v2.1', 200, '/compute/v2.1/'],
  ['/compute/v2.1/', 200, '/compute/v2.1/'],
  ['/network', 200, '/network/v2.0/'],
  ['/network/', 200, '/network/v2.0/'],
] as const;

test.each(DOCUMENTS)(
  'the version document %s answers %i without a token, unredirected, with self links below %s',
  async (path, status, prefix) => {
    for (const [headers, token] of [
      [{ accept: 'application/json' }, null],
      [{ accept: '' }, null],
      [{ accept: '*/*' }, 'a token that is none'],
    ] as [Record<string, string>, string | null][]) {
      const answer = await get(path, headers, token);
      expect([path, answer.status]).toEqual([path, status]);
      expect(answer.headers.get('content-type')).toMatch(/^application\/json/);
      const listed = entries(answer.body);
      expect(listed.length).toBeGreaterThan(0);
      for (const one of listed) {
        expect(one.id).toMatch(/^v\d+\.\d+$/);
        expect(['CURRENT', 'SUPPORTED', 'DEPRECATED', 'stable']).toContain(one.status);
        const self = one.links.find(({ rel }) => rel === 'self')?.href ?? '';
        expect(self.startsWith(cloud.test.url + prefix)).toBe(true);
        expect(self).toMatch(/\/v[0-9.]+\/$/);
      }
    }
  },
);

test('links name the host that was asked', async () => {
  const { port } = new URL(cloud.test.url);
  for (const path of ['/', '/identity/v3', '/image', '/compute', '/compute/v2.1', '/network']) {
    const answer = await fetch(`http://localhost:${port}${path}`);
    for (const one of entries((await answer.json()) as { version?: Entry }))
      expect(one.links[0]?.href).toMatch(new RegExp(`^http://localhost:${port}/`));
  }
});

test('the image list has every minor version at one address, the newest CURRENT, and no microversion keys', async () => {
  const { versions } = (await get('/image')).body;
  const minors = [15, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0];
  expect(versions).toEqual(
    minors.map((minor, at) => ({
      id: `v2.${minor}`,
      status: at === 0 ? 'CURRENT' : 'SUPPORTED',
      links: [{ rel: 'self', href: `${cloud.test.url}/image/v2/` }],
    })),
  );
  for (const path of ['/image/v2', '/image/v2/']) expect((await get(path, {}, cloud.admin)).status).toBe(404);
});

test('the compute list has v2.0 without microversions and v2.1 with the same range as its own document', async () => {
  const own = (await get('/compute/v2.1')).body.version;
  expect(own).toEqual({
    id: 'v2.1',
    status: 'CURRENT',
    version: '2.96',
    min_version: '2.1',
    updated: expect.stringMatching(/Z$/),
    links: [
      { rel: 'self', href: `${cloud.test.url}/compute/v2.1/` },
      { rel: 'describedby', type: 'text/html', href: expect.stringMatching(/^http/) },
    ],
    'media-types': [{ base: 'application/json', type: 'application/vnd.openstack.compute+json;version=2.1' }],
  });
  const link = (version: string): object => [{ rel: 'self', href: `${cloud.test.url}/compute/${version}/` }];
  expect((await get('/compute')).body).toEqual({
    versions: [
      { id: 'v2.0', status: 'SUPPORTED', version: '', min_version: '', updated: expect.any(String), links: link('v2') },
      { id: 'v2.1', status: 'CURRENT', version: '2.96', min_version: '2.1', updated: own.updated, links: link('v2.1') },
    ],
  });
});

test('the network list has v2.0 without microversions; /network/v2.0 is a list of resources that wants a token', async () => {
  expect((await get('/network')).body).toEqual({
    versions: [{ id: 'v2.0', status: 'CURRENT', links: [{ rel: 'self', href: `${cloud.test.url}/network/v2.0/` }] }],
  });
  for (const path of ['/network/v2.0', '/network/v2.0/']) {
    expect((await get(path)).status).toBe(401);
    const answer = await get(path, {}, cloud.admin);
    expect([answer.status, Object.keys(answer.body)]).toEqual([200, ['resources']]);
    expect(answer.body.resources).toContainEqual({
      name: 'network',
      collection: 'networks',
      links: [{ rel: 'self', href: `${cloud.test.url}/network/v2.0/networks` }],
    });
  }
});

test('the catalog has one entry per service built here, unversioned where clients add the version, with three interfaces each', async () => {
  const { catalog } = (await cloud.must(200, 'GET', '/auth/catalog')) as {
    catalog: { type: string; id: string; name: string; endpoints: Record<string, string>[] }[];
  };
  const urls = Object.fromEntries(catalog.map(({ type, endpoints }) => [type, endpoints.map(({ url }) => url)]));
  const at = (path: string): string[] => Array.from({ length: 3 }, () => cloud.test.url + path);
  expect(urls).toEqual({
    identity: at('/identity'),
    image: at('/image'),
    compute: at('/compute/v2.1'),
    network: at('/network'),
    placement: at('/placement'),
  });
  for (const entry of catalog) {
    expect(Object.keys(entry).sort()).toEqual(['endpoints', 'id', 'name', 'type']);
    expect(entry.endpoints.map((one) => one['interface']).sort()).toEqual(['admin', 'internal', 'public']);
    for (const endpoint of entry.endpoints) {
      expect(Object.keys(endpoint).sort()).toEqual(['id', 'interface', 'region', 'region_id', 'url']);
      expect([endpoint['region'], endpoint['region_id']]).toEqual(['RegionOne', 'RegionOne']);
    }
  }
});

test.each(['', '/v3', '/identity', '/identity/v3'])(
  'a login below OS_AUTH_URL ending in "%s" is one discovery and one token, and whatever accepts JSON gets JSON',
  async (ending) => {
    for (const accept of ['application/json', 'application/json, text/plain', '*/*', '']) {
      const found = await get(ending || '/', { accept });
      const self = entries(found.body)[0]?.links[0]?.href ?? '';
      const answer = await fetch(`${self}auth/tokens`, {
        method: 'POST',
        headers: { 'content-type': 'application/json', accept },
        body: JSON.stringify({
          auth: {
            identity: {
              methods: ['password'],
              password: { user: { name: 'admin', domain: { name: 'Default' }, password: 'admin-secret' } },
            },
          },
        }),
      });
      expect([answer.status, answer.headers.get('x-subject-token')]).toEqual([201, expect.stringMatching(/^ey/)]);
      await answer.arrayBuffer();
    }
  },
);
