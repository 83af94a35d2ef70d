// How clients discover compute, which version they get, and how errors look.
import { startTestCloud, type TestCloud } from '../support/testCloud';

let cloud: TestCloud;
beforeAll(async () => void (cloud = await startTestCloud()));
afterAll(() => cloud.stop());

test('the root lists v2.0 and v2.1 without a token, with and without a slash', async () => {
  for (const path of ['/compute', '/compute/']) {
    const answer = await cloud.call('GET', path, { token: null });
    expect(answer.status).toBe(200);
    expect(answer.body.versions).toMatchObject([
      { id: 'v2.0', status: 'SUPPORTED', version: '', min_version: '' },
      { id: 'v2.1', status: 'CURRENT', min_version: '2.1' },
    ]);
    expect(answer.body.versions[1].version).toMatch(/^2\.(79|8\d|9[0-6])$/);
    expect(answer.body.versions[1].links).toEqual([{ rel: 'self', href: `${cloud.url}/compute/v2.1/` }]);
  }
});

test('the version itself is one object with media types and a description', async () => {
  for (const path of ['/compute/v2.1', '/compute/v2.1/']) {
    const answer = await cloud.call('GET', path, { token: null });
    expect(answer.status).toBe(200);
    expect(Object.keys(answer.body)).toEqual(['version']);
    expect(Object.keys(answer.body.version).sort()).toEqual(
      ['id', 'links', 'media-types', 'min_version', 'status', 'updated', 'version'].sort(),
    );
    expect(answer.body.version.links[1]).toMatchObject({ rel: 'describedby', type: 'text/html' });
  }
  expect((await cloud.call('GET', '/compute/v2/', { token: null })).body.version.id).toBe('v2.0');
});

const flavorsAt = (headers: Record<string, string>, token = 'demo') =>
  cloud.call('GET', '/compute/v2.1/flavors', { headers, token });
const answered = (headers: Headers) => [
  headers.get('openstack-api-version'),
  headers.get('x-openstack-nova-api-version'),
  headers.get('vary'),
];
const vary = 'OpenStack-API-Version, X-OpenStack-Nova-API-Version';

test.each([
  [{}, '2.1'],
  [{ 'x-openstack-nova-api-version': '2.27' }, '2.27'],
  [{ 'openstack-api-version': 'compute 2.53' }, '2.53'],
  [{ 'openstack-api-version': 'volume 3.1, compute 2.60' }, '2.60'],
  [{ 'openstack-api-version': 'volume 3.1', 'x-openstack-nova-api-version': '2.9' }, '2.9'],
  [{ 'openstack-api-version': 'compute 2.53', 'x-openstack-nova-api-version': '2.9' }, '2.53'],
] as [Record<string, string>, string][])(
  'headers %j mean %s, and both forms are answered',
  async (headers, version) => {
    const answer = await flavorsAt(headers);
    expect(answer.status).toBe(200);
    expect(answered(answer.headers)).toEqual([`compute ${version}`, version, vary]);
  },
);

test('resources answer under v2 as well', async () => {
  expect((await cloud.call('GET', '/compute/v2/flavors')).body).toEqual({ flavors: [] });
});

test('latest is the maximum', async () => {
  const maximum = (await cloud.call('GET', '/compute/v2.1', { token: null })).body.version.version;
  const answer = await flavorsAt({ 'openstack-api-version': 'compute latest' });
  expect(answer.headers.get('x-openstack-nova-api-version')).toBe(maximum);
});

test('a malformed version is 400, one that is not served 406 with the range in words', async () => {
  for (const bad of ['2', 'two', '2.01', '2.1.1', '-2.1']) {
    const answer = await flavorsAt({ 'x-openstack-nova-api-version': bad });
    expect([bad, answer.status]).toEqual([bad, 400]);
    expect(answer.body.badRequest.message).toContain(bad);
  }
  for (const far of ['2.0', '2.999', '3.1', '1.1']) {
    const answer = await flavorsAt({ 'openstack-api-version': `compute ${far}` });
    expect([far, answer.status, answer.body.computeFault.code]).toEqual([far, 406, 406]);
    expect(answer.body.computeFault.message).toMatch(/Minimum is 2\.1 and maximum is 2\.\d+\.$/);
  }
});

test('errors carry both version headers and the request id under both names', async () => {
  const answer = await cloud.call('GET', '/compute/v2.1/flavors/nobody', {
    headers: { 'x-openstack-nova-api-version': '2.30' },
  });
  expect(answer.status).toBe(404);
  expect(answer.body).toEqual({ itemNotFound: { code: 404, message: 'Flavor nobody could not be found.' } });
  expect(answered(answer.headers)).toEqual(['compute 2.30', '2.30', vary]);
  expect(answer.headers.get('x-compute-request-id')).toMatch(/^req-[0-9a-f-]{36}$/);
  expect(answer.headers.get('x-openstack-request-id')).toBe(answer.headers.get('x-compute-request-id'));
});

test('no token and a wrong token are 401 in the shape that all services share', async () => {
  for (const token of [null, 'forged']) {
    const answer = await cloud.call('GET', '/compute/v2.1/flavors', { token });
    expect([answer.status, answer.body.error.code, answer.body.error.title]).toEqual([401, 401, 'Unauthorized']);
    expect(answer.headers.get('www-authenticate')).toBe(`Keystone uri="${cloud.url}/identity"`);
  }
});

test('unknown paths and methods have their own keys', async () => {
  expect((await cloud.call('GET', '/compute/v2.1/nothing')).body.itemNotFound.code).toBe(404);
  expect((await cloud.call('PATCH', '/compute/v2.1/flavors', { body: {} })).body.badMethod.code).toBe(405);
});

test('malformed JSON, a wrong type of content and a huge body are refused in words', async () => {
  const post = (body: string, type = 'application/json') =>
    cloud.call('POST', '/compute/v2.1/os-keypairs', { body, headers: { 'content-type': type } });
  expect((await post('{"keypair":')).body.badRequest.code).toBe(400);
  expect((await post('<keypair/>', 'application/xml')).body.badMediaType.code).toBe(415);
  expect((await post(JSON.stringify({ keypair: { name: 'x'.repeat(200_000) } }))).body.overLimit.code).toBe(413);
  expect((await post('')).body.badRequest.code).toBe(400);
});
