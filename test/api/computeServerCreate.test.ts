// Creating servers: what may be asked for at which microversion, what is refused and how, and that a refusal leaves nothing.
import { ports, portAddresses } from '../../controller/src/db/entities/network';
import { computeUsages, servers, serverTags } from '../../controller/src/db/entities/compute';
import { tasks } from '../../controller/src/db/entities/tasks';
import { hostnameFrom } from '../../controller/src/services/compute/hostname';
import { makeFlavor, makeHost, makeImage, makeNetwork, withoutQuota } from '../support/computeFixtures';
import { startTestCloud, type Answer, type TestCloud } from '../support/testCloud';

let cloud: TestCloud;
let image: string;
let network: string;
let foreign: string;
let external: string;
const KEY = 'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIHcwakfcpZDofzOkskYTFBRMBwSJDMkl5BamIYrsJ3Th someone@somewhere';
beforeAll(async () => {
  cloud = await startTestCloud();
  image = await makeImage(cloud);
  network = await makeNetwork(cloud, 'demo');
  foreign = await makeNetwork(cloud, 'theirs', { project: 'other-project', third: 1 });
  external = await makeNetwork(cloud, 'public', { project: 'admin-project', third: 2, external: true });
  await makeHost(cloud, 'h1', 'lab');
  await makeFlavor(cloud, 'small');
  await makeFlavor(cloud, 'zero', { disk: 0 });
  await makeFlavor(cloud, 'secret', { 'os-flavor-access:is_public': false });
  await withoutQuota(cloud);
  await cloud.call('POST', '/compute/v2.1/os-keypairs', { body: { keypair: { name: 'mine', public_key: KEY } } });
});
afterAll(() => cloud.stop());

const at = (version: string) => ({ 'x-openstack-nova-api-version': version });
const post = (server: object, version = '2.1', token = 'demo', more: object = {}): Promise<Answer> =>
  cloud.call('POST', '/compute/v2.1/servers', {
    token,
    headers: at(version),
    body: { server: { name: 'hello', flavorRef: 'small', imageRef: image, ...server }, ...more },
  });
const row = async (server: object, version = '2.1', token = 'demo', more: object = {}) => {
  const answer = await post(server, version, token, more);
  if (answer.status !== 202) throw new Error(JSON.stringify(answer.body));
  const found = await cloud.cloud.db.read((session) => session.findOne(servers, { id: answer.body.server.id }));
  if (!found) throw new Error('no row');
  return found;
};
const portsOf = (id: string) => cloud.cloud.db.read((session) => session.find(ports, { where: { device_id: id } }));

test('everything that is asked for is kept', async () => {
  const made = await row(
    {
      name: 'My Server_1.x',
      description: 'words',
      metadata: { a: 'b' },
      tags: ['t2', 't1', 't1'],
      key_name: 'mine',
      user_data: 'aGVsbG8=',
      config_drive: 'true',
      availability_zone: 'lab',
      accessIPv6: 'fd00::1',
      'OS-DCF:diskConfig': 'AUTO',
      networks: [{ uuid: network, tag: 'nic1' }],
    },
    '2.52',
    'demo',
    { 'os:scheduler_hints': { query: 'x' } },
  );
  expect(made).toMatchObject({
    name: 'My Server_1.x',
    hostname: 'my-server-1-x',
    description: 'words',
    metadata: { a: 'b' },
    key_name: 'mine',
    key: { name: 'mine', public_key: KEY },
    user_data: 'aGVsbG8=',
    config_drive: true,
    availability_zone: 'lab',
    access_ip_v6: 'fd00::1',
    disk_config: 'AUTO',
    scheduler_hints: { query: 'x' },
    flavor: { id: 'small', ram: 128 },
    image: { id: image, format: 'qcow2' },
    vm_state: 'building',
    generation: 1,
  });
  const tags = await cloud.cloud.db.read((session) => session.find(serverTags, { where: { server_id: made.id } }));
  expect(tags.map((one) => one.tag).sort()).toEqual(['t1', 't2']);
  expect(await portsOf(made.id)).toMatchObject([{ device_tag: 'nic1', device_owner: 'compute:lab' }]);
});

