// Ports over HTTP: addresses, MACs, groups, DHCP options, bindings, and what only services may do.
import { hintsTold } from '../../controller/src/services/network/hints';
import { startTestCloud, type TestCloud } from '../support/testCloud';
import { networkCalls } from '../support/networkFixtures';

let cloud: TestCloud;
let networkId: string;
let subnetId: string;
const { call, network, subnet, port, group, router } = networkCalls(() => cloud);
const errorType = (answer: { body: { NeutronError?: { type: string } } }) => answer.body.NeutronError?.type;
const refused = async (values: object, token = 'demo') => {
  const answer = await call('POST', '/ports', { port: { network_id: networkId, ...values } }, token);
  return [answer.status, errorType(answer)];
};

beforeEach(async () => {
  cloud = await startTestCloud();
  networkId = (await network()).id;
  subnetId = (await subnet(networkId, { cidr: '10.0.0.0/24' })).id;
});
afterEach(() => cloud.stop());

test('a new port has every attribute with its default; bindings are for administrators', async () => {
  const made = await port(networkId);
  const [{ ip_address: address }] = made.fixed_ips;
  const hostname = `host-${address.replaceAll('.', '-')}`;
  expect(made).toEqual({
    id: expect.any(String),
    name: '',
    description: '',
    network_id: networkId,
    tenant_id: 'demo-project',
    project_id: 'demo-project',
    admin_state_up: true,
    mac_address: expect.stringMatching(/^fa:16:3e(:[0-9a-f]{2}){3}$/),
    fixed_ips: [{ subnet_id: subnetId, ip_address: expect.stringMatching(/^10\.0\.0\./) }],
    device_id: '',
    device_owner: '',
    status: 'DOWN',
    security_groups: [expect.any(String)],
    port_security_enabled: true,
    allowed_address_pairs: [],
    extra_dhcp_opts: [],
    dns_name: '',
    dns_assignment: [{ ip_address: address, hostname, fqdn: `${hostname}.openstacklocal.` }],
    'binding:vnic_type': 'normal',
    tags: [],
    created_at: expect.any(String),
    updated_at: expect.any(String),
    revision_number: 1,
  });
  const seen = (await call('GET', `/ports/${made.id}`, undefined, 'admin')).body.port;
  expect(seen).toEqual({
    ...made,
    'binding:host_id': '',
    'binding:profile': {},
    'binding:vif_type': 'unbound',
    'binding:vif_details': {},
  });
  const bound = await call(
    'PUT',
    `/ports/${made.id}`,
    { port: { 'binding:host_id': 'h1', 'binding:profile': { a: 1 } } },
    'admin',
  );
  expect(bound.body.port).toMatchObject({
    'binding:host_id': 'h1',
    'binding:vif_type': 'bridge',
    'binding:profile': { a: 1 },
  });
  expect((await call('GET', '/ports?binding:host_id=h1', undefined, 'admin')).body.ports).toHaveLength(1);
  expect(await refused({ 'binding:host_id': 'h1' })).toEqual([403, 'PolicyNotAuthorized']);
  expect(await refused({ 'binding:vnic_type': 'direct' })).toEqual([400, 'HTTPBadRequest']);
  const cleared = await call(
    'PUT',
    `/ports/${made.id}`,
    { port: { 'binding:host_id': null, 'binding:profile': null } },
    'admin',
  );
  expect(cleared.body.port).toMatchObject({ 'binding:host_id': '', 'binding:profile': {} });
});

test('the default group is there as soon as ports are listed', async () => {
  await call('GET', '/ports', undefined, 'other');
  await hintsTold(cloud.cloud);
  const before = cloud.statements.length;
  const groups = (await call('GET', '/security-groups', undefined, 'other')).body.security_groups;
  expect(groups.map((row: { name: string }) => row.name)).toEqual(['default']);
  expect(cloud.statements.slice(before).some((sql) => sql.startsWith('INSERT'))).toBe(false);
});

