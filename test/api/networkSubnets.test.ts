// Subnets over HTTP: ranges, gateways, pools, IPv6 modes, the DHCP port that follows, pools of prefixes.
import { startTestCloud, type TestCloud } from '../support/testCloud';
import { networkCalls } from '../support/networkFixtures';

let cloud: TestCloud;
let networkId: string;
const { call, network, subnet, port, router, make } = networkCalls(() => cloud);
const errorType = (answer: { body: { NeutronError?: { type: string } } }) => answer.body.NeutronError?.type;

beforeEach(async () => {
  cloud = await startTestCloud();
  networkId = (await network()).id;
});
afterEach(() => cloud.stop());

const dhcpPorts = async () =>
  (await call('GET', `/ports?network_id=${networkId}&device_owner=network:dhcp`)).body.ports;

test('a new subnet has every attribute with its default', async () => {
  const made = await subnet(networkId, { cidr: '10.1.0.7/24' });
  expect(made).toEqual({
    id: expect.any(String),
    name: '',
    description: '',
    network_id: networkId,
    tenant_id: 'demo-project',
    project_id: 'demo-project',
    ip_version: 4,
    cidr: '10.1.0.0/24',
    gateway_ip: '10.1.0.1',
    enable_dhcp: true,
    allocation_pools: [{ start: '10.1.0.2', end: '10.1.0.254' }],
    dns_nameservers: [],
    host_routes: [],
    service_types: [],
    ipv6_ra_mode: null,
    ipv6_address_mode: null,
    subnetpool_id: null,
    tags: [],
    created_at: expect.stringMatching(/Z$/),
    updated_at: expect.stringMatching(/Z$/),
    revision_number: 0,
  });
  expect((await call('GET', `/networks/${networkId}`)).body.network).toMatchObject({
    subnets: [made.id],
    availability_zones: ['nova'],
  });
});

test('one DHCP port follows the subnets that need it', async () => {
  const first = await subnet(networkId, { cidr: '10.1.0.0/24' });
  const [dhcp] = await dhcpPorts();
  expect(dhcp).toMatchObject({
    device_owner: 'network:dhcp',
    status: 'ACTIVE',
    security_groups: [],
    project_id: 'demo-project',
  });
  expect(dhcp.fixed_ips).toMatchObject([{ subnet_id: first.id }]);
  const second = await subnet(networkId, { cidr: '10.2.0.0/24' });
  const [same] = await dhcpPorts();
  expect(same.id).toBe(dhcp.id);
  expect(same.fixed_ips.map((one: { subnet_id: string }) => one.subnet_id)).toEqual([first.id, second.id]);
  await call('PUT', `/subnets/${first.id}`, { subnet: { enable_dhcp: false } });
  expect((await dhcpPorts())[0].fixed_ips).toMatchObject([{ subnet_id: second.id }]);
  expect((await call('DELETE', `/subnets/${second.id}`)).status).toBe(204);
  expect(await dhcpPorts()).toEqual([]);
  await call('PUT', `/subnets/${first.id}`, { subnet: { enable_dhcp: true } });
  const [again] = await dhcpPorts();
  const refused = await call('DELETE', `/ports/${again.id}`);
  expect([refused.status, errorType(refused)]).toEqual([409, 'ServicePortInUse']);
});

