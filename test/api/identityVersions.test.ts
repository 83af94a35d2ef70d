// Discovery: every address that people put into OS_AUTH_URL leads to the identity API, without a token.
import { startTestCloud, type TestCloud } from '../support/testCloud';

let cloud: TestCloud;
beforeAll(async () => void (cloud = await startTestCloud({ realIdentity: true })));
afterAll(() => cloud.stop());

const entry = (base: string): object => ({
  id: 'v3.14',
  status: 'stable',
  updated: expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/),
  links: [{ rel: 'self', href: `${cloud.url}${base}/v3/` }],
  'media-types': [{ base: 'application/json', type: 'application/vnd.openstack.identity-v3+json' }],
});

test.each([
  ['/', ''],
  ['/identity', '/identity'],
  ['/identity/', '/identity'],
])('GET %s is the list of versions', async (path, base) => {
  for (const accept of ['application/json', '*/*', '']) {
    const answer = await cloud.call('GET', path, { token: null, headers: { accept } });
    expect(answer.status).toBe(300);
    expect(answer.body).toEqual({ versions: { values: [entry(base)] } });
  }
});

test.each([
  ['/v3', ''],
  ['/v3/', ''],
  ['/identity/v3', '/identity'],
  ['/identity/v3/', '/identity'],
])('GET %s is the version, with links that keep to the address asked', async (path, base) => {
  const answer = await cloud.call('GET', path, { token: null });
  expect(answer.status).toBe(200);
  expect(answer.body).toEqual({ version: entry(base) });
});

test('an unknown path is 404 and a wrong method 405, in the shape of this service', async () => {
  const unknown = await cloud.call('GET', '/identity/v3/nothing', { token: null });
  expect([unknown.status, unknown.body.error.code, unknown.body.error.title]).toEqual([404, 404, 'Not Found']);
  const wrong = await cloud.call('PUT', '/identity/v3/users', { token: null });
  expect([wrong.status, wrong.body.error.title]).toEqual([405, 'Method Not Allowed']);
});

test('answers name the request and say what they depend on', async () => {
  const answer = await cloud.call('GET', '/identity/v3', { token: null });
  expect(answer.headers.get('x-openstack-request-id')).toMatch(/^req-[0-9a-f-]{36}$/);
  expect(answer.headers.get('vary')).toBe('X-Auth-Token');
});