test('addresses are given out once, by name or freely', async () => {
  const made = await port(networkId, { fixed_ips: [{ ip_address: '10.0.0.50' }] });
  expect(made.fixed_ips).toEqual([{ subnet_id: subnetId, ip_address: '10.0.0.50' }]);
  expect(await refused({ fixed_ips: [{ ip_address: '10.0.0.50' }] })).toEqual([409, 'IpAddressInUse']);
  expect(await refused({ fixed_ips: [{ ip_address: '10.0.0.255' }] })).toEqual([400, 'InvalidInput']);
  expect(await refused({ fixed_ips: [{ ip_address: '10.9.0.5' }] })).toEqual([400, 'InvalidInput']);
  expect(await refused({ fixed_ips: [{ subnet_id: networkId }] })).toEqual([400, 'InvalidInput']);
  expect(await refused({ fixed_ips: [{ subnet_id: subnetId, ip_address: '10.9.0.5' }] })).toEqual([
    400,
    'InvalidInput',
  ]);
  expect(await refused({ fixed_ips: [{}] })).toEqual([400, 'InvalidInput']);
  expect(await refused({ fixed_ips: [{ colour: 'red' }] })).toEqual([400, 'HTTPBadRequest']);
  expect(await refused({ fixed_ips: [{ ip_address: 'ten' }] })).toEqual([400, 'HTTPBadRequest']);
  expect(await refused({ fixed_ips: 'ten' })).toEqual([400, 'HTTPBadRequest']);
  expect((await port(networkId, { fixed_ips: [] })).fixed_ips).toEqual([]);
  const two = await port(networkId, {
    fixed_ips: [{ subnet_id: subnetId }, { subnet_id: subnetId, ip_address: '10.0.0.60' }],
  });
  expect(two.fixed_ips).toHaveLength(2);
  expect(new Set(two.fixed_ips.map((one: { ip_address: string }) => one.ip_address)).size).toBe(2);
});

test('a subnet without free addresses says so and takes nothing', async () => {
  const small = await network();
  await subnet(small.id, { cidr: '10.8.0.0/29' });
  const made = await call('POST', '/ports', { ports: Array.from({ length: 6 }, () => ({ network_id: small.id })) });
  expect([made.status, errorType(made)]).toEqual([409, 'IpAddressGenerationFailure']);
  const fits = await call('POST', '/ports', { ports: Array.from({ length: 4 }, () => ({ network_id: small.id })) });
  expect(fits.status).toBe(201);
  const quota = (await call('GET', '/quotas/demo-project/details', undefined, 'admin')).body.quota.port;
  expect(quota.used).toBe(2 + 4);
});

test('a MAC address is the owner’s choice, once on a network, and null makes a new one', async () => {
  const mac = 'FA-16-3E-00-00-01';
  const made = await port(networkId, { mac_address: mac });
  expect(made.mac_address).toBe('fa:16:3e:00:00:01');
  expect(await refused({ mac_address: mac })).toEqual([409, 'MacAddressInUse']);
  for (const bad of ['x', '00:00:00:00:00:00', '01:00:5e:00:00:01', 5])
    expect(await refused({ mac_address: bad })).toEqual([400, 'HTTPBadRequest']);
  const fresh = await call('PUT', `/ports/${made.id}`, { port: { mac_address: null } });
  expect(fresh.body.port.mac_address).not.toBe(made.mac_address);
  const one = await port(networkId, { mac_address: mac });
  const taken = await call('PUT', `/ports/${made.id}`, { port: { mac_address: one.mac_address } });
  expect([taken.status, errorType(taken)]).toEqual([409, 'MacAddressInUse']);
  const found = await call('GET', `/ports?mac_address=${mac.replaceAll('-', ':')}`);
  expect(found.body.ports.map((row: { id: string }) => row.id)).toEqual([one.id]);
});

