// What Terraform sends for a common configuration, replayed: made, read, changed in place, imported and removed, with a simulated host behind it.
import { createHash } from 'node:crypto';
import { createMemoryBus } from '@cumulet/common';
import { taskKinds } from '@cumulet/controller';
import { connect, type GoProvider } from '../support/gophercloud';
import { ADMIN_PASSWORD, startIdentity, type IdentityCloud } from '../support/identity';
import { createSimulatedHost, type SimulatedHost } from '../support/simulatedHost';
import { terraform } from '../support/terraformProvider';

const KEY = 'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGrlX9nYuLz8Xk3FVfV7iDUyVCkdnoTgDSqxVqPoQH2D test';
let cloud: IdentityCloud;
let host: SimulatedHost;
let provider: GoProvider;
let admin: Awaited<ReturnType<typeof terraform>>;
let tf: Awaited<ReturnType<typeof terraform>>;
/** Ids of what the story made so far. */
const ids: Record<string, string> = {};
function idOf(name: string): string {
  const id = ids[name];
  if (id === undefined) throw new Error(`${name} was not made`);
  return id;
}

beforeAll(async () => {
  const bus = createMemoryBus();
  const found: { host?: SimulatedHost } = {};
  const engine = { kinds: taskKinds, leaseMs: 200, pollMs: 20, maxBackoffMs: 30, askAgainFactor: 0.03 };
  cloud = await startIdentity({ bus, host: () => found.host?.api, engine });
  host = found.host = createSimulatedHost('node-1', bus, cloud.test.controller.agentApi);
  await host.start();
  admin = await terraform(
    await connect(cloud.test.url, { userName: 'admin', password: ADMIN_PASSWORD, projectName: 'admin' }),
  );
});
afterAll(async () => {
  await host.stop();
  await cloud.stop();
});

test('project, user, role and assignment, by the administrator', async () => {
  const project = await admin.projects.create({ name: 'lab', enabled: true, is_domain: false, description: 'd' });
  expect(project).toMatchObject({ name: 'lab', domain_id: 'default', parent_id: 'default', tags: [] });
  const user = await admin.users.create({
    name: 'builder',
    enabled: true,
    password: 'builder-secret',
    default_project_id: project.id,
    options: { ignore_password_expiry: true },
    team: 'blue',
  });
  expect(user).toMatchObject({ name: 'builder', team: 'blue', options: { ignore_password_expiry: true } });
  const role = await admin.roles.create({ name: 'builder' });
  const [member] = await admin.roles.list('name=member');
  expect(await admin.roleAssignments.create(project.id, user.id, role.id)).toBe(true);
  expect(await admin.roleAssignments.create(project.id, user.id, member.id)).toBe(true);
  Object.assign(ids, { project: project.id, user: user.id, role: role.id });

  const changed = await admin.projects.update(project.id, { description: '', tags: ['green'] });
  expect(changed).toMatchObject({ description: '', tags: ['green'] });
  expect(await admin.users.update(user.id, { enabled: true, description: 'builds', options: {} })).toMatchObject({
    description: 'builds',
    team: 'blue',
  });
  expect((await admin.roles.update(role.id, { name: 'mason' })).name).toBe('mason');
  const account = { userName: 'builder', password: 'builder-secret', projectName: 'lab' };
  provider = await connect(`${cloud.test.url}/v3`, account);
  tf = await terraform(provider);
});

