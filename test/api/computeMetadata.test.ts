// What guests learn about themselves: by metadata service and config drive, and only about themselves.
import { answerMetadata, configDriveOf } from '../../controller/src/services/compute/metadata';
import { netmask, networkData } from '../../controller/src/services/compute/metadataDocuments';
import { bindServerPorts } from '../../controller/src/services/network/serverPorts';
import { portAddresses, ports, subnets, networks } from '../../controller/src/db/entities/network';
import { servers } from '../../controller/src/db/entities/compute';
import { portsOfServer } from '../../controller/src/services/network/serverPortViews';
import { makeFlavor, makeHost, makeImage, makeNetwork, settle } from '../support/computeFixtures';
import { networkCalls } from '../support/networkFixtures';
import { startTestCloud, type TestCloud } from '../support/testCloud';

const KEY = 'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIHcwakfcpZDofzOkskYTFBRMBwSJDMkl5BamIYrsJ3Th someone@somewhere';
let cloud: TestCloud;
const make = networkCalls(() => cloud);
let network: string;
let image: string;
beforeEach(async () => {
  cloud = await startTestCloud();
  image = await makeImage(cloud);
  network = await makeNetwork(cloud, 'demo');
  await makeFlavor(cloud, 'small');
  await makeHost(cloud, 'h1');
  const body = { keypair: { name: 'mine', public_key: KEY } };
  await cloud.call('POST', '/compute/v2.1/os-keypairs', { body });
});
afterEach(() => cloud.stop());

async function boot(server: object = {}, version = '2.1'): Promise<{ id: string; address: string }> {
  const answer = await cloud.call('POST', '/compute/v2.1/servers', {
    headers: { 'x-openstack-nova-api-version': version },
    body: { server: { name: 'hello', flavorRef: 'small', imageRef: image, key_name: 'mine', ...server } },
  });
  const id = answer.body.server.id as string;
  await settle(cloud, id, { host: 'h1' });
  const address = await cloud.cloud.db.write(async (session) => {
    await bindServerPorts(session, cloud.cloud, id, 'h1');
    const port = await session.findOne(ports, { device_id: id });
    return (await session.findOne(portAddresses, { port_id: port?.id ?? '' }))?.address ?? '';
  });
  return { id, address };
}
const ask = (address: string, path: string, more: object = {}) =>
  answerMetadata(cloud.cloud, { host: 'h1', networkId: network, address, method: 'GET', path, ...more });
const get = async (address: string, path: string): Promise<string> => {
  const answer = await ask(address, path);
  expect([path, answer.status]).toEqual([path, 200]);
  return answer.body;
};

test('the OpenStack document names the server, its key and its words', async () => {
  const { id, address } = await boot({ metadata: { role: 'web' } });
  const document = JSON.parse(await get(address, '/openstack/latest/meta_data.json')) as Record<string, unknown>;
  expect(document).toMatchObject({
    uuid: id,
    name: 'hello',
    hostname: 'hello',
    availability_zone: 'nova',
    project_id: 'demo-project',
    launch_index: 0,
    public_keys: { mine: `${KEY}\n` },
    keys: [{ name: 'mine', type: 'ssh', data: `${KEY}\n` }],
    meta: { role: 'web' },
    devices: [],
  });
  expect(Buffer.from(String(document['random_seed']), 'base64')).toHaveLength(512);
});

test('the host name carries the domain that the network’s DNS has', async () => {
  await cloud.cloud.db.write((session) => session.update(networks, { id: network }, { dns_domain: 'lab.example.' }));
  const { address } = await boot();
  expect(await get(address, '/latest/meta-data/hostname')).toBe('hello.lab.example');
});

test('the trees can be walked by their listings', async () => {
  const { address } = await boot();
  expect((await get(address, '/')).split('\n')).toContain('2009-04-04');
  expect((await get(address, '/openstack/')).split('\n')).toContain('2018-08-27');
  expect((await get(address, '/openstack/2012-08-10')).split('\n')).toEqual(['meta_data.json', '']);
  expect((await get(address, '/openstack/latest')).split('\n')).toEqual([
    'meta_data.json',
    'password',
    'vendor_data.json',
    'network_data.json',
    'vendor_data2.json',
    '',
  ]);
  expect(await get(address, '/latest')).toBe('meta-data/');
  const names = (await get(address, '/latest/meta-data/')).split('\n');
  expect(names).toContain('public-keys/');
  for (const name of names) expect((await ask(address, `/latest/meta-data/${name}`)).status).toBe(200);
  expect(await get(address, '/latest/meta-data/public-keys/')).toBe('0=mine');
  expect(await get(address, '/latest/meta-data/public-keys/0/openssh-key')).toBe(`${KEY}\n`);
  expect(await get(address, '/2009-04-04/meta-data/local-ipv4')).toBe(address);
  expect(await get(address, '/latest/meta-data/instance-id')).toMatch(/^i-[0-9a-f]{8}$/);
  expect(await get(address, '/openstack/latest/vendor_data.json')).toBe('{}');
  expect(await get(address, '/openstack/latest/vendor_data2.json')).toBe('{"static":{}}');
  expect(await get(address, '/openstack/latest/password')).toBe('');
});