test('nobody makes a port the network service’s by its owner', async () => {
  for (const token of ['demo', 'admin']) {
    expect(await refused({ device_owner: 'network:router_interface' }, token)).toEqual([403, 'PolicyNotAuthorized']);
    expect(await refused({ device_owner: 'network:dhcp' }, token)).toEqual([403, 'PolicyNotAuthorized']);
  }
  const made = await port(networkId, { device_owner: 'baremetal:x', device_id: 'abc' });
  const change = await call('PUT', `/ports/${made.id}`, { port: { device_owner: 'network:floatingip' } });
  expect([change.status, errorType(change)]).toEqual([403, 'PolicyNotAuthorized']);
  expect((await call('GET', `/ports/${made.id}`)).body.port.device_owner).toBe('baremetal:x');
});

test('ports of a router keep their addresses and device, but take a name', async () => {
  const gate = await router();
  const { body } = await call('PUT', `/routers/${gate.id}/add_router_interface`, { subnet_id: subnetId });
  const path = `/ports/${body.port_id}`;
  for (const values of [
    { device_id: '' },
    { device_owner: '' },
    { fixed_ips: [] },
    { mac_address: null },
    { security_groups: [] },
    { allowed_address_pairs: [] },
  ]) {
    const answer = await call('PUT', path, { port: values });
    expect([answer.status, errorType(answer)]).toEqual([409, 'UnsupportedPortDeviceOwner']);
  }
  expect(
    (await call('PUT', path, { port: { name: 'gate', device_owner: 'network:router_interface' } })).body.port.name,
  ).toBe('gate');
  expect(errorType(await call('DELETE', path))).toBe('ServicePortInUse');
});

test('on a shared network a guest of another project chooses neither address nor MAC nor loose filters', async () => {
  const shared = await network({ shared: true }, 'admin');
  await subnet(shared.id, { cidr: '10.5.0.0/24' }, 'admin');
  for (const values of [
    { fixed_ips: [{ ip_address: '10.5.0.9' }] },
    { mac_address: 'fa:16:3e:00:00:01' },
    { port_security_enabled: false },
    { allowed_address_pairs: [{ ip_address: '10.5.0.1' }] },
  ]) {
    expect(await refused({ network_id: shared.id, ...values })).toEqual([403, 'PolicyNotAuthorized']);
  }
  const made = await port(shared.id);
  expect(made.fixed_ips).toHaveLength(1);
  const update = await call('PUT', `/ports/${made.id}`, {
    port: { port_security_enabled: false, security_groups: [] },
  });
  expect(update.status).toBe(403);
});

test('security groups are the project’s own and need port security', async () => {
  const mine = await group();
  const foreign = await group({}, 'other');
  const made = await port(networkId, { security_groups: [mine.id] });
  expect(made.security_groups).toEqual([mine.id]);
  expect((await port(networkId, { security_groups: [] })).security_groups).toEqual([]);
  expect(await refused({ security_groups: [foreign.id] })).toEqual([404, 'SecurityGroupNotFound']);
  expect(await refused({ security_groups: ['x'] })).toEqual([400, 'HTTPBadRequest']);
  expect(await refused({ security_groups: [mine.id], port_security_enabled: false })).toEqual([
    400,
    'PortSecurityAndIPRequiredForSecurityGroups',
  ]);
  expect(await refused({ port_security_enabled: false, allowed_address_pairs: [{ ip_address: '10.0.0.9' }] })).toEqual([
    409,
    'AddressPairAndPortSecurityRequired',
  ]);
  const open = await port(networkId, { port_security_enabled: false });
  expect(open.security_groups).toEqual([]);
  const listed = (await call('GET', `/ports?security_groups=${mine.id}`)).body.ports;
  expect(listed.map((row: { id: string }) => row.id)).toEqual([made.id]);
  const busy = await call('DELETE', `/security-groups/${mine.id}`);
  expect([busy.status, errorType(busy)]).toEqual([409, 'SecurityGroupInUse']);
  expect((await call('PUT', `/ports/${made.id}`, { port: { security_groups: [] } })).body.port.security_groups).toEqual(
    [],
  );
  expect((await call('DELETE', `/security-groups/${mine.id}`)).status).toBe(204);
});

