// The placement API's version document, and its errors: one shape, for each microversion, whatever is wrong.
import { once } from 'node:events';
import { request, type IncomingMessage } from 'node:http';
import { text } from 'node:stream/consumers';
import { NOBODY } from '../support/placementScene';
import { startTestCloud, type Answer, type TestCloud } from '../support/testCloud';

let cloud: TestCloud;
beforeAll(async () => {
  cloud = await startTestCloud();
});
afterAll(() => cloud.stop());

const at = (version: string) => ({ 'openstack-api-version': `placement ${version}` });
const get = (path: string, version = '1.39', token: string | null = 'admin'): Promise<Answer> =>
  cloud.call('GET', `/placement${path}`, { token, headers: at(version) });
const keys = (value: object) => Object.keys(value).sort();

describe('the version document', () => {
  test.each(['/', ''])('is open and relative at "/placement%s"', async (ending) => {
    const answer = await get(ending, '1.39', null);
    expect([answer.status, answer.headers.get('openstack-api-version')]).toEqual([200, 'placement 1.39']);
    expect(answer.body).toEqual({
      versions: [
        {
          id: 'v1.0',
          max_version: '1.39',
          min_version: '1.0',
          status: 'CURRENT',
          links: [{ rel: 'self', href: '' }],
        },
      ],
    });
  });

  test.each([
    ['1.40', 406],
    ['2.0', 406],
    ['1.x', 400],
    ['1', 400],
  ])('the version %s is answered with %i', async (version, status) => {
    const answer = await get('/', version, null);
    expect(answer.status).toBe(status);
    const [error] = answer.body.errors;
    expect(keys(error)).toEqual(
      ['detail', 'request_id', 'status', 'title', ...(status === 406 ? ['max_version', 'min_version'] : [])].sort(),
    );
    if (status === 406) expect(error).toMatchObject({ max_version: '1.39', min_version: '1.0' });
  });

  test('no version is the first, latest is the last, and other services are not meant', async () => {
    const version = async (header?: string) => {
      const headers = header === undefined ? {} : { 'openstack-api-version': header };
      return (await cloud.call('GET', '/placement/', { headers })).headers.get('openstack-api-version');
    };
    expect(await version()).toBe('placement 1.0');
    expect(await version('compute 2.79')).toBe('placement 1.0');
    expect(await version('compute 2.79, placement 1.5')).toBe('placement 1.5');
    expect(await version('placement latest')).toBe('placement 1.39');
  });
});

describe('errors', () => {
  test('are a list of one, with a code from 1.23 on', async () => {
    const [old] = (await get(`/resource_providers/${NOBODY}`, '1.22')).body.errors;
    expect(old).toEqual({
      status: 404,
      title: 'Not Found',
      detail: `No resource provider with uuid ${NOBODY} found.`,
      request_id: expect.stringMatching(/^req-/),
    });
    const [error] = (await get(`/resource_providers/${NOBODY}`, '1.23')).body.errors;
    expect(error.code).toBe('placement.resource_provider.not_found');
    expect((await get('/traits/HW_NONE', '1.23')).body.errors[0].code).toBe('placement.undefined_code');
  });

  test('tell the methods there are, the types there are, and that a token is missing', async () => {
    const patch = await cloud.call('PATCH', '/placement/resource_providers', { token: 'admin' });
    expect([patch.status, patch.headers.get('allow')]).toEqual([405, 'GET, POST']);
    expect(patch.body.errors[0]).toMatchObject({ status: 405, title: 'Method Not Allowed' });
    const headers = { ...at('1.39'), accept: 'text/html' };
    const html = await cloud.call('GET', '/placement/resource_providers', { token: 'admin', headers });
    expect([html.status, html.body.errors[0].detail]).toEqual([406, 'Only application/json is provided.']);
    expect(html.body.errors[0]).not.toHaveProperty('max_version');
    const json = { ...at('1.39'), accept: 'text/html, application/json;q=0.5' };
    expect((await cloud.call('GET', '/placement/traits', { token: 'admin', headers: json })).status).toBe(200);
    const xml = { ...at('1.39'), 'content-type': 'application/xml' };
    const body = '<provider/>';
    const wrong = await cloud.call('POST', '/placement/resource_providers', { token: 'admin', headers: xml, body });
    expect([wrong.status, wrong.body.errors[0].title]).toEqual([415, 'Unsupported Media Type']);
    const nobody = await get('/resource_providers', '1.39', null);
    expect([nobody.status, nobody.headers.get('www-authenticate')]).toEqual([
      401,
      `Keystone uri="${cloud.url}/identity"`,
    ]);
    expect((await get('/nothing')).body.errors[0]).toMatchObject({ status: 404 });
  });
});

test('a caller that does not say what it accepts gets JSON', async () => {
  const headers = { 'x-auth-token': 'admin' };
  const [answer] = (await once(
    request(`${cloud.url}/placement/resource_providers`, { headers }).end(),
    'response',
  )) as [IncomingMessage];
  expect(answer.statusCode).toBe(200);
  expect(JSON.parse(await text(answer))).toHaveProperty('resource_providers');
});