const v6 = { ip_version: 6, cidr: 'fd00::/64' };
test.each([
  [{}, 'BadRequest'],
  [{ cidr: 'ten' }, 'HTTPBadRequest'],
  [{ cidr: '10.0.0.0/33' }, 'HTTPBadRequest'],
  [{ cidr: '10.0.0.0/0' }, 'InvalidInput'],
  [{ cidr: '10.0.0.0/32' }, 'InvalidInput'],
  [{ cidr: '224.0.0.0/24' }, 'InvalidInput'],
  [{ cidr: '127.0.0.0/24' }, 'InvalidInput'],
  [{ cidr: '10.0.0.0/24', ip_version: 6 }, 'InvalidInput'],
  [{ cidr: '10.0.0.0/24', ip_version: 5 }, 'HTTPBadRequest'],
  [{ cidr: '10.0.0.0/24', gateway_ip: '10.0.1.1' }, 'InvalidInput'],
  [{ cidr: '10.0.0.0/24', gateway_ip: '10.0.0.255' }, 'InvalidInput'],
  [{ cidr: '10.0.0.0/24', gateway_ip: 'fd00::1' }, 'InvalidInput'],
  [{ cidr: '10.0.0.0/24', gateway_ip: 'x' }, 'HTTPBadRequest'],
  [{ cidr: '10.0.0.0/24', allocation_pools: [{ start: '10.0.0.9', end: '10.0.0.5' }] }, 'InvalidAllocationPool'],
  [{ cidr: '10.0.0.0/24', allocation_pools: [{ start: '10.0.0.9' }] }, 'HTTPBadRequest'],
  [{ cidr: '10.0.0.0/24', allocation_pools: [{ start: '10.0.0.9', end: '10.0.1.5' }] }, 'OutOfBoundsAllocationPool'],
  [{ cidr: '10.0.0.0/24', dns_nameservers: ['8.8.8.8', '8.8.8.8'] }, 'HTTPBadRequest'],
  [{ cidr: '10.0.0.0/24', dns_nameservers: ['dns'] }, 'HTTPBadRequest'],
  [{ cidr: '10.0.0.0/24', dns_nameservers: [1, 2, 3, 4, 5, 6].map((n) => `8.8.8.${n}`) }, 'DNSNameServersExhausted'],
  [{ cidr: '10.0.0.0/24', host_routes: [{ destination: '10.9.0.0/24' }] }, 'HTTPBadRequest'],
  [{ cidr: '10.0.0.0/24', host_routes: [{ destination: 'fd00::/64', nexthop: '10.0.0.9' }] }, 'InvalidInput'],
  [
    {
      cidr: '10.0.0.0/24',
      host_routes: Array.from({ length: 21 }, (_, at) => ({ destination: `10.9.${at}.0/24`, nexthop: '10.0.0.9' })),
    },
    'HostRoutesExhausted',
  ],
  [{ cidr: '10.0.0.0/24', ipv6_ra_mode: 'slaac' }, 'InvalidInput'],
  [{ cidr: '10.0.0.0/24', service_types: ['web'] }, 'HTTPBadRequest'],
  [{ cidr: '10.0.0.0/24', prefixlen: 24 }, 'BadRequest'],
  [{ ...v6, ipv6_ra_mode: 'magic' }, 'HTTPBadRequest'],
  [{ ...v6, ipv6_ra_mode: 'slaac', ipv6_address_mode: 'dhcpv6-stateful' }, 'InvalidInput'],
  [{ ...v6, ipv6_ra_mode: 'slaac', enable_dhcp: false }, 'InvalidInput'],
  [{ ...v6, cidr: 'fd00::/80', ipv6_address_mode: 'slaac' }, 'InvalidInput'],
])('a subnet with %j is refused as %s', async (values, type) => {
  const answer = await call('POST', '/subnets', { subnet: { network_id: networkId, ip_version: 4, ...values } });
  expect([answer.status, errorType(answer)]).toEqual([400, type]);
});

test('overlapping pools and a gateway inside a pool are conflicts', async () => {
  const create = (values: object) =>
    call('POST', '/subnets', { subnet: { network_id: networkId, ip_version: 4, cidr: '10.0.0.0/24', ...values } });
  const pools = [
    { start: '10.0.0.5', end: '10.0.0.9' },
    { start: '10.0.0.8', end: '10.0.0.12' },
  ];
  const overlapping = await create({ allocation_pools: pools });
  expect([overlapping.status, errorType(overlapping)]).toEqual([409, 'OverlappingAllocationPools']);
  const inside = await create({ allocation_pools: pools.slice(0, 1), gateway_ip: '10.0.0.7' });
  expect([inside.status, errorType(inside)]).toEqual([409, 'GatewayConflictWithAllocationPools']);
});

test('ranges of one network must not overlap, those of two may', async () => {
  await subnet(networkId, { cidr: '10.0.0.0/16' });
  const answer = await call('POST', '/subnets', {
    subnet: { network_id: networkId, ip_version: 4, cidr: '10.0.9.0/24' },
  });
  expect([answer.status, errorType(answer)]).toEqual([400, 'InvalidInput']);
  await subnet((await network()).id, { cidr: '10.0.9.0/24' });
});

test('a network_id is required, and must be one that the caller sees', async () => {
  expect(errorType(await call('POST', '/subnets', { subnet: { cidr: '10.0.0.0/24' } }))).toBe('HTTPBadRequest');
  const foreign = await network({}, 'other');
  const answer = await call('POST', '/subnets', {
    subnet: { network_id: foreign.id, cidr: '10.0.0.0/24', ip_version: 4 },
  });
  expect([answer.status, errorType(answer)]).toEqual([404, 'NetworkNotFound']);
});