test('allowed address pairs take the port’s MAC unless they name one', async () => {
  const made = await port(networkId, {
    allowed_address_pairs: [
      { ip_address: '10.0.0.0/28' },
      { ip_address: '10.0.0.77', mac_address: 'fa:16:3e:00:00:09' },
    ],
  });
  expect(made.allowed_address_pairs).toEqual([
    { ip_address: '10.0.0.0/28', mac_address: made.mac_address },
    { ip_address: '10.0.0.77', mac_address: 'fa:16:3e:00:00:09' },
  ]);
  expect(await refused({ allowed_address_pairs: [{ mac_address: 'fa:16:3e:00:00:09' }] })).toEqual([
    400,
    'AllowedAddressPairsMissingIP',
  ]);
  for (const ip_address of ['x', 10])
    expect(await refused({ allowed_address_pairs: [{ ip_address }] })).toEqual([400, 'HTTPBadRequest']);
  expect(
    await refused({
      allowed_address_pairs: Array.from({ length: 11 }, (_, at) => ({ ip_address: `10.0.0.${at + 100}` })),
    }),
  ).toEqual([400, 'AllowedAddressPairExhausted']);
  expect(
    (await call('PUT', `/ports/${made.id}`, { port: { allowed_address_pairs: null } })).body.port.allowed_address_pairs,
  ).toEqual([]);
});

test('DHCP options are known ones with printable values', async () => {
  const made = await port(networkId, {
    extra_dhcp_opts: [
      { opt_name: 'bootfile-name', opt_value: 'pxe.0' },
      { opt_name: '59', opt_value: 'x', ip_version: 6 },
    ],
  });
  expect(made.extra_dhcp_opts).toEqual([
    { opt_name: 'bootfile-name', opt_value: 'pxe.0', ip_version: 4 },
    { opt_name: '59', opt_value: 'x', ip_version: 6 },
  ]);
  const values = ['a\nport=53', 'a\rb', 'a\0b', '\u2028', ' ', 5];
  for (const opt_value of values)
    expect(await refused({ extra_dhcp_opts: [{ opt_name: 'hostname', opt_value }] })).toEqual([400, 'HTTPBadRequest']);
  for (const opt_name of ['conf-file', 'dhcp-script', 'a\nb', '0', '254', 'bootfile-url', 'toString', ''])
    expect(await refused({ extra_dhcp_opts: [{ opt_name, opt_value: 'x' }] })).toEqual([400, 'HTTPBadRequest']);
  const changed = await call('PUT', `/ports/${made.id}`, {
    port: {
      extra_dhcp_opts: [
        { opt_name: 'bootfile-name', opt_value: null },
        { opt_name: 'mtu', opt_value: '1400' },
      ],
    },
  });
  expect(changed.body.port.extra_dhcp_opts).toEqual([
    { opt_name: '59', opt_value: 'x', ip_version: 6 },
    { opt_name: 'mtu', opt_value: '1400', ip_version: 4 },
  ]);
});