test('user data of the largest size is taken', async () => {
  const user_data = Buffer.alloc(49_149, 'x').toString('base64');
  expect((await row({ user_data })).user_data).toBe(user_data);
});

test('before 2.19 the description is the name', async () => {
  expect((await row({})).description).toBe('hello');
  expect((await row({}, '2.19')).description).toBeNull();
});

test('a flavor may be named by its link, an image by a block device', async () => {
  expect((await row({ flavorRef: `${cloud.url}/compute/v2.1/flavors/small` })).flavor.id).toBe('small');
  const device = { source_type: 'image', destination_type: 'local', boot_index: 0, uuid: image };
  expect((await row({ imageRef: '', block_device_mapping_v2: [device] })).image_id).toBe(image);
  expect((await row({ block_device_mapping_v2: [{ ...device, boot_index: '0' }] })).image_id).toBe(image);
});

describe('networks', () => {
  const address = async (id: string) => {
    const [port] = await portsOf(id);
    return cloud.cloud.db.read((session) => session.findOne(portAddresses, { port_id: port?.id ?? '' }));
  };

  test('one network is used unasked, none is possible from 2.37 on', async () => {
    expect(await portsOf((await row({})).id)).toMatchObject([{ network_id: network }]);
    expect(await portsOf((await row({ networks: [] })).id)).toHaveLength(1);
    expect(await portsOf((await row({ networks: 'auto' }, '2.37')).id)).toHaveLength(1);
    expect(await portsOf((await row({ networks: 'none' }, '2.37')).id)).toEqual([]);
  });

  test('a fixed address is taken once', async () => {
    const wanted = { networks: [{ uuid: network, fixed_ip: '10.0.0.77' }] };
    expect((await address((await row(wanted)).id))?.address).toBe('10.0.0.77');
    expect((await post(wanted)).body.badRequest.message).toContain('10.0.0.77');
    const outside = await post({ networks: [{ uuid: network, fixed_ip: '192.0.2.1' }] });
    expect(outside.status).toBe(400);
  });

  test('a port of one’s own is used, not twice', async () => {
    const made = await cloud.call('POST', '/network/v2.0/ports', { body: { port: { network_id: network } } });
    const wanted = { networks: [{ port: made.body.port.id }] };
    const { id } = await row(wanted);
    expect(await portsOf(id)).toMatchObject([{ id: made.body.port.id, made_for_server: false }]);
    expect((await post(wanted)).body.conflictingRequest.message).toContain('still in use');
  });

  test('a project without networks gets none, one with several must choose', async () => {
    await withoutQuota(cloud, 'admin-project');
    const answer = await post({}, '2.1', 'other');
    expect(answer.status).toBe(202);
    const second = await makeNetwork(cloud, 'second', { project: 'other-project', third: 3 });
    expect((await post({}, '2.1', 'other')).body.conflictingRequest.message).toContain(
      'More than one possible network',
    );
    expect((await post({ networks: 'auto' }, '2.37', 'other')).status).toBe(409);
    expect((await post({ networks: [{ uuid: second }] }, '2.1', 'other')).status).toBe(202);
  });

  test('external networks are for administrators, ones without subnets for nobody', async () => {
    const answer = await post({ networks: [{ uuid: external }] });
    expect([answer.status, answer.body.forbidden?.message]).toEqual([
      403,
      `It is not allowed to create an interface on external network ${external}`,
    ]);
    expect((await post({ networks: [{ uuid: external }] }, '2.1', 'admin')).status).toBe(202);
    const bare = await makeNetwork(cloud, 'bare', { project: 'bare-project', third: 4, withSubnet: false });
    expect((await post({ networks: [{ uuid: bare }] }, '2.1', 'admin')).body.badRequest.message).toContain(
      'requires a subnet',
    );
  });
});

