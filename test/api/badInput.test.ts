// Generated from every service's route table: bodies that are too large, no JSON, or of another type are refused in words, in time.
import { request } from 'node:http';
import { computeService } from '../../controller/src/api/compute/routes';
import { identityService } from '../../controller/src/api/identity/routes';
import { imageService } from '../../controller/src/api/image/routes';
import { networkService } from '../../controller/src/api/network/routes';
import { placementService } from '../../controller/src/api/placement/routes';
import { startTestCloud, type Answer, type TestCloud } from '../support/testCloud';

let cloud: TestCloud;
beforeAll(async () => {
  cloud = await startTestCloud();
});
afterAll(() => cloud.stop());

/** Microversions at which each route exists. */
const version = (until: number | undefined): string =>
  `compute ${until === undefined ? '2.90' : '2.1'}, placement 1.39`;

const writes = [computeService, identityService, imageService, networkService, placementService].flatMap((service) =>
  service.routes
    .filter(({ method, rawBody }) => ['POST', 'PUT', 'PATCH'].includes(method) && rawBody !== true)
    .filter(({ path }) => service.name !== 'compute' || path.startsWith('/v2.1/'))
    .map((route) => {
      const path = `${service.prefixes[0] ?? ''}${route.path.replace(/:\w+/g, '00000000-0000-4000-8000-000000000000')}`;
      const jsonPatch = service.name === 'image' && route.method === 'PATCH';
      const type = jsonPatch ? 'application/openstack-images-v2.1-json-patch' : 'application/json';
      const headers = { 'content-type': type, 'openstack-api-version': version(route.until) };
      return [
        `${route.method} ${path}`,
        { method: route.method, path, headers, schema: route.schema !== undefined },
      ] as const;
    }),
);

/** An error that a client can read: every service has its own shape, but each has words and none has a trace. */
function refused(answer: Answer): void {
  const text = JSON.stringify(answer.body);
  expect(text).toMatch(/[a-z]{3,} [a-z]{2,}/);
  expect(text).not.toMatch(/node_modules|\.ts:|\.js:/);
}

test.each(writes)('%s refuses what is not JSON', async (_what, { method, path, headers }) => {
  for (const body of ['{', '{"a": }', '\u0000', Buffer.from([0xff, 0xfe, 0x22])]) {
    const answer = await cloud.call(method, path, { token: 'admin', body, headers });
    expect([body, answer.status]).toEqual([body, 400]);
    refused(answer);
  }
});

test.each(writes.filter(([, { schema }]) => schema))(
  '%s refuses JSON that is no object',
  async (_what, { method, path, headers }) => {
    for (const body of ['[]', '"text"', '7', 'null', 'true', '[['.repeat(2000) + ']]'.repeat(2000)]) {
      const answer = await cloud.call(method, path, { token: 'admin', body, headers });
      expect([body.slice(0, 20), answer.status]).toEqual([body.slice(0, 20), 400]);
      refused(answer);
    }
  },
);

/** Announces or just sends 10 MB and resolves with the status that comes, though the body was never sent to its end. */
const sendMuch = (method: string, path: string, headers: object, announced: boolean): Promise<number> =>
  new Promise((resolve, reject) => {
    const length = announced ? { 'content-length': '10000000' } : { 'transfer-encoding': 'chunked' };
    const client = request(cloud.url + path, { method, headers: { ...headers, ...length, 'x-auth-token': 'admin' } });
    client.once('response', (response) => {
      response.resume().once('close', () => resolve(response.statusCode ?? 0));
    });
    client.once('error', reject);
    client.write(Buffer.alloc(300_000, 0x20));
  });

test.each(writes)(
  '%s refuses a huge body at once and ends the connection',
  async (_what, { method, path, headers }) => {
    expect(await sendMuch(method, path, headers, true)).toBe(413);
    expect(await sendMuch(method, path, headers, false)).toBe(413);
  },
);