test('an update moves addresses: kept ones stay, new ones are claimed, old ones are free', async () => {
  const made = await port(networkId, { fixed_ips: [{ ip_address: '10.0.0.50' }, { ip_address: '10.0.0.51' }] });
  const update = (values: object) => call('PUT', `/ports/${made.id}`, { port: values });
  const changed = await update({
    fixed_ips: [{ subnet_id: subnetId, ip_address: '10.0.0.51' }, { ip_address: '10.0.0.52' }],
  });
  expect(changed.body.port.fixed_ips.map((one: { ip_address: string }) => one.ip_address)).toEqual([
    '10.0.0.51',
    '10.0.0.52',
  ]);
  expect(changed.body.port.revision_number).toBe(2);
  await port(networkId, { fixed_ips: [{ ip_address: '10.0.0.50' }] });
  expect(errorType(await update({ fixed_ips: [{ ip_address: '10.0.0.50' }] }))).toBe('IpAddressInUse');
  expect((await call('GET', `/ports/${made.id}`)).body.port.fixed_ips).toHaveLength(2);
  expect((await update({ fixed_ips: [] })).body.port.fixed_ips).toEqual([]);
  expect((await update({ network_id: networkId })).status).toBe(400);
  const named = await update({ dns_name: 'Web', name: 'n', description: 'd', admin_state_up: false, device_id: 'x' });
  expect(named.body.port).toMatchObject({
    dns_name: 'web',
    name: 'n',
    description: 'd',
    admin_state_up: false,
    device_id: 'x',
  });
  expect((await update({ dns_name: 'bad_name' })).status).toBe(400);
});

test('ports are found by address, part of an address, subnet, device and status', async () => {
  const one = await port(networkId, {
    fixed_ips: [{ ip_address: '10.0.0.123' }],
    device_id: 'server',
    device_owner: 'compute:nova',
  });
  await port(networkId, { fixed_ips: [{ ip_address: '10.0.0.45' }] });
  const found = async (query: string) =>
    (await call('GET', `/ports?${query}`)).body.ports.map((row: { id: string }) => row.id);
  expect(await found('fixed_ips=ip_address=10.0.0.123')).toEqual([one.id]);
  expect(await found('fixed_ips=ip_address_substr=0.123')).toEqual([one.id]);
  expect(await found('fixed_ips=ip_address_substr=%25')).toEqual([]);
  expect(await found(`fixed_ips=subnet_id=${subnetId}&fixed_ips=ip_address=10.0.0.123`)).toEqual([one.id]);
  expect(await found('fixed_ips=ip_address=10.0.0.99')).toEqual([]);
  expect(await found('fixed_ips=ip_address=ten')).toEqual([]);
  expect(await found('device_id=server')).toEqual([one.id]);
  expect(await found('device_owner=compute:nova')).toEqual([one.id]);
  expect(await found('status=ACTIVE&device_owner=')).toEqual([]);
  expect((await call('GET', '/ports?fixed_ips=colour=red')).status).toBe(400);
  expect((await call('GET', '/ports?fixed_ips=red')).status).toBe(400);
});

test('a foreign or unknown port is 404 PortNotFound, a foreign network 404 NetworkNotFound', async () => {
  const foreign = await network({}, 'other');
  const theirs = await port(foreign.id, {}, 'other');
  expect(await refused({ network_id: foreign.id })).toEqual([404, 'NetworkNotFound']);
  expect(await refused({ network_id: foreign.id, fixed_ips: [] })).toEqual([404, 'NetworkNotFound']);
  for (const [method, body] of [['GET'], ['PUT', { port: { name: 'x' } }], ['DELETE']] as const) {
    const answer = await call(method, `/ports/${theirs.id}`, body);
    expect([answer.status, errorType(answer)]).toEqual([404, 'PortNotFound']);
  }
});

test('subnets for kinds of ports serve those first', async () => {
  const special = await subnet(networkId, { cidr: '10.7.0.0/24', service_types: ['compute:nova'] });
  const guest = await port(networkId, { device_owner: 'compute:nova' });
  expect(guest.fixed_ips[0].subnet_id).toBe(special.id);
  expect((await port(networkId)).fixed_ips[0].subnet_id).toBe(subnetId);
});

test('the number of statements of a list does not depend on its length', async () => {
  const count = async () => {
    await hintsTold(cloud.cloud);
    const before = cloud.statements.length;
    await call('GET', '/ports');
    return cloud.statements.length - before;
  };
  await port(networkId);
  const few = await count();
  for (let at = 0; at < 6; at++) await port(networkId);
  expect(await count()).toBe(few);
});