describe('several at once', () => {
  test('are numbered, share a reservation and count in the quota', async () => {
    const answer = await post({ name: 'many', min_count: 2, max_count: '3', return_reservation_id: true });
    expect([answer.status, Object.keys(answer.body)]).toEqual([202, ['reservation_id']]);
    const made = await cloud.cloud.db.read((session) =>
      session.find(servers, { where: { reservation_id: answer.body.reservation_id }, order: { launch_index: 'ASC' } }),
    );
    expect(made.map((one) => [one.name, one.hostname, one.launch_index])).toEqual([
      ['many-1', 'many-1', 0],
      ['many-2', 'many-2', 1],
      ['many-3', 'many-3', 2],
    ]);
  });

  test('become fewer when the quota has no room for all, not fewer than the minimum', async () => {
    const used = async () => {
      const rows = await cloud.cloud.db.read((session) =>
        session.find(computeUsages, { where: { project_id: 'demo-project' } }),
      );
      return Object.fromEntries(rows.map((one) => [one.resource, one.used]));
    };
    const before = await used();
    const limit = (instances: number) =>
      cloud.call('PUT', '/compute/v2.1/os-quota-sets/demo-project', {
        token: 'admin',
        body: { quota_set: { instances, force: true } },
      });
    await limit((before['instances'] ?? 0) + 2);
    const answer = await post({ name: 'fit', min_count: 1, max_count: 5 });
    expect(answer.status).toBe(202);
    expect((await used())['instances']).toBe((before['instances'] ?? 0) + 2);
    const over = await post({ min_count: 1 });
    expect(over.body.forbidden.message).toMatch(
      /^Quota exceeded for instances: Requested 1, but already used \d+ of \d+ instances$/,
    );
    await withoutQuota(cloud);
  });
});

test('parallel creates never take more than the quota', async () => {
  const limit = { quota_set: { instances: 3 } };
  const own = await startTestCloud();
  try {
    const id = await makeImage(own);
    await makeFlavor(own, 'small');
    await own.call('PUT', '/compute/v2.1/os-quota-sets/demo-project', { token: 'admin', body: limit });
    const server = { name: 'x', flavorRef: 'small', imageRef: id };
    const all = await Promise.all(
      Array.from({ length: 8 }, () => own.call('POST', '/compute/v2.1/servers', { body: { server } })),
    );
    expect(all.map((one) => one.status).sort()).toEqual([202, 202, 202, 403, 403, 403, 403, 403]);
    const detail = await own.call('GET', '/compute/v2.1/limits');
    expect(detail.body.limits.absolute).toMatchObject({ totalInstancesUsed: 3, totalCoresUsed: 3, totalRAMUsed: 384 });
  } finally {
    await own.stop();
  }
});