test('an external network and a flavor, by the administrator', async () => {
  const network = await admin.networks.create({ name: 'public', admin_state_up: true, 'router:external': true });
  expect(network).toMatchObject({ 'router:external': true, status: 'ACTIVE', shared: false });
  const subnet = await admin.subnets.create({
    name: 'public',
    network_id: network.id,
    cidr: '172.24.4.0/24',
    ip_version: 4,
    enable_dhcp: false,
    gateway_ip: '172.24.4.1',
    allocation_pools: [{ start: '172.24.4.10', end: '172.24.4.200' }],
  });
  expect(subnet.allocation_pools).toEqual([{ start: '172.24.4.10', end: '172.24.4.200' }]);
  Object.assign(ids, { public: network.id, publicSubnet: subnet.id });
  const flavor = await admin.flavors.create({
    ram: 128,
    vcpus: 1,
    name: 'm1.lab',
    disk: 1,
    swap: 0,
    rxtx_factor: 1,
    'os-flavor-access:is_public': true,
  });
  await admin.compute.call('POST', `flavors/${flavor.id}/os-extra_specs`, {
    json: { extra_specs: { 'hw:cpu_policy': 'shared' } },
    codes: [200],
    member: 'extra_specs',
    shape: 'stringMap',
  });
});

test('an image is made, filled, changed and found again', async () => {
  const bytes = Buffer.alloc(70_000, 'tf');
  const image = await tf.images.create(
    {
      name: 'tiny',
      container_format: 'bare',
      disk_format: 'raw',
      visibility: 'private',
      protected: false,
      os_hidden: false,
      tags: ['base'],
      hw_machine_type: 'q35',
    },
    bytes,
  );
  expect(image).toMatchObject({
    status: 'active',
    size: 70_000,
    checksum: createHash('md5').update(bytes).digest('hex'),
    hw_machine_type: 'q35',
    tags: ['base'],
  });
  const changed = await tf.images.update(image.id, [
    { op: 'replace', path: '/min_disk', value: 1 },
    { op: 'replace', path: '/protected', value: true },
    { op: 'replace', path: '/tags', value: ['base', 'lab'] },
    { op: 'add', path: '/os_distro', value: 'debian' },
    { op: 'replace', path: '/hw_machine_type', value: 'pc' },
  ]);
  expect(changed).toMatchObject({ min_disk: 1, protected: true, os_distro: 'debian', hw_machine_type: 'pc' });
  expect(changed.tags.sort()).toEqual(['base', 'lab']);
  await expect(tf.images.remove(image.id)).rejects.toMatchObject({ status: 403 });
  await tf.images.update(image.id, [
    { op: 'remove', path: '/os_distro' },
    { op: 'replace', path: '/protected', value: false },
  ]);
  const found = await tf.images.find(
    'name=tiny&status=active&visibility=private&tag=base&tag=lab&sort=name%3Aasc&limit=1',
  );
  expect(found.map(({ id }) => id)).toEqual([image.id]);
  ids['image'] = image.id;
});

test('the data source of flavors asks with the word None and reads the description', async () => {
  const [flavor, ...others] = await tf.flavors.find('is_public=None&minRam=64');
  expect(others).toEqual([]);
  expect(flavor).toMatchObject({ name: 'm1.lab', ram: 128, description: null });
  expect(await tf.flavors.extraSpecs(flavor.id)).toEqual({ 'hw:cpu_policy': 'shared' });
  ids['flavor'] = flavor.id;
});

test('a key pair', async () => {
  const generated = await tf.keypairs.create({ name: 'made' });
  expect(generated.private_key).toContain('PRIVATE KEY');
  await tf.keypairs.remove('made');
  await expect(tf.keypairs.read('made')).rejects.toMatchObject({ status: 404 });
  await tf.keypairs.create({ name: 'lab', public_key: KEY });
  expect(await tf.keypairs.read('lab')).toMatchObject({ name: 'lab', public_key: KEY });
});

