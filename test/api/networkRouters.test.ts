// Routers and floating IPs over HTTP.
import { hintsTold } from '../../controller/src/services/network/hints';
import { startTestCloud, type TestCloud } from '../support/testCloud';
import { networkCalls } from '../support/networkFixtures';

let cloud: TestCloud;
const { call, network, subnet, port, router, external, make } = networkCalls(() => cloud);
type Refusal = { status: number; body: { NeutronError?: { type: string } } };
const problem = (answer: Refusal) => [answer.status, answer.body.NeutronError?.type];
const NOWHERE = '00000000-0000-0000-0000-000000000000';

beforeEach(async () => {
  cloud = await startTestCloud();
});
afterEach(() => cloud.stop());

const join = (id: string, body: unknown, token = 'demo') =>
  call('PUT', `/routers/${id}/add_router_interface`, body, token);
const part = (id: string, body: unknown, token = 'demo') =>
  call('PUT', `/routers/${id}/remove_router_interface`, body, token);
const update = (id: string, values: object, token = 'demo') => call('PUT', `/routers/${id}`, { router: values }, token);

async function inside(cidr = '10.0.0.0/24') {
  const net = await network();
  return { net, range: await subnet(net.id, { cidr }) };
}

test('a new router has every attribute with its default', async () => {
  const made = await router({ admin_state_up: true });
  expect(made).toEqual({
    id: expect.any(String),
    name: 'router',
    description: '',
    tenant_id: 'demo-project',
    project_id: 'demo-project',
    admin_state_up: true,
    status: 'ACTIVE',
    external_gateway_info: null,
    routes: [],
    availability_zone_hints: [],
    availability_zones: [],
    tags: [],
    created_at: expect.any(String),
    updated_at: expect.any(String),
    revision_number: 1,
  });
  const changed = await update(made.id, { name: 'n', description: 'd', admin_state_up: false });
  expect(changed.body.router).toMatchObject({ name: 'n', description: 'd', admin_state_up: false, revision_number: 2 });
  expect((await call('GET', '/routers?name=n&admin_state_up=false')).body.routers).toHaveLength(1);
  expect(problem(await call('POST', '/routers', { router: { routes: [] } }))).toEqual([400, 'HTTPBadRequest']);
  expect(problem(await call('POST', '/routers', { router: { availability_zone_hints: ['moon'] } }))).toEqual([
    404,
    'AvailabilityZoneNotFound',
  ]);
});

test('a gateway is on an external network; SNAT and its addresses are the administrator’s choice', async () => {
  const { network: outside, subnet: range } = await external();
  const { net } = await inside();
  const info = (values: object) => ({ external_gateway_info: { network_id: outside.id, ...values } });
  const gate = await router(info({}));
  expect(gate.external_gateway_info).toEqual({
    network_id: outside.id,
    enable_snat: true,
    external_fixed_ips: [{ subnet_id: range.id, ip_address: expect.stringMatching(/^172\.24\.4\./) }],
  });
  const gatewayPort = (await call('GET', `/ports?device_id=${gate.id}`, undefined, 'admin')).body.ports[0];
  expect(gatewayPort).toMatchObject({ device_owner: 'network:router_gateway', project_id: '', status: 'ACTIVE' });
  expect((await call('GET', `/ports/${gatewayPort.id}`)).status).toBe(404);
  expect(problem(await update(gate.id, info({ enable_snat: false })))).toEqual([403, 'PolicyNotAuthorized']);
  expect(
    problem(await call('POST', '/routers', { router: info({ external_fixed_ips: [{ ip_address: '172.24.4.9' }] }) })),
  ).toEqual([403, 'PolicyNotAuthorized']);
  const quiet = await update(gate.id, info({ enable_snat: false }), 'admin');
  expect(quiet.body.router.external_gateway_info).toEqual({ ...gate.external_gateway_info, enable_snat: false });
  const moved = await update(gate.id, info({ external_fixed_ips: [{ ip_address: '172.24.4.99' }] }), 'admin');
  expect(moved.body.router.external_gateway_info.external_fixed_ips).toEqual([
    { subnet_id: range.id, ip_address: '172.24.4.99' },
  ]);
  expect(problem(await update(gate.id, { external_gateway_info: { network_id: net.id } }))).toEqual([
    400,
    'BadRequest',
  ]);
  expect(problem(await update(gate.id, { external_gateway_info: { network_id: NOWHERE } }))).toEqual([
    404,
    'NetworkNotFound',
  ]);
  expect(problem(await update(gate.id, { external_gateway_info: { enable_snat: false } }, 'admin'))).toEqual([
    400,
    'HTTPBadRequest',
  ]);
  expect((await update(gate.id, { external_gateway_info: {} })).body.router.external_gateway_info).toBeNull();
  expect((await update(gate.id, { external_gateway_info: null })).status).toBe(200);
  expect((await call('GET', `/ports?device_id=${gate.id}`, undefined, 'admin')).body.ports).toEqual([]);
  const empty = await make('/networks', 'network', { 'router:external': true }, 'admin');
  expect(problem(await update(gate.id, { external_gateway_info: { network_id: empty.id } }))).toEqual([
    400,
    'BadRequest',
  ]);
});