const nobody = '00000000-0000-4000-8000-000000000000';
test.each<[string, () => object, string]>([
  ['no name', () => ({ name: undefined }), '2.1'],
  ['an empty name', () => ({ name: '' }), '2.1'],
  ['a name with a line break', () => ({ name: 'a\nb' }), '2.1'],
  ['no flavor', () => ({ flavorRef: undefined }), '2.1'],
  ['an unknown flavor', () => ({ flavorRef: 'nobody' }), '2.1'],
  ['a flavor of others', () => ({ flavorRef: 'secret' }), '2.1'],
  ['no image', () => ({ imageRef: undefined }), '2.1'],
  ['an empty image', () => ({ imageRef: '' }), '2.1'],
  ['an image by name', () => ({ imageRef: 'tiny' }), '2.1'],
  ['an unknown image', () => ({ imageRef: nobody }), '2.1'],
  ['an unknown key', () => ({ key_name: 'nobody' }), '2.1'],
  ['an unknown network', () => ({ networks: [{ uuid: nobody }] }), '2.1'],
  ['a foreign network', () => ({ networks: [{ uuid: foreign }] }), '2.1'],
  ['a network by name', () => ({ networks: [{ uuid: 'demo' }] }), '2.1'],
  ['a network without id', () => ({ networks: [{}] }), '2.1'],
  ['an unknown port', () => ({ networks: [{ port: nobody }] }), '2.1'],
  ['a port twice', () => ({ networks: [{ port: nobody }, { port: nobody }] }), '2.1'],
  ['a port with an address', () => ({ networks: [{ port: nobody, fixed_ip: '10.0.0.9' }] }), '2.1'],
  ['an address that is none', () => ({ networks: [{ uuid: network, fixed_ip: 'x' }] }), '2.1'],
  ['an address for several', () => ({ networks: [{ uuid: network, fixed_ip: '10.0.0.9' }], max_count: 2 }), '2.1'],
  ['a port for several', () => ({ networks: [{ port: nobody }], max_count: 2 }), '2.1'],
  ['auto before 2.37', () => ({ networks: 'auto' }), '2.36'],
  ['no networks from 2.37 on', () => ({}), '2.37'],
  ['a word that is neither', () => ({ networks: 'some' }), '2.37'],
  ['a tag of a network before 2.32', () => ({ networks: [{ uuid: network, tag: 'x' }] }), '2.31'],
  ['a tag of a network between 2.37 and 2.41', () => ({ networks: [{ uuid: network, tag: 'x' }] }), '2.41'],
  ['an unknown group', () => ({ security_groups: [{ name: 'nobody' }] }), '2.1'],
  ['min over max', () => ({ min_count: 3, max_count: 2 }), '2.1'],
  ['a count of nothing', () => ({ min_count: 0 }), '2.1'],
  ['a count of text nothing', () => ({ min_count: '0' }), '2.1'],
  ['an unknown zone', () => ({ availability_zone: 'moon' }), '2.1'],
  ['a description before 2.19', () => ({ description: 'x' }), '2.18'],
  ['tags before 2.52', () => ({ networks: 'none', tags: ['x'] }), '2.51'],
  ['a tag with a comma', () => ({ networks: 'none', tags: ['a,b'] }), '2.52'],
  ['too many tags', () => ({ networks: 'none', tags: Array.from({ length: 51 }, (_, n) => `t${n}`) }), '2.52'],
  ['a personality from 2.57 on', () => ({ networks: 'none', personality: [] }), '2.57'],
  ['a host before 2.74', () => ({ networks: 'none', host: 'h1' }), '2.73'],
  ['a host name before 2.90', () => ({ networks: 'none', hostname: 'x1' }), '2.79'],
  ['user data that is not base64', () => ({ user_data: '!' }), '2.1'],
  ['user data that is too long', () => ({ user_data: 'A'.repeat(65536) }), '2.1'],
  ['metadata with a number', () => ({ metadata: { a: 1 } }), '2.1'],
  ['an unknown attribute', () => ({ colour: 'red' }), '2.1'],
  ['a drive that is neither', () => ({ config_drive: 'maybe' }), '2.1'],
  [
    'a volume',
    () => ({ imageRef: '', block_device_mapping_v2: [{ source_type: 'volume', uuid: nobody, boot_index: 0 }] }),
    '2.1',
  ],
  ['a volume of the old form', () => ({ block_device_mapping: [{ volume_id: nobody }] }), '2.1'],
  [
    'another image in the device',
    () => ({
      block_device_mapping_v2: [{ source_type: 'image', destination_type: 'local', boot_index: 0, uuid: nobody }],
    }),
    '2.1',
  ],
])('%s is a bad request and leaves nothing', async (_what, change, version) => {
  const counts = () =>
    cloud.cloud.db.read(async (session) => [
      await session.count(servers),
      await session.count(ports),
      await session.count(tasks),
      ...(await session.find(computeUsages)).map((one) => one.used),
    ]);
  const before = await counts();
  const answer = await post(change(), version);
  expect([answer.status, answer.body.badRequest?.code]).toEqual([400, 400]);
  expect(await counts()).toEqual(before);
});