test('network, subnet, router and its interface', async () => {
  const network = await tf.networks.create({ name: 'lab', admin_state_up: true }, ['blue']);
  expect(network).toMatchObject({ tags: ['blue'], tenant_id: provider.projectId, 'router:external': false });
  const subnet = await tf.subnets.create(
    {
      name: 'lab',
      network_id: network.id,
      cidr: '10.20.0.0/24',
      ip_version: 4,
      enable_dhcp: true,
      dns_nameservers: ['9.9.9.9'],
    },
    ['blue'],
  );
  expect(subnet).toMatchObject({ gateway_ip: '10.20.0.1', tags: ['blue'], host_routes: [], service_types: [] });
  const router = await tf.routers.create({
    name: 'lab',
    admin_state_up: true,
    external_gateway_info: { network_id: idOf('public') },
  });
  expect(router.external_gateway_info).toMatchObject({ network_id: idOf('public'), enable_snat: true });
  const port = await tf.routerInterfaces.create(router.id, { subnet_id: subnet.id });
  expect(port).toMatchObject({
    device_id: router.id,
    device_owner: 'network:router_interface',
    fixed_ips: [{ subnet_id: subnet.id, ip_address: '10.20.0.1' }],
  });
  Object.assign(ids, { network: network.id, subnet: subnet.id, router: router.id, interface: port.id });

  expect(await tf.networks.update(network.id, {})).toMatchObject({ name: 'lab' });
  await tf.networks.setTags(network.id, []);
  const changed = await tf.networks.update(network.id, { name: 'laboratory', description: 'd', admin_state_up: true });
  expect(changed).toMatchObject({ name: 'laboratory', description: 'd', tags: [] });
  expect(await tf.subnets.update(subnet.id, { dns_nameservers: [], gateway_ip: '10.20.0.1' })).toMatchObject({
    dns_nameservers: [],
  });
  expect(await tf.routers.update(router.id, { name: 'way', description: '' })).toMatchObject({ name: 'way' });
});

test('a security group without its default rules, and rules of its own', async () => {
  const group = await tf.secgroups.create({ name: 'web', description: 'open' }, ['blue']);
  expect(group.security_group_rules).toHaveLength(2);
  for (const { id } of group.security_group_rules) await tf.secgroupRules.remove(id);
  const rule = await tf.secgroupRules.create({
    direction: 'ingress',
    ethertype: 'IPv4',
    security_group_id: group.id,
    protocol: 'tcp',
    port_range_min: 22,
    port_range_max: 22,
    remote_ip_prefix: '0.0.0.0/0',
  });
  expect(rule).toMatchObject({ protocol: 'tcp', port_range_min: 22, remote_ip_prefix: '0.0.0.0/0' });
  const any = { direction: 'egress', ethertype: 'IPv6', security_group_id: group.id };
  expect(await tf.secgroupRules.create(any)).toMatchObject({ protocol: null, port_range_min: null });
  const fromOwn = { direction: 'ingress', ethertype: 'IPv4', security_group_id: group.id, remote_group_id: group.id };
  await tf.secgroupRules.create(fromOwn);
  await expect(tf.secgroupRules.create(fromOwn)).rejects.toMatchObject({ status: 409 });
  await tf.secgroups.update(group.id, { name: 'www', description: 'still open' });
  expect((await tf.secgroups.read(group.id)).security_group_rules).toHaveLength(3);
  ids['group'] = group.id;
});

test('a port with an address, groups and tags', async () => {
  const port = await tf.ports.create(
    {
      name: 'web',
      network_id: idOf('network'),
      admin_state_up: true,
      security_groups: [idOf('group')],
      fixed_ips: [{ subnet_id: idOf('subnet'), ip_address: '10.20.0.50' }],
      allowed_address_pairs: [{ ip_address: '10.20.0.99' }],
    },
    ['blue'],
  );
  expect(port).toMatchObject({
    tags: ['blue'],
    security_groups: [idOf('group')],
    fixed_ips: [{ ip_address: '10.20.0.50' }],
    allowed_address_pairs: [{ ip_address: '10.20.0.99', mac_address: port.mac_address }],
    extra_dhcp_opts: [],
  });
  ids['port'] = port.id;
  expect(await tf.ports.update(port.id, { name: 'www', allowed_address_pairs: [] })).toMatchObject({
    allowed_address_pairs: [],
  });
});

