// The path of a first network in the order that clients take: network, subnet, router, port, floating IP, rules, and all of it away again.
import { startTestCloud, type TestCloud } from '../support/testCloud';
import { networkCalls } from '../support/networkFixtures';

let cloud: TestCloud;
const { call, network, subnet, port, router, external, make } = networkCalls(() => cloud);

beforeAll(async () => {
  cloud = await startTestCloud();
});
afterAll(() => cloud.stop());

test('a tenant joins a network to the outside, gives a port a floating IP and takes everything away again', async () => {
  const { network: outside } = await external();
  const inside = await network({ name: 'demo' });
  const range = await subnet(inside.id, { cidr: '10.10.0.0/24' });
  const gate = await router({ external_gateway_info: { network_id: outside.id } });
  expect(gate.external_gateway_info).toMatchObject({ network_id: outside.id, enable_snat: true });

  const joined = await call('PUT', `/routers/${gate.id}/add_router_interface`, { subnet_id: range.id });
  expect(joined).toMatchObject({
    status: 200,
    body: {
      id: gate.id,
      subnet_id: range.id,
      subnet_ids: [range.id],
      tenant_id: 'demo-project',
      project_id: 'demo-project',
      network_id: inside.id,
    },
  });

  const guest = await port(inside.id);
  expect(guest.fixed_ips).toHaveLength(1);
  expect(guest.mac_address).toMatch(/^fa:16:3e:/);
  const floating = await make('/floatingips', 'floatingip', { floating_network_id: outside.id, port_id: guest.id });
  expect(floating).toMatchObject({
    status: 'ACTIVE',
    router_id: gate.id,
    fixed_ip_address: guest.fixed_ips[0].ip_address,
  });
  expect(floating.port_details).toMatchObject({ mac_address: guest.mac_address, network_id: inside.id });

  const busy = await call('PUT', `/routers/${gate.id}/remove_router_interface`, { subnet_id: range.id });
  expect(busy).toMatchObject({ status: 409, body: { NeutronError: { type: 'RouterInterfaceInUseByFloatingIP' } } });
  expect((await call('DELETE', `/networks/${inside.id}`)).body.NeutronError.type).toBe('NetworkInUse');

  expect((await call('DELETE', `/floatingips/${floating.id}`)).status).toBe(204);
  expect((await call('DELETE', `/ports/${guest.id}`)).status).toBe(204);
  expect((await call('DELETE', `/routers/${gate.id}`)).body.NeutronError.type).toBe('RouterInUse');
  expect((await call('PUT', `/routers/${gate.id}/remove_router_interface`, { subnet_id: range.id })).status).toBe(200);
  expect((await call('DELETE', `/routers/${gate.id}`)).status).toBe(204);
  expect((await call('DELETE', `/networks/${inside.id}`)).status).toBe(204);
  for (const path of ['/ports', '/networks?name=demo', '/subnets', '/routers', '/floatingips']) {
    const answer = await call('GET', path);
    expect(answer.status).toBe(200);
    expect(Object.values(answer.body)).toEqual([[]]);
  }
});

test('the version document needs no token, the resource list does', async () => {
  for (const path of ['/network', '/network/']) {
    const answer = await cloud.call('GET', path, { token: null });
    expect(answer.status).toBe(200);
    expect(answer.body.versions).toEqual([
      { id: 'v2.0', status: 'CURRENT', links: [{ rel: 'self', href: `${cloud.url}/network/v2.0/` }] },
    ]);
  }
  const refused = await cloud.call('GET', '/network/v2.0', { token: null });
  expect(refused.status).toBe(401);
  expect(refused.headers.get('www-authenticate')).toContain('Keystone uri=');
  expect(refused.body.error).toMatchObject({ code: 401, title: 'Unauthorized' });
  const listed = await cloud.call('GET', '/network/v2.0/');
  expect(listed.body.resources).toContainEqual({
    name: 'network',
    collection: 'networks',
    links: [{ rel: 'self', href: `${cloud.url}/network/v2.0/networks` }],
  });
});