test('a router is joined to a subnet once, with the gateway’s address', async () => {
  const { net, range } = await inside();
  const gate = await router();
  const joined = await join(gate.id, { subnet_id: range.id });
  expect(joined.status).toBe(200);
  const own = (await call('GET', `/ports/${joined.body.port_id}`)).body.port;
  expect(own).toMatchObject({
    device_owner: 'network:router_interface',
    device_id: gate.id,
    fixed_ips: [{ ip_address: '10.0.0.1' }],
  });
  expect(problem(await join(gate.id, { subnet_id: range.id }))).toEqual([400, 'BadRequest']);
  const second = await router();
  expect(problem(await join(second.id, { subnet_id: range.id }))).toEqual([409, 'IpAddressInUse']);
  const other = await inside('10.0.0.128/25');
  expect(problem(await join(gate.id, { subnet_id: other.range.id }))).toEqual([400, 'BadRequest']);
  const blind = await subnet(net.id, { cidr: '10.1.0.0/24', gateway_ip: null });
  expect(problem(await join(gate.id, { subnet_id: blind.id }))).toEqual([400, 'BadRequest']);
  for (const body of [{}, { subnet_id: range.id, port_id: NOWHERE }])
    expect(problem(await join(gate.id, body))).toEqual([400, 'BadRequest']);
  for (const body of [[], { subnet_id: 'x' }, { colour: 'red' }])
    expect(problem(await join(gate.id, body))).toEqual([400, 'HTTPBadRequest']);
  expect((await join(gate.id, undefined)).status).toBe(400);
  expect(problem(await join(gate.id, { subnet_id: NOWHERE }))).toEqual([404, 'SubnetNotFound']);
  expect(problem(await join(gate.id, { port_id: NOWHERE }))).toEqual([404, 'PortNotFound']);
});

test('a router is joined by a port that has an address and no device', async () => {
  const { net, range } = await inside();
  const gate = await router();
  const bare = await port(net.id, { fixed_ips: [] });
  expect(problem(await join(gate.id, { port_id: bare.id }))).toEqual([400, 'BadRequest']);
  const taken = await port(net.id, { device_id: 'x' });
  expect(problem(await join(gate.id, { port_id: taken.id }))).toEqual([409, 'PortInUse']);
  const free = await port(net.id, { fixed_ips: [{ ip_address: '10.0.0.50' }] });
  const joined = await join(gate.id, { port_id: free.id });
  expect(joined).toMatchObject({ status: 200, body: { port_id: free.id, subnet_ids: [range.id] } });
  expect(problem(await part(gate.id, { port_id: taken.id }))).toEqual([404, 'RouterInterfaceNotFound']);
  expect(problem(await part(gate.id, { subnet_id: NOWHERE }))).toEqual([404, 'RouterInterfaceNotFoundForSubnet']);
  expect(problem(await part(gate.id, { port_id: free.id, subnet_id: NOWHERE }))).toEqual([
    400,
    'SubnetMismatchForPort',
  ]);
  expect(problem(await part(gate.id, {}))).toEqual([400, 'BadRequest']);
  expect((await part(gate.id, { port_id: free.id, subnet_id: range.id })).status).toBe(200);
  expect((await call('GET', `/ports/${free.id}`)).status).toBe(404);
});