const absent = [
  '/nothing',
  '/openstack/1999-01-01',
  '/openstack/latest/nothing',
  '/openstack/latest/meta_data.json/more',
  '/openstack/content/0000',
  '/latest/nothing',
  '/latest/user-data',
  '/latest/meta-data/nothing',
  '/latest/meta-data/hostname/more',
  '/latest/meta-data/public-keys/1',
  '/openstack/latest/../../etc/passwd',
];
test('what is not there is not found', async () => {
  const { address } = await boot();
  for (const path of absent) expect([path, (await ask(address, path)).status]).toEqual([path, 404]);
});

test('user data comes back byte for byte, text or not', async () => {
  const script = '#!/bin/sh\necho hello\n';
  const { address } = await boot({ user_data: Buffer.from(script).toString('base64') });
  expect(await get(address, '/openstack/latest/user_data')).toBe(script);
  expect(await get(address, '/latest/user-data')).toBe(script);
  const packed = Buffer.from([0x1f, 0x8b, 0xff, 0x00, 0x80]);
  const other = await boot({ user_data: packed.toString('base64') });
  const answer = await ask(other.address, '/openstack/latest/user_data');
  expect(answer.encoding).toBe('base64');
  expect(Buffer.from(answer.body, 'base64').equals(packed)).toBe(true);
});

test('the network document agrees with DHCP, MTU included', async () => {
  const { id, address } = await boot();
  const document = JSON.parse(await get(address, '/openstack/latest/network_data.json')) as Record<string, unknown>;
  const port = await cloud.cloud.db.read((session) => session.findOne(ports, { device_id: id }));
  const link = `tap${port?.id.replaceAll('-', '').slice(0, 11)}`;
  expect(document).toEqual({
    links: [{ id: link, vif_id: port?.id, type: 'bridge', mtu: 1450, ethernet_mac_address: port?.mac_address }],
    networks: [{ id: 'network0', type: 'ipv4_dhcp', link, network_id: network }],
    services: [{ type: 'dns', address: '9.9.9.9' }],
  });
});

test('without DHCP the address is written out with mask, routes and name servers', async () => {
  const routes = [{ destination: '192.168.0.0/16', nexthop: '10.0.0.9' }];
  await cloud.cloud.db.write((session) =>
    session.update(subnets, { network_id: network }, { enable_dhcp: false, host_routes: routes }),
  );
  const { id, address } = await boot();
  const seen = networkData(await cloud.cloud.db.read((session) => portsOfServer(session, id)));
  expect(seen['networks']).toMatchObject([
    {
      type: 'ipv4',
      ip_address: address,
      netmask: '255.255.255.0',
      routes: [
        { network: '0.0.0.0', netmask: '0.0.0.0', gateway: '10.0.0.1' },
        { network: '192.168.0.0', netmask: '255.255.0.0', gateway: '10.0.0.9' },
      ],
      services: [{ type: 'dns', address: '9.9.9.9' }],
    },
  ]);
});

test.each([
  ['dhcpv6-stateful', 'ipv6_dhcpv6-stateful'],
  ['slaac', 'ipv6_slaac'],
])('an IPv6 address of a subnet with %s says so', async (mode, type) => {
  const made = await make.network();
  await make.subnet(made.id, {
    ...{ cidr: 'fd00:7::/64', ip_version: 6, ipv6_ra_mode: mode, ipv6_address_mode: mode },
    ...{ host_routes: [{ destination: 'fd00:9::/48', nexthop: 'fd00:7::9' }] },
  });
  const { id } = await boot({ networks: [{ uuid: made.id }] });
  const seen = networkData(await cloud.cloud.db.read((session) => portsOfServer(session, id)));
  expect(seen['networks']).toMatchObject([
    {
      type,
      ip_address: expect.stringMatching(/^fd00:7::/),
      netmask: 'ffff:ffff:ffff:ffff:0:0:0:0',
      routes: [
        { network: '::', netmask: '::', gateway: 'fd00:7::1' },
        { network: 'fd00:9::', netmask: 'ffff:ffff:ffff:0:0:0:0:0', gateway: 'fd00:7::9' },
      ],
    },
  ]);
});

test('IPv6 addresses without a mode are asked of DHCP, or written out where there is none', async () => {
  const made = await make.network();
  const six = { ip_version: 6, gateway_ip: null };
  await make.subnet(made.id, { ...six, cidr: 'fd00:7::/64' });
  await make.subnet(made.id, { ...six, cidr: 'fd00:8::/64', enable_dhcp: false });
  const ids = [];
  for (const prefix of ['fd00:7', 'fd00:8'])
    ids.push((await make.port(made.id, { fixed_ips: [{ ip_address: `${prefix}::1:5` }], security_groups: [] })).id);
  const { id } = await boot({ networks: ids.map((port) => ({ port })) });
  const seen = networkData(await cloud.cloud.db.read((session) => portsOfServer(session, id)));
  expect(seen['networks']).toMatchObject([
    { type: 'ipv6_dhcp' },
    { type: 'ipv6', ip_address: 'fd00:8::1:5', routes: [] },
  ]);
});

