// What commands of the client ask behind the scenes, in their order.
import { makeFlavor, makeHost, makeImage, settle } from '../../support/computeFixtures';
import { networkCalls } from '../../support/networkFixtures';
import { startTestCloud, type TestCloud } from '../../support/testCloud';

let cloud: TestCloud;
let inside: { id: string };
const { network, subnet, router, group, external, make, call: neutron } = networkCalls(() => cloud);
const get = (path: string, token = 'demo') => cloud.call('GET', path, { token });
/** The status of each request, in order. */
const statuses = async (...paths: string[]): Promise<number[]> =>
  (await Promise.all(paths.map((path) => get(path)))).map(({ status }) => status);
let serverId: string;

beforeAll(async () => {
  cloud = await startTestCloud();
  await makeImage(cloud);
  await makeFlavor(cloud, 'small');
  await makeHost(cloud, 'h1');
  inside = await network({ name: 'demo' });
  await subnet(inside.id);
  await group({ name: 'web' });
});
afterAll(() => cloud.stop());

test('server create with a network and a group finds each by name, then polls and shows', async () => {
  const image = (await get('/image/v2/images?name=tiny')).body.images[0];
  expect(await statuses('/image/v2/images/tiny', '/compute/v2.1/flavors/small')).toEqual([404, 200]);
  const [found] = (await get('/network/v2.0/networks?name=demo')).body.networks;
  const [web] = (await get('/network/v2.0/security-groups?name=web')).body.security_groups;
  const made = await cloud.call('POST', '/compute/v2.1/servers', {
    body: {
      server: {
        name: 'hello',
        imageRef: image.id,
        flavorRef: 'small',
        min_count: 1,
        max_count: 1,
        security_groups: [{ name: web.id }],
        networks: [{ uuid: found.id }],
      },
    },
  });
  expect(made.status).toBe(202);
  serverId = made.body.server.id;
  expect((await get(`/compute/v2.1/servers/${serverId}`)).body.server.status).toBe('BUILD');
  await settle(cloud, serverId, { host: 'h1' });
  const shown = (await get(`/compute/v2.1/servers/${serverId}`)).body.server;
  expect(shown).toMatchObject({ status: 'ACTIVE', security_groups: [{ name: 'web' }] });
  expect(
    await statuses(
      `/image/v2/images/${shown.image.id as string}`,
      `/compute/v2.1/flavors/${shown.flavor.id as string}`,
    ),
  ).toEqual([200, 200]);
});

test('server list asks for details, all images and all flavors; server show for a name, then an image and a flavor', async () => {
  const flavors = '/compute/v2.1/flavors/detail?is_public=None';
  expect(await statuses('/compute/v2.1/servers/detail', '/image/v2/images', flavors)).toEqual([200, 200, 200]);
  expect(await statuses('/compute/v2.1/servers/hello')).toEqual([404]);
  expect((await get('/compute/v2.1/servers?name=hello')).body.servers).toMatchObject([{ id: serverId }]);
});

test('server add security group finds the group through compute, by name and in the whole list', async () => {
  const { security_groups: listed } = (await get('/compute/v2.1/os-security-groups')).body;
  const web = listed.find(({ name }: { name: string }) => name === 'web');
  expect((await get(`/compute/v2.1/os-security-groups/${web.id as string}`)).body.security_group).toMatchObject({
    name: 'web',
    tenant_id: 'demo-project',
  });
  await group({ name: 'extra' });
  const act = (action: object) => cloud.call('POST', `/compute/v2.1/servers/${serverId}/action`, { body: action });
  expect((await act({ addSecurityGroup: { name: 'extra' } })).status).toBe(202);
  const names = (await get(`/compute/v2.1/servers/${serverId}`)).body.server.security_groups;
  expect(names).toEqual(expect.arrayContaining([{ name: 'web' }, { name: 'extra' }]));
  expect((await act({ removeSecurityGroup: { name: 'extra' } })).status).toBe(202);
});

test('keypair create without a key gets the private one', async () => {
  const { keypair } = (await cloud.call('POST', '/compute/v2.1/os-keypairs', { body: { keypair: { name: 'made' } } }))
    .body;
  expect(keypair).toMatchObject({
    name: 'made',
    private_key: expect.stringContaining('PRIVATE KEY'),
    user_id: 'demo-user',
  });
});

test('availability zone list: the detailed list is 403 for a member, then the plain one, then the extension by its name', async () => {
  expect(await statuses('/compute/v2.1/os-availability-zone/detail', '/compute/v2.1/os-availability-zone')).toEqual([
    403, 200,
  ]);
  expect(await statuses('/network/v2.0/extensions/Availability%20Zone')).toEqual([404]);
  const { extensions } = (await get('/network/v2.0/extensions')).body;
  expect(extensions).toContainEqual(expect.objectContaining({ name: 'Availability Zone', alias: 'availability_zone' }));
  expect((await get('/network/v2.0/availability_zones')).body.availability_zones.length).toBeGreaterThan(0);
});

test('port create asks whether tags come along; router create says that the router is up', async () => {
  expect(await statuses('/network/v2.0/extensions/tag-ports-during-bulk-creation')).toEqual([200]);
  expect(await router({ name: 'up', admin_state_up: true })).toMatchObject({ admin_state_up: true, status: 'ACTIVE' });
});

test('quota show asks compute and network, and the network also for defaults', async () => {
  expect(
    await statuses(
      '/compute/v2.1/os-quota-sets/demo-project',
      '/compute/v2.1/os-quota-sets/demo-project/defaults',
      '/compute/v2.1/os-quota-sets/demo-project/detail',
      '/network/v2.0/quotas/demo-project',
      '/network/v2.0/quotas/demo-project/default',
      '/network/v2.0/quotas/demo-project/details',
    ),
  ).toEqual([200, 200, 200, 200, 200, 200]);
});

test('ports are found by device_id, and device_owner says what each is for', async () => {
  const owners = async (query: string, token = 'demo') =>
    (await get(`/network/v2.0/ports?${query}`, token)).body.ports
      .map((one: { device_owner: string }) => one.device_owner)
      .sort();
  expect(await owners(`device_id=${serverId}`)).toEqual(['compute:nova']);
  const { network: outside } = await external();
  const way = await router({ external_gateway_info: { network_id: outside.id } });
  const [range] = (await neutron('GET', `/subnets?network_id=${inside.id}`)).body.subnets;
  await neutron('PUT', `/routers/${way.id as string}/add_router_interface`, { subnet_id: range.id });
  const floating = await make('/floatingips', 'floatingip', { floating_network_id: outside.id });
  expect(await owners(`device_id=${way.id as string}`, 'admin')).toEqual([
    'network:router_gateway',
    'network:router_interface',
  ]);
  expect(await owners(`device_id=${floating.id as string}`, 'admin')).toEqual(['network:floatingip']);
  expect(await owners(`network_id=${inside.id}&device_owner=network:dhcp`)).toEqual(['network:dhcp']);
});