test('an update changes gateway, pools, servers and routes within the rules', async () => {
  const made = await subnet(networkId, { cidr: '10.0.0.0/24', gateway_ip: null });
  expect(made.gateway_ip).toBeNull();
  expect(made.allocation_pools).toEqual([{ start: '10.0.0.1', end: '10.0.0.254' }]);
  const update = (values: object) => call('PUT', `/subnets/${made.id}`, { subnet: values });
  expect(errorType(await update({ gateway_ip: '10.0.0.9' }))).toBe('GatewayConflictWithAllocationPools');
  expect(errorType(await update({ gateway_ip: '10.1.0.9' }))).toBe('InvalidInput');
  expect((await update({ cidr: '10.1.0.0/24' })).status).toBe(400);
  const changed = await update({
    name: 'n',
    description: 'd',
    gateway_ip: '10.0.0.254',
    allocation_pools: [{ start: '10.0.0.10', end: '10.0.0.20' }],
    dns_nameservers: ['9.9.9.9', 'fd00::0:1'],
    host_routes: [{ destination: '10.9.0.0/24', nexthop: '10.0.0.9' }],
    service_types: ['compute:nova'],
  });
  expect(changed.body.subnet).toMatchObject({
    name: 'n',
    gateway_ip: '10.0.0.254',
    allocation_pools: [{ start: '10.0.0.10', end: '10.0.0.20' }],
    dns_nameservers: ['9.9.9.9', 'fd00::1'],
    host_routes: [{ destination: '10.9.0.0/24', nexthop: '10.0.0.9' }],
    service_types: ['compute:nova'],
    revision_number: 1,
  });
  const gate = await router();
  await call('PUT', `/routers/${gate.id}/add_router_interface`, { subnet_id: made.id });
  const busy = await update({ gateway_ip: '10.0.0.253' });
  expect([busy.status, errorType(busy)]).toEqual([409, 'GatewayIpInUse']);
});

test('a subnet with ports stays', async () => {
  const made = await subnet(networkId);
  const guest = await port(networkId);
  const answer = await call('DELETE', `/subnets/${made.id}`);
  expect([answer.status, errorType(answer)]).toEqual([409, 'SubnetInUse']);
  await call('DELETE', `/ports/${guest.id}`);
  expect((await call('DELETE', `/subnets/${made.id}`)).status).toBe(204);
  const gone = await call('GET', `/subnets/${made.id}`);
  expect([gone.status, errorType(gone)]).toEqual([404, 'SubnetNotFound']);
});

test('guests of a SLAAC subnet have the address of their MAC, also those that were there before', async () => {
  await subnet(networkId);
  const mac = 'fa:16:3e:12:34:56';
  const early = await port(networkId, { mac_address: mac });
  const made = await subnet(networkId, { ...v6, ipv6_ra_mode: 'slaac', ipv6_address_mode: 'slaac' });
  const address = 'fd00::f816:3eff:fe12:3456';
  expect((await call('GET', `/ports/${early.id}`)).body.port.fixed_ips).toContainEqual({
    subnet_id: made.id,
    ip_address: address,
  });
  await call('DELETE', `/ports/${early.id}`);
  const late = await port(networkId, { mac_address: mac });
  expect(late.fixed_ips.map((one: { ip_address: string }) => one.ip_address)).toContain(address);
  const wrong = await call('POST', '/ports', {
    port: { network_id: networkId, fixed_ips: [{ subnet_id: made.id, ip_address: 'fd00::5' }] },
  });
  expect([wrong.status, errorType(wrong)]).toEqual([400, 'InvalidInput']);
  const asked = await port(networkId, {
    mac_address: 'fa:16:3e:00:00:07',
    fixed_ips: [{ subnet_id: made.id, ip_address: 'fd00::f816:3eff:fe00:7' }],
  });
  expect(asked.fixed_ips).toEqual([{ subnet_id: made.id, ip_address: 'fd00::f816:3eff:fe00:7' }]);
  expect((await call('DELETE', `/subnets/${made.id}`)).status).toBe(204);
});

test('a stateful IPv6 subnet gives addresses of its pool beside IPv4', async () => {
  await subnet(networkId);
  const made = await subnet(networkId, {
    ...v6,
    ipv6_ra_mode: 'dhcpv6-stateful',
    ipv6_address_mode: 'dhcpv6-stateful',
  });
  expect(made).toMatchObject({
    gateway_ip: 'fd00::1',
    allocation_pools: [{ start: 'fd00::2', end: 'fd00::ffff:ffff:ffff:ffff' }],
  });
  const guest = await port(networkId);
  expect(guest.fixed_ips).toHaveLength(2);
  expect(guest.fixed_ips[1]).toMatchObject({ subnet_id: made.id });
});