test('two IPv4 ranges can’t share a router’s port', async () => {
  const { net } = await inside();
  const second = await subnet(net.id, { cidr: '10.1.0.0/24' });
  const both = await port(net.id, { fixed_ips: [{ ip_address: '10.0.0.50' }, { subnet_id: second.id }] });
  expect(problem(await join((await router()).id, { port_id: both.id }))).toEqual([400, 'BadRequest']);
});

test('the gateway’s address of a shared network is not for everybody’s router', async () => {
  const shared = await network({ shared: true }, 'admin');
  const range = await subnet(shared.id, {}, 'admin');
  const gate = await router();
  expect(problem(await join(gate.id, { subnet_id: range.id }))).toEqual([403, 'PolicyNotAuthorized']);
  const own = await port(shared.id);
  expect((await join(gate.id, { port_id: own.id })).status).toBe(200);
});

test('routes lead to neighbours and hold the interface they need', async () => {
  const { range } = await inside();
  const gate = await router();
  await join(gate.id, { subnet_id: range.id });
  const one = { destination: '10.50.0.0/24', nexthop: '10.0.0.200' };
  const two = { destination: '10.51.0.0/24', nexthop: '10.0.0.201' };
  expect((await update(gate.id, { routes: [one] })).body.router.routes).toEqual([one]);
  expect(problem(await update(gate.id, { routes: [{ ...one, nexthop: '10.9.0.1' }] }))).toEqual([400, 'InvalidRoutes']);
  expect(problem(await update(gate.id, { routes: [{ ...one, nexthop: '10.0.0.1' }] }))).toEqual([400, 'InvalidRoutes']);
  expect(problem(await update(gate.id, { routes: [{ ...one, destination: 'fd00::/64' }] }))).toEqual([
    400,
    'InvalidRoutes',
  ]);
  expect(problem(await update(gate.id, { routes: [one, one] }))).toEqual([400, 'HTTPBadRequest']);
  const many = Array.from({ length: 31 }, (_, at) => ({ destination: `10.60.${at}.0/24`, nexthop: '10.0.0.200' }));
  expect(problem(await update(gate.id, { routes: many }))).toEqual([400, 'RoutesExhausted']);
  const change = (verb: string, routes: unknown, token = 'demo') =>
    call('PUT', `/routers/${gate.id}/${verb}`, { router: { routes } }, token);
  expect((await change('add_extraroutes', [one, two])).body.router.routes).toEqual([one, two]);
  expect((await change('remove_extraroutes', [one])).body.router.routes).toEqual([two]);
  expect((await change('add_extraroutes', [one], 'other')).status).toBe(404);
  expect((await change('add_extraroutes', [one], 'reader')).status).toBe(403);
  expect((await call('PUT', `/routers/${gate.id}/add_extraroutes`, {})).status).toBe(400);
  expect(problem(await part(gate.id, { subnet_id: range.id }))).toEqual([409, 'RouterInterfaceInUseByRoute']);
  expect((await update(gate.id, { routes: null })).body.router.routes).toEqual([]);
  expect((await part(gate.id, { subnet_id: range.id })).status).toBe(200);
});

test('another project’s router does not exist', async () => {
  const theirs = await router({}, 'other');
  const { range } = await inside();
  const attempts = [
    ['GET', ''],
    ['PUT', '', { router: { name: 'x' } }],
    ['DELETE', ''],
    ['PUT', '/add_router_interface', { subnet_id: range.id }],
    ['PUT', '/remove_router_interface', { subnet_id: range.id }],
  ] as const;
  for (const [method, tail, body] of attempts)
    expect(problem(await call(method, `/routers/${theirs.id}${tail}`, body))).toEqual([404, 'RouterNotFound']);
  expect(problem(await join((await router()).id, { subnet_id: range.id }, 'reader'))).toEqual([
    403,
    'PolicyNotAuthorized',
  ]);
});