test('an instance by name of image and flavor, with a port, a network, words and user data', async () => {
  // The provider looks networks up first: those of ports by the port's id.
  expect(await tf.ports.list(`id=${idOf('port')}`)).toMatchObject([{ network_id: idOf('network') }]);
  expect(await tf.networks.list(`id=${idOf('network')}&status=ACTIVE`)).toMatchObject([{ name: 'laboratory' }]);
  const id = await tf.instances.create({
    name: 'web',
    imageRef: idOf('image'),
    flavorRef: idOf('flavor'),
    networks: [{ uuid: idOf('network'), port: idOf('port') }, { uuid: idOf('network') }],
    security_groups: [{ name: 'www' }],
    key_name: 'lab',
    metadata: { role: 'web' },
    config_drive: true,
    user_data: Buffer.from('#cloud-config\n').toString('base64'),
    tags: ['blue'],
  });
  ids['server'] = id;
  const server = await tf.instances.read(id);
  expect(server).toMatchObject({
    status: 'ACTIVE',
    flavor_name: 'm1.lab',
    image_name: 'tiny',
    key_name: 'lab',
    metadata: { role: 'web' },
    tags: ['blue'],
    config_drive: 'True',
    accessIPv4: '',
    progress: 0,
  });
  expect(server.security_groups).toEqual([{ name: 'www' }, { name: 'www' }]);
  expect(server.addresses['laboratory']).toHaveLength(2);
  expect(server.addresses['laboratory'][0]).toMatchObject({
    version: 4,
    addr: '10.20.0.50',
    'OS-EXT-IPS:type': 'fixed',
  });
});

test('a floating IP is associated, listed with the server, and moved', async () => {
  const [pool] = await tf.networks.list('name=public');
  const address = await tf.floatingIps.create({ floating_network_id: pool.id });
  expect(address).toMatchObject({ port_id: null, fixed_ip_address: null, router_id: null, status: 'DOWN' });
  const [found] = await tf.floatingIps.list(`floating_ip_address=${address.floating_ip_address}`);
  const joined = await tf.floatingIps.update(found.id, { port_id: idOf('port') });
  expect(joined).toMatchObject({ port_id: idOf('port'), fixed_ip_address: '10.20.0.50', router_id: idOf('router') });
  const { addresses } = await tf.instances.read(idOf('server'));
  expect(addresses['laboratory']).toContainEqual(
    expect.objectContaining({ addr: address.floating_ip_address, 'OS-EXT-IPS:type': 'floating' }),
  );
  // Dissociated with a null, associated again.
  expect(await tf.floatingIps.update(found.id, { port_id: null })).toMatchObject({ port_id: null });
  await tf.floatingIps.update(found.id, { port_id: idOf('port'), fixed_ip_address: '10.20.0.50' });
  ids['floating'] = found.id;
});

test('an instance is changed in place: name, words, tags, groups, power, image', async () => {
  const id = idOf('server');
  await tf.instances.rename(id, 'www');
  await tf.instances.removeMetadata(id, 'role');
  await tf.instances.setMetadata(id, { tier: 'front' });
  await tf.instances.setTags(id, ['green']);
  await tf.instances.group(id, 'remove', 'www');
  await tf.instances.group(id, 'add', 'www');
  await tf.instances.act(id, { 'os-stop': null }, 'SHUTOFF');
  await tf.instances.act(id, { 'os-start': null }, 'ACTIVE');
  await tf.instances.act(id, { pause: null }, 'PAUSED');
  await tf.instances.act(id, { unpause: null }, 'ACTIVE');
  await tf.instances.rebuild(id, idOf('image'));
  expect(await tf.instances.read(id)).toMatchObject({
    name: 'www',
    status: 'ACTIVE',
    metadata: { tier: 'front' },
    tags: ['green'],
  });
});