test('images that can’t be used are refused with the reason', async () => {
  const message = async (change: object, flavorRef = 'small') =>
    (await post({ imageRef: await makeImage(cloud, change), flavorRef })).body.badRequest?.message;
  expect(await message({ min_ram: 4096 })).toMatch(
    /^Flavor's memory is too small for requested image\. Flavor memory is \d+ MiB, minimum is 4096 MiB\.$/,
  );
  expect(await message({ virtual_size: 2 * 1024 ** 3 })).toMatch(
    /^Flavor's disk is too small for requested image\. Flavor disk is 1073741824 bytes, image is 2147483648 bytes\.$/,
  );
  expect(await message({ min_disk: 5 })).toMatch(
    /smaller than the minimum size .* Flavor disk is 1073741824 bytes, minimum size is 5368709120 bytes\.$/,
  );
  expect(await message({ status: 'queued' })).toContain('not active');
  expect(await message({ visibility: 'private', owner: 'other-project' })).toBe('Can not find requested image');
  expect(await message({ disk_format: 'iso' })).toContain('unacceptable');
});

test('what exceeds a quota of items is forbidden', async () => {
  const metadata = Object.fromEntries(Array.from({ length: 129 }, (_, n) => [`k${n}`, 'v']));
  expect((await post({ metadata })).body.forbidden.message).toBe('Maximum number of metadata items exceeds 128');
  const file = (path: string, size: number) => ({ path, contents: Buffer.alloc(size).toString('base64') });
  for (const personality of [
    Array.from({ length: 6 }, (_, n) => file(`/f${n}`, 1)),
    [file(`/${'x'.repeat(255)}`, 1)],
    [file('/f', 10_241)],
  ])
    expect((await post({ personality })).body.forbidden.code).toBe(403);
});

test('flavors without a disk and hosts by name are for administrators', async () => {
  expect((await post({ flavorRef: 'zero' })).body.forbidden.message).toContain('zero disk');
  const none = { networks: 'none' };
  expect((await row({ ...none, flavorRef: 'zero' }, '2.37', 'admin')).flavor.disk).toBe(0);
  expect((await post({ availability_zone: 'lab:h1' })).status).toBe(403);
  expect((await row({ ...none, availability_zone: 'lab:h1' }, '2.37', 'admin')).requested_host).toBe('h1');
  expect((await row({ ...none, availability_zone: 'lab:h1:h1' }, '2.37', 'admin')).requested_host).toBe('h1');
  expect((await row({ ...none, availability_zone: ':h1' }, '2.37', 'admin')).requested_host).toBe('h1');
  expect((await post({ ...none, host: 'h1' }, '2.74')).status).toBe(403);
  expect((await row({ ...none, host: 'h1' }, '2.74', 'admin')).requested_host).toBe('h1');
  expect((await row({ ...none, hypervisor_hostname: 'h1' }, '2.74', 'admin')).requested_host).toBe('h1');
  for (const [change, version] of [
    [{ availability_zone: 'lab:h9' }, '2.37'],
    [{ availability_zone: 'lab:h1:h2' }, '2.37'],
    [{ availability_zone: 'a:b:c:d' }, '2.37'],
    [{ host: 'h9' }, '2.74'],
    [{ host: 'h1', hypervisor_hostname: 'h2' }, '2.74'],
    [{ host: 'h1', availability_zone: 'lab:h1' }, '2.74'],
  ] as const)
    expect([change, (await post({ ...none, ...change }, version, 'admin')).status]).toEqual([change, 400]);
});

test('certificates are said not to be checked here', async () => {
  const answer = await post({ networks: 'none', trusted_image_certificates: ['x'] }, '2.63');
  expect(answer.body.notImplemented.code).toBe(501);
});

test('the answer repeats the groups and the password that were sent', async () => {
  const answer = await post({ security_groups: [{ name: 'default' }, { name: 'default' }], adminPass: 'mine' });
  expect(answer.body.server).toMatchObject({
    security_groups: [{ name: 'default' }, { name: 'default' }],
    adminPass: 'mine',
  });
});

test.each([
  ['Hello World', 'hello-world'],
  ['My_Server.1', 'my-server-1'],
  ['--x--', 'x'],
  ['日本', 'server-id'],
  ['Crème brûlée', 'creme-brulee'],
  ['x'.repeat(80), 'x'.repeat(63)],
])('the host name of %j is %j', (name, expected) => {
  expect(hostnameFrom(name, 'server-ID')).toBe(expected);
});