async function reachable() {
  const { network: outside, subnet: outsideRange } = await external();
  const { net, range } = await inside();
  const gate = await router({ external_gateway_info: { network_id: outside.id } });
  await join(gate.id, { subnet_id: range.id });
  return { outside, outsideRange, net, range, gate };
}

const floating = (values: Record<string, unknown>, token = 'demo') =>
  call('POST', '/floatingips', { floatingip: values }, token);

test('a floating IP waits without a port, moves between ports and comes off again', async () => {
  const { outside, net, gate } = await reachable();
  const made = (await floating({ floating_network_id: outside.id })).body.floatingip;
  expect(made).toEqual({
    id: expect.any(String),
    tenant_id: 'demo-project',
    project_id: 'demo-project',
    description: '',
    floating_network_id: outside.id,
    floating_ip_address: expect.stringMatching(/^172\.24\.4\./),
    fixed_ip_address: null,
    port_id: null,
    port_details: null,
    router_id: null,
    status: 'DOWN',
    dns_name: '',
    dns_domain: '',
    tags: [],
    created_at: expect.any(String),
    updated_at: expect.any(String),
    revision_number: 0,
  });
  const [one, two] = [await port(net.id), await port(net.id)];
  const set = (values: object) => call('PUT', `/floatingips/${made.id}`, { floatingip: values });
  expect((await set({ port_id: one.id })).body.floatingip).toMatchObject({
    port_id: one.id,
    status: 'ACTIVE',
    router_id: gate.id,
  });
  expect((await set({ port_id: one.id })).status).toBe(200);
  expect((await set({ port_id: two.id, description: 'moved' })).body.floatingip).toMatchObject({
    port_id: two.id,
    description: 'moved',
  });
  expect((await set({ description: 'kept' })).body.floatingip).toMatchObject({ port_id: two.id, description: 'kept' });
  const again = await floating({ floating_network_id: outside.id, port_id: two.id });
  expect(problem(again)).toEqual([409, 'FloatingIPPortAlreadyAssociated']);
  expect(problem(await update(gate.id, { external_gateway_info: null }))).toEqual([
    409,
    'RouterExternalGatewayInUseByFloatingIp',
  ]);
  expect((await set({ port_id: null })).body.floatingip).toMatchObject({
    port_id: null,
    fixed_ip_address: null,
    router_id: null,
    status: 'DOWN',
  });
  expect(problem(await set({ fixed_ip_address: '10.0.0.5' }))).toEqual([400, 'BadRequest']);
  expect(problem(await set({ floating_ip_address: '172.24.4.9' }))).toEqual([403, 'PolicyNotAuthorized']);
});

test('a port without a way to the outside is 404 ExternalGatewayForFloatingIPNotFound', async () => {
  const { outside } = await reachable();
  const alone = await inside('10.7.0.0/24');
  const guest = await port(alone.net.id);
  expect(problem(await floating({ floating_network_id: outside.id, port_id: guest.id }))).toEqual([
    404,
    'ExternalGatewayForFloatingIPNotFound',
  ]);
});

test('a port with several addresses needs to be told which', async () => {
  const { outside, net } = await reachable();
  const guest = await port(net.id, { fixed_ips: [{ ip_address: '10.0.0.50' }, { ip_address: '10.0.0.51' }] });
  const wish = { floating_network_id: outside.id, port_id: guest.id };
  expect(problem(await floating(wish))).toEqual([400, 'BadRequest']);
  expect(problem(await floating({ ...wish, fixed_ip_address: '10.0.0.9' }))).toEqual([400, 'BadRequest']);
  const made = await floating({ ...wish, fixed_ip_address: '10.0.0.51' });
  expect(made.body.floatingip.fixed_ip_address).toBe('10.0.0.51');
  const moved = await call('PUT', `/ports/${guest.id}`, { port: { fixed_ips: [{ ip_address: '10.0.0.50' }] } });
  expect(moved.status).toBe(200);
  expect((await call('GET', `/floatingips/${made.body.floatingip.id}`)).body.floatingip).toMatchObject({
    port_id: null,
    status: 'DOWN',
  });
  const bare = await port(net.id, { fixed_ips: [] });
  expect(problem(await floating({ floating_network_id: outside.id, port_id: bare.id }))).toEqual([400, 'BadRequest']);
});