test('subnets are filtered, sorted and hidden from other projects', async () => {
  const one = await subnet(networkId, { cidr: '10.1.0.0/24', name: 'one' });
  await subnet(networkId, { cidr: '10.2.0.0/24', name: 'two', enable_dhcp: false });
  const names = async (query: string, token = 'demo') =>
    (await call('GET', `/subnets?${query}`, undefined, token)).body.subnets.map((row: { name: string }) => row.name);
  expect(await names('name=one')).toEqual(['one']);
  expect(await names('cidr=10.2.0.0/24')).toEqual(['two']);
  expect(await names('enable_dhcp=false')).toEqual(['two']);
  expect(await names('ip_version=6')).toEqual([]);
  expect(await names('gateway_ip=10.1.0.1')).toEqual(['one']);
  expect(await names(`network_id=${networkId}&sort_key=cidr&sort_dir=desc`)).toEqual(['two', 'one']);
  expect(await names('shared=True')).toEqual([]);
  expect(await names('shared=False&sort_key=name&sort_dir=asc')).toEqual(['one', 'two']);
  expect(await names('shared=False&shared=True')).toHaveLength(2);
  expect(await names('', 'other')).toEqual([]);
  for (const [method, body] of [['GET'], ['PUT', { subnet: { name: 'x' } }], ['DELETE']] as const)
    expect((await call(method, `/subnets/${one.id}`, body, 'other')).status).toBe(404);
});

test('a subnet is taken from a pool by length, by range or by default', async () => {
  const pool = await make('/subnetpools', 'subnetpool', {
    name: 'p',
    prefixes: ['10.20.0.0/16'],
    default_prefixlen: 26,
    min_prefixlen: 20,
    max_prefixlen: 28,
  });
  const first = await make('/subnets', 'subnet', { network_id: networkId, ip_version: 4, subnetpool_id: pool.id });
  expect(first).toMatchObject({ cidr: '10.20.0.0/26', subnetpool_id: pool.id });
  const second = await make('/subnets', 'subnet', {
    network_id: networkId,
    ip_version: 4,
    subnetpool_id: pool.id,
    prefixlen: 24,
  });
  expect(second.cidr).toBe('10.20.1.0/24');
  const named = await make('/subnets', 'subnet', {
    network_id: networkId,
    ip_version: 4,
    subnetpool_id: pool.id,
    cidr: '10.20.9.0/24',
  });
  expect(named.cidr).toBe('10.20.9.0/24');
  const refused = async (values: object) => {
    const answer = await call('POST', '/subnets', {
      subnet: { network_id: networkId, ip_version: 4, subnetpool_id: pool.id, ...values },
    });
    return [answer.status, errorType(answer)];
  };
  expect(await refused({ prefixlen: 29 })).toEqual([400, 'MaxPrefixSubnetAllocationError']);
  expect(await refused({ prefixlen: 19 })).toEqual([400, 'MinPrefixSubnetAllocationError']);
  expect(await refused({ cidr: '10.20.9.0/25' })).toEqual([400, 'SubnetAllocationError']);
  expect(await refused({ cidr: '10.21.9.0/24' })).toEqual([400, 'SubnetAllocationError']);
  expect(await refused({ cidr: '10.20.8.0/24', prefixlen: 24 })).toEqual([400, 'BadRequest']);
  expect(await refused({ ip_version: 6 })).toEqual([400, 'BadRequest']);
  expect(await refused({ use_default_subnetpool: true })).toEqual([400, 'BadRequest']);
  expect(await refused({ subnetpool_id: '00000000-0000-0000-0000-000000000000' })).toEqual([404, 'SubnetPoolNotFound']);
  expect(await refused({ subnetpool_id: null, use_default_subnetpool: true })).toEqual([404, 'SubnetPoolNotFound']);
  const mixed = await call('POST', '/subnets', {
    subnet: { network_id: networkId, ip_version: 4, cidr: '10.30.0.0/24' },
  });
  expect(errorType(mixed)).toBe('NetworkSubnetPoolAffinityError');
  expect(errorType(await call('DELETE', `/subnetpools/${pool.id}`))).toBe('SubnetPoolDeleteError');

  await make(
    '/subnetpools',
    'subnetpool',
    { name: 'd', prefixes: ['10.40.0.0/24'], is_default: true, shared: true, default_prefixlen: 24 },
    'admin',
  );
  const other = await network();
  const standard = await make('/subnets', 'subnet', {
    network_id: other.id,
    ip_version: 4,
    use_default_subnetpool: true,
  });
  expect(standard.cidr).toBe('10.40.0.0/24');
  const full = await call('POST', '/subnets', {
    subnet: { network_id: other.id, ip_version: 4, use_default_subnetpool: true },
  });
  expect(errorType(full)).toBe('SubnetAllocationError');
});

test("a pool's quota limits what one project takes of it", async () => {
  const pool = await make('/subnetpools', 'subnetpool', {
    name: 'p',
    prefixes: ['10.20.0.0/16'],
    default_prefixlen: 24,
    default_quota: 300,
  });
  await make('/subnets', 'subnet', { network_id: networkId, ip_version: 4, subnetpool_id: pool.id });
  const answer = await call('POST', '/subnets', {
    subnet: { network_id: networkId, ip_version: 4, subnetpool_id: pool.id },
  });
  expect([answer.status, errorType(answer)]).toEqual([409, 'SubnetPoolQuotaExceeded']);
});