test('what is deleted while a server’s ports are read is left out', async () => {
  const { id } = await boot();
  const seen = () => cloud.cloud.db.read((session) => portsOfServer(session, id));
  expect(await seen()).toMatchObject([{ addresses: [{ version: 4 }], securityGroups: [{ name: 'default' }] }]);
  await cloud.cloud.db.write((session) => session.delete(subnets, { network_id: network }));
  expect(await seen()).toMatchObject([{ addresses: [] }]);
  await cloud.cloud.db.write((session) => session.delete(networks, { id: network }));
  expect(await seen()).toEqual([]);
});

test('a server without a network has a config drive without addresses', async () => {
  const { id } = await boot({ networks: 'none', config_drive: true }, '2.37');
  const row = await cloud.cloud.db.read((session) => session.findOne(servers, { id }));
  const files = row && (await cloud.cloud.db.read((session) => configDriveOf(session, row)));
  const text = (path: string) => Buffer.from(files?.[path] ?? '', 'base64').toString();
  expect(JSON.parse(text('openstack/latest/network_data.json'))).toEqual({ links: [], networks: [], services: [] });
  expect(JSON.parse(text('ec2/latest/meta-data.json'))).toMatchObject({ 'local-ipv4': '', hostname: 'hello' });
});

test.each([
  ['10.0.0.0/0', '0.0.0.0'],
  ['10.0.0.0/32', '255.255.255.255'],
  ['10.0.0.0/20', '255.255.240.0'],
  ['fd00::/64', 'ffff:ffff:ffff:ffff:0:0:0:0'],
  ['fd00::/57', 'ffff:ffff:ffff:ff80:0:0:0:0'],
])('the mask of %s is %s', (cidr, mask) => {
  expect(netmask(cidr)).toBe(mask);
});

test('tags of interfaces and injected files are told', async () => {
  const contents = Buffer.from('words').toString('base64');
  const { address } = await boot({ personality: [{ path: '/etc/motd', contents }] });
  const document = JSON.parse(await get(address, '/openstack/latest/meta_data.json')) as Record<string, unknown>;
  expect(document['files']).toEqual([{ path: '/etc/motd', content_path: '/content/0000' }]);
  expect(await get(address, '/openstack/content/0000')).toBe('words');
  const tagged = await boot({ networks: [{ uuid: network, tag: 'nic1' }] }, '2.42');
  const devices = JSON.parse(await get(tagged.address, '/openstack/latest/meta_data.json')) as { devices: unknown[] };
  expect(devices.devices).toMatchObject([{ type: 'nic', tags: ['nic1'] }]);
});

test('nobody but the port at that address of that network on that host gets an answer', async () => {
  const { id, address } = await boot();
  const path = '/openstack/latest/meta_data.json';
  const elsewhere = await makeNetwork(cloud, 'elsewhere', { third: 1 });
  expect((await ask('10.0.0.250', path)).status).toBe(404);
  expect((await ask(address, path, { networkId: elsewhere })).status).toBe(404);
  expect((await ask(address, path, { host: 'h2' })).status).toBe(404);
  expect((await ask(address, path)).status).toBe(200);
  await cloud.cloud.db.write((session) => session.update(servers, { id }, { deleted_at: 1 }));
  expect((await ask(address, path)).status).toBe(404);
});

test('guests only read', async () => {
  const { address } = await boot();
  expect((await ask(address, '/openstack/latest/password', { method: 'POST', body: 'x' })).status).toBe(501);
  expect((await ask(address, '/latest/meta-data/', { method: 'PUT' })).status).toBe(405);
});

test('a config drive has the same trees, the same each time, and only servers that asked for one have it', async () => {
  const script = Buffer.from('#!/bin/sh\n').toString('base64');
  const { id } = await boot({ config_drive: true, user_data: script });
  const plain = await boot();
  const drive = (serverId: string) =>
    cloud.cloud.db.read(async (session) => {
      const row = await session.findOne(servers, { id: serverId });
      if (!row) throw new Error('no server');
      return configDriveOf(session, row);
    });
  const files = await drive(id);
  expect(files).toEqual(await drive(id));
  const text = (path: string) => Buffer.from(files?.[path] ?? '', 'base64').toString();
  expect(JSON.parse(text('openstack/latest/meta_data.json'))).toMatchObject({
    uuid: id,
    public_keys: { mine: `${KEY}\n` },
  });
  expect(JSON.parse(text('openstack/2018-08-27/network_data.json'))).toHaveProperty('links');
  expect(text('openstack/latest/user_data')).toBe('#!/bin/sh\n');
  expect(text('ec2/latest/user-data')).toBe('#!/bin/sh\n');
  expect(JSON.parse(text('ec2/2009-04-04/meta-data.json'))).toHaveProperty('instance-id');
  expect(files).not.toHaveProperty('openstack/latest/password');
  expect(await drive(plain.id)).toBeNull();
});