test('an instance gets another flavor in place', async () => {
  const id = idOf('server');
  const sizes = { vcpus: 2, ram: 256, disk: 10, swap: 0, rxtx_factor: 1, 'os-flavor-access:is_public': true };
  const { id: flavor } = await admin.flavors.create({ name: 'm2.lab', ...sizes });
  await tf.instances.resize(id, flavor);
  expect(await tf.instances.read(id)).toMatchObject({
    status: 'ACTIVE',
    flavor: { id: flavor },
    flavor_name: 'm2.lab',
  });
  expect(host.vcpus.get(id)).toBe(2);
});

test('everything is imported by its id alone', async () => {
  const read = await Promise.all([
    tf.networks.read(idOf('network')),
    tf.subnets.read(idOf('subnet')),
    tf.routers.read(idOf('router')),
    tf.ports.read(idOf('interface')),
    tf.ports.read(idOf('port')),
    tf.secgroups.read(idOf('group')),
    tf.floatingIps.read(idOf('floating')),
    tf.images.read(idOf('image')),
    tf.instances.read(idOf('server')),
    admin.projects.read(idOf('project')),
    admin.users.read(idOf('user')),
    admin.roles.read(idOf('role')),
  ]);
  expect(read.map(({ name }) => name)).toEqual([
    ...['laboratory', 'lab', 'way', '', 'www', 'www', undefined],
    ...['tiny', 'www', 'lab', 'builder', 'mason'],
  ]);
  expect(await tf.instances.metadata(idOf('server'))).toEqual({ tier: 'front' });
});

test('an instance without a word about networks sends empty user data', async () => {
  const values = {
    name: 'plain',
    imageRef: idOf('image'),
    flavorRef: idOf('flavor'),
    config_drive: false,
    user_data: '',
  };
  const id = await tf.instances.create(values);
  expect((await tf.instances.read(id)).config_drive).toBe('');
  await tf.instances.remove(id);
  const none = await tf.instances.create({ ...values, networks: 'none' });
  expect((await tf.instances.read(none)).addresses).toEqual({});
  await tf.instances.remove(none);
});

test('an instance in ERROR is removed without that state being seen', async () => {
  const huge = await admin.flavors.create({ name: 'huge', ram: 128, vcpus: 1, disk: 5000 });
  const values = { name: 'broken', imageRef: idOf('image'), flavorRef: huge.id, networks: 'none' };
  await expect(tf.instances.create(values)).rejects.toThrow("unexpected state 'ERROR'");
  const { servers } = (
    await cloud.test.call('GET', '/compute/v2.1/servers?name=broken&all_tenants=1', { token: cloud.admin })
  ).body;
  expect(servers).toHaveLength(1);
  await tf.instances.remove(servers[0].id);
});

test('everything is removed in the order of its dependencies', async () => {
  await tf.floatingIps.update(idOf('floating'), { port_id: null });
  await tf.instances.remove(idOf('server'));
  await tf.floatingIps.remove(idOf('floating'));
  await tf.ports.remove(idOf('port'));
  await tf.secgroups.remove(idOf('group'));
  await tf.routerInterfaces.remove(idOf('router'), idOf('interface'), { subnet_id: idOf('subnet') });
  await tf.routers.remove(idOf('router'));
  await tf.subnets.remove(idOf('subnet'));
  await tf.networks.remove(idOf('network'));
  await tf.images.remove(idOf('image'));
  await tf.keypairs.remove('lab');
  await admin.subnets.remove(idOf('publicSubnet'));
  await admin.networks.remove(idOf('public'));
  await admin.roleAssignments.remove(idOf('project'), idOf('user'), idOf('role'));
  await admin.roles.remove(idOf('role'));
  await admin.users.remove(idOf('user'));
  await admin.projects.remove(idOf('project'));
  for (const path of ['networks', 'subnets', 'ports', 'routers', 'floatingips'])
    expect(await admin.network.list(`${path}?project_id=${idOf('project')}`, path, 'object')).toEqual([]);
});
