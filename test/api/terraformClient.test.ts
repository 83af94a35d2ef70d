// What Terraform's client makes of discovery, the catalog and pages, and that the client of these tests is as strict as the real one.
import { connect } from '../support/gophercloud';
import { goTypes, unreadable } from '../support/goTypes';
import { ADMIN_PASSWORD, startIdentity, type IdentityCloud } from '../support/identity';
import { terraform } from '../support/terraformProvider';

const account = { userName: 'admin', password: ADMIN_PASSWORD, projectName: 'admin' };
let cloud: IdentityCloud;
beforeAll(async () => void (cloud = await startIdentity()));
afterAll(() => cloud.stop());

test.each(['', '/v3', '/identity', '/identity/v3', '/identity/v3/'])(
  'with OS_AUTH_URL ending in "%s" every service is found, at the URL that its client makes of the catalog',
  async (ending) => {
    const there = await connect(cloud.test.url + ending, account);
    const bases = await Promise.all(
      (['identity', 'image', 'compute', 'network'] as const).map(async (type) => (await there.service(type)).base),
    );
    const url = cloud.test.url;
    expect(bases).toEqual([`${url}/identity/v3/`, `${url}/image/v2/`, `${url}/compute/v2.1/`, `${url}/network/v2.0/`]);
  },
);

test('the data source of images follows the pages of a long list', async () => {
  const admin = await terraform(await connect(cloud.test.url, account));
  const made = [];
  for (let count = 0; count < 27; count++) {
    const json = { name: 'page', container_format: 'bare', disk_format: 'raw' };
    const image = cloud.test.call('POST', '/image/v2/images', { token: cloud.admin, body: json });
    made.push((await image).body.id);
  }
  const found = await admin.images.find('name=page&status=queued');
  expect(found.map(({ id }) => id).sort()).toEqual(made.sort());
  await Promise.all(made.map((id) => admin.images.remove(id as string)));
});

test('a status code that a call does not list is refused', async () => {
  const provider = await connect(cloud.test.url, account);
  const network = await provider.service('network');
  await expect(network.call('POST', 'networks', { json: { network: {} }, codes: [200] })).rejects.toMatchObject({
    status: 201,
    message: expect.stringContaining('expected 200, got 201'),
  });
  await expect(network.call('GET', 'networks/none')).rejects.toMatchObject({ status: 404 });
  await expect(connect(cloud.test.url, { ...account, password: 'wrong' })).rejects.toMatchObject({ status: 401 });
});

test.each([
  [goTypes.server, { created: '2026-01-01T00:00:00' }, 'created'],
  [goTypes.server, { created: '2026-01-01 00:00:00Z' }, 'created'],
  [goTypes.server, { 'OS-SRV-USG:launched_at': '2026-01-01T00:00:00.000000Z' }, 'launched_at'],
  [goTypes.server, { progress: '5' }, 'progress'],
  [goTypes.server, { metadata: { a: 1 } }, 'metadata'],
  [goTypes.server, { fault: { created: '2026-01-01T00:00:00' } }, 'fault.created'],
  [goTypes.user, { password_expires_at: '2026-01-01T00:00:00.000000Z' }, 'password_expires_at'],
  [goTypes.token, { expires_at: '2026-01-01T00:00:00.000000' }, 'expires_at'],
  [goTypes.port, { fixed_ips: [{ ip_address: 1 }] }, 'fixed_ips[0].ip_address'],
  [goTypes.router, { external_gateway_info: 'none' }, 'external_gateway_info'],
  [goTypes.image, { size: 1.5 }, 'size'],
  [goTypes.network, { subnets: {} }, 'subnets'],
])('Go can not read this: %# %j', (shape, value, field) => {
  expect(unreadable(shape, value, 'it')).toEqual([expect.stringContaining(field)]);
});

test('Go reads what is missing, null, or more than it asks for', () => {
  expect(unreadable(goTypes.server, {}, 'it')).toEqual([]);
  expect(unreadable(goTypes.server, { created: null, fault: null, addresses: null, more: 1 }, 'it')).toEqual([]);
  expect(unreadable(goTypes.server, { 'OS-SRV-USG:launched_at': '2026-01-01T00:00:00.5' }, 'it')).toEqual([]);
});