test('what a floating IP names must exist, be external and be the caller’s', async () => {
  const { outside, outsideRange, net, range } = await reachable();
  const foreign = await network({}, 'other');
  await subnet(foreign.id, {}, 'other');
  const theirs = await port(foreign.id, {}, 'other');
  expect(problem(await floating({}))).toEqual([400, 'HTTPBadRequest']);
  expect(problem(await floating({ floating_network_id: net.id }))).toEqual([400, 'BadRequest']);
  expect(problem(await floating({ floating_network_id: foreign.id }))).toEqual([404, 'NetworkNotFound']);
  expect(problem(await floating({ floating_network_id: outside.id, port_id: theirs.id }))).toEqual([
    404,
    'PortNotFound',
  ]);
  expect(problem(await floating({ floating_network_id: outside.id, floating_ip_address: '172.24.4.77' }))).toEqual([
    403,
    'PolicyNotAuthorized',
  ]);
  expect(problem(await floating({ floating_network_id: outside.id, subnet_id: range.id }))).toEqual([
    400,
    'InvalidInput',
  ]);
  expect(problem(await floating({ floating_network_id: outside.id, fixed_ip_address: '10.0.0.9' }))).toEqual([
    400,
    'BadRequest',
  ]);
  const named = await floating(
    { floating_network_id: outside.id, floating_ip_address: '172.24.4.77', subnet_id: outsideRange.id },
    'admin',
  );
  expect(named.body.floatingip.floating_ip_address).toBe('172.24.4.77');
  const bare = await make('/networks', 'network', { 'router:external': true }, 'admin');
  expect(problem(await floating({ floating_network_id: bare.id }))).toEqual([400, 'BadRequest']);
  const mine = (await floating({ floating_network_id: outside.id })).body.floatingip;
  for (const [method, body] of [['GET'], ['PUT', { floatingip: { port_id: null } }], ['DELETE']] as const)
    expect(problem(await call(method, `/floatingips/${mine.id}`, body, 'other'))).toEqual([404, 'FloatingIPNotFound']);
  expect(problem(await call('GET', '/floatingips/203.0.113.5'))).toEqual([404, 'FloatingIPNotFound']);
  const found = (await call('GET', `/floatingips?floating_ip_address=${mine.floating_ip_address}`)).body.floatingips;
  expect(found.map((row: { id: string }) => row.id)).toEqual([mine.id]);
});

test('lists of routers and floating IPs need the same number of statements for any length', async () => {
  const { outside, net } = await reachable();
  const count = async (path: string) => {
    await hintsTold(cloud.cloud);
    const before = cloud.statements.length;
    await call('GET', path);
    return cloud.statements.length - before;
  };
  const add = async () => {
    await floating({ floating_network_id: outside.id, port_id: (await port(net.id)).id });
    await router({ external_gateway_info: { network_id: outside.id } });
  };
  await add();
  const few = [await count('/routers'), await count('/floatingips')];
  for (let at = 0; at < 4; at++) await add();
  expect([await count('/routers'), await count('/floatingips')]).toEqual(few);
});

test('quotas stop routers and floating IPs and give back what was deleted', async () => {
  const { outside, gate } = await reachable();
  await call('PUT', '/quotas/demo-project', { quota: { router: 1, floatingip: 1 } }, 'admin');
  expect(problem(await call('POST', '/routers', { router: {} }))).toEqual([409, 'OverQuota']);
  const one = (await floating({ floating_network_id: outside.id })).body.floatingip;
  expect(problem(await floating({ floating_network_id: outside.id }))).toEqual([409, 'OverQuota']);
  await call('DELETE', `/floatingips/${one.id}`);
  expect((await floating({ floating_network_id: outside.id })).status).toBe(201);
  expect((await call('GET', `/routers/${gate.id}`)).status).toBe(200);
});
