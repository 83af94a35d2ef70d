// Ids that nobody looks up before they are kept: too long ones are the caller's mistake, on every database.
import { startTestCloud, type TestCloud } from '../support/testCloud';

let cloud: TestCloud;
const long = 'x'.repeat(65);

beforeAll(async () => {
  cloud = await startTestCloud();
});
afterAll(() => cloud.stop());

test.each([
  ['PUT', `/compute/v2.1/os-quota-sets/${long}`, { quota_set: { cores: 5 } }],
  ['PUT', `/network/v2.0/quotas/${long}`, { quota: { port: 5 } }],
  ['POST', '/network/v2.0/networks', { network: { name: 'n', project_id: long } }],
  ['POST', '/image/v2/images', { name: 'i', owner: long }],
])('%s %s', async (method, path, body) => {
  const answer = await cloud.call(method, path, { token: 'admin', body });
  expect(answer.status).toBe(400);
  expect(JSON.stringify(answer.body)).not.toContain('unexpected');
});
