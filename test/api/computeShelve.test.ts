// Shelve, shelveOffload and unshelve through the API: what they leave of a server, what its project keeps, and when they are refused.
import { shelvedServers } from '../../controller/src/db/entities/compute';
import { images } from '../../controller/src/db/entities/image';
import { ports } from '../../controller/src/db/entities/network';
import { agents, allocations, hosts, tasks, type Task } from '../../controller/src/db/entities/tasks';
import { offloadWaiting } from '../../controller/src/services/compute/serverShelve';
import { HostError } from '@cumulet/common';
import { startCloudWithHost, type CloudWithHost } from '../crash/cloudWithHost';
import type { Answer } from '../support/testCloud';

let world: CloudWithHost;
let id: string;
/** What happens before a step of a task runs; set by a test. */
let before: (task: Task) => Promise<void> | void = () => undefined;

interface Options {
  readonly version?: string;
  readonly token?: string;
}
const call = (method: string, path: string, body?: unknown, { version = '2.1', token = 'demo' }: Options = {}) =>
  world.test.call(method, path, {
    token,
    headers: { 'x-openstack-nova-api-version': version },
    ...(body === undefined ? {} : { body }),
  });
const act = (body: unknown, options?: Options): Promise<Answer> =>
  call('POST', `/compute/v2.1/servers/${id}/action`, body, options);
const show = async (token = 'admin') =>
  (await call('GET', `/compute/v2.1/servers/${id}`, undefined, { token })).body.server;
const kept = async () =>
  (await call('GET', `/image/v2/images?instance_uuid=${id}`)).body.images as { id: string; name: string }[];
const read = <T>(work: Parameters<typeof world.test.cloud.db.read<T>>[0]) => world.test.cloud.db.read(work);
const claims = () => read((session) => session.count(allocations, {}));
const message = ({ body }: Answer): string => (Object.values(body)[0] as { message: string }).message;
const stayHours = (): void => void (world.test.cloud.config.shelved_offload_time = 3600);

async function done(body: unknown, options?: Options): Promise<void> {
  const answer = await act(body, options);
  expect([answer.status, answer.body]).toEqual([202, '']);
  await world.settled();
}

beforeAll(async () => {
  world = await startCloudWithHost(undefined, ['node-1', 'node-2']);
  await world.startEngine({ beforeStep: (task) => before(task) });
});
afterAll(() => world.stop());
beforeEach(async () => {
  world.test.cloud.config.shelved_offload_time = 0;
  id = await world.boot('hello');
  await world.settled();
});
afterEach(async () => {
  for (const host of world.hosts) host.before = () => undefined;
  before = () => undefined;
  await call('DELETE', `/compute/v2.1/servers/${id}`, undefined, { token: 'admin' });
  await world.settled();
  expect(await read((session) => session.count(shelvedServers, {}))).toBe(0);
  await world.expectClean();
});

test('a shelved server leaves its host; its project keeps quota, addresses and an image of its disk', async () => {
  const before = await show();
  const seen: string[] = [];
  for (const host of world.hosts)
    host.before = async (kind) => {
      const server = await show();
      seen.push(`${kind}: ${server.status} ${server['OS-EXT-STS:task_state']}`);
    };
  await done({ shelve: null });
  expect(seen).toEqual(
    expect.arrayContaining([
      'server.ensure: ACTIVE shelving',
      'snapshot.flatten: ACTIVE shelving_image_pending_upload',
      'snapshot.upload: ACTIVE shelving_image_uploading',
      'server.remove: SHELVED shelving_offloading',
    ]),
  );
  const shelved = await show();
  expect(shelved).toMatchObject({
    status: 'SHELVED_OFFLOADED',
    'OS-EXT-STS:vm_state': 'shelved_offloaded',
    'OS-EXT-STS:task_state': null,
    'OS-EXT-STS:power_state': 4,
    'OS-EXT-SRV-ATTR:host': null,
    'OS-EXT-SRV-ATTR:hypervisor_hostname': null,
    hostId: '',
    image: before.image,
    addresses: before.addresses,
  });
  for (const { domains, disks, taps, snapshots } of world.hosts)
    expect([domains.size, disks.size, taps.size, snapshots.size]).toEqual([0, 0, 0, 0]);
  expect(await read((session) => session.find(ports, { where: { server_id: id } }))).toMatchObject([
    { host: '', status: 'DOWN' },
  ]);
  expect(await claims()).toBe(0);
  const { absolute } = (await call('GET', '/compute/v2.1/limits')).body.limits;
  expect([absolute.totalInstancesUsed, absolute.totalCoresUsed, absolute.totalRAMUsed]).toEqual([1, 1, 128]);
  expect(await kept()).toMatchObject([
    { name: 'hello-shelved', owner: 'demo-project', status: 'active', image_type: 'snapshot', visibility: 'private' },
  ]);
  for (const status of ['SHELVED_OFFLOADED', 'shelved_offloaded'])
    expect((await call('GET', `/compute/v2.1/servers?status=${status}`)).body.servers).toMatchObject([{ id }]);

  await done({ unshelve: null });
  expect(await show()).toMatchObject({
    status: 'ACTIVE',
    'OS-EXT-STS:power_state': 1,
    'OS-EXT-SRV-ATTR:host': expect.stringMatching(/^node-/) as string,
    image: before.image,
    addresses: before.addresses,
  });
  expect(await kept()).toEqual([]);
  expect(await claims()).toBe(1);
  const { instanceActions } = (await call('GET', `/compute/v2.1/servers/${id}/os-instance-actions`)).body;
  expect(instanceActions.map(({ action }: { action: string }) => action)).toEqual(['unshelve', 'shelve', 'create']);
});

test('for as long as the administrator lets it a shelved server stays on its host, which starts it again', async () => {
  stayHours();
  const { 'OS-EXT-SRV-ATTR:host': host } = await show();
  await done({ 'os-stop': null });
  await done({ shelve: null });
  expect(await show()).toMatchObject({ status: 'SHELVED', 'OS-EXT-SRV-ATTR:host': host });
  expect(await claims()).toBe(1);
  await offloadWaiting(world.test.cloud);
  expect(await read((session) => session.count(tasks, { active: 1 }))).toBe(0);
  await done({ unshelve: null });
  expect(await show()).toMatchObject({ status: 'ACTIVE', 'OS-EXT-SRV-ATTR:host': host });
  expect(await kept()).toEqual([]);
});

test('when that time has passed it leaves the host, unless its image was deleted or something is done with it', async () => {
  stayHours();
  await done({ shelve: null });
  world.test.cloud.config.shelved_offload_time = -1;
  await offloadWaiting(world.test.cloud);
  await world.settled();
  expect((await show()).status).toBe('SHELVED');
  await world.test.cloud.db.write((session) => session.update(shelvedServers, { server_id: id }, { waits_since: 1 }));
  world.test.cloud.config.shelved_offload_time = 60;
  const [image] = await kept();
  const status = (to: string) =>
    world.test.cloud.db.write((session) => session.update(images, { id: image?.id ?? '' }, { status: to }));
  await status('deactivated');
  await offloadWaiting(world.test.cloud);
  await world.settled();
  expect(await show()).toMatchObject({ status: 'SHELVED', 'OS-EXT-STS:task_state': null });
  await status('active');
  await Promise.all([offloadWaiting(world.test.cloud), offloadWaiting(world.test.cloud)]);
  await world.settled();
  await offloadWaiting(world.test.cloud);
  expect(await show()).toMatchObject({ status: 'SHELVED_OFFLOADED' });
  const { instanceActions } = (await call('GET', `/compute/v2.1/servers/${id}/os-instance-actions`)).body;
  expect(instanceActions.map(({ action }: { action: string }) => action)).toEqual([
    'shelveOffload',
    'shelve',
    'create',
  ]);
});

test.each(['shelve', 'shelveOffload'])(
  'an image that is deleted before its server leaves the host in a %s keeps it there',
  async (way) => {
    before = async ({ step }) => {
      if (step !== 'look') return;
      const [image] = await kept();
      await call('DELETE', `/image/v2/images/${image?.id ?? ''}`);
    };
    if (way === 'shelveOffload') stayHours();
    await done({ shelve: null });
    if (way === 'shelveOffload') await done({ shelveOffload: null }, { token: 'admin' });
    expect(await show()).toMatchObject({
      status: 'SHELVED',
      'OS-EXT-STS:task_state': null,
      'OS-EXT-SRV-ATTR:host': expect.stringMatching(/^node-/) as string,
    });
    await done({ unshelve: null });
    expect((await show()).status).toBe('ACTIVE');
  },
);

test('without its image a server is not taken off its host, and not unshelved elsewhere', async () => {
  stayHours();
  await done({ shelve: null });
  const [image] = await kept();
  await call('DELETE', `/image/v2/images/${image?.id ?? ''}`);
  const stays = await act({ shelveOffload: null }, { token: 'admin' });
  expect([stays.status, message(stays)]).toEqual([409, expect.stringContaining('its disk stays on its host')]);
  await done({ unshelve: null });
  expect((await show()).status).toBe('ACTIVE');
  world.test.cloud.config.shelved_offload_time = 0;
  await done({ shelve: null });
  const [second] = await kept();
  await call('DELETE', `/image/v2/images/${second?.id ?? ''}`);
  const lost = await act({ unshelve: null });
  expect([lost.status, message(lost)]).toEqual([400, expect.stringContaining('is not there any more')]);
});

test('the deletion of a shelved server deletes its image, unless its owner protected it', async () => {
  await done({ shelve: null });
  await call('DELETE', `/compute/v2.1/servers/${id}`);
  await world.settled();
  expect(await kept()).toEqual([]);
  id = await world.boot('kept');
  await world.settled();
  await done({ shelve: null });
  const [image] = await kept();
  await world.test.cloud.db.write((session) => session.update(images, { id: image?.id ?? '' }, { protected: true }));
  await call('DELETE', `/compute/v2.1/servers/${id}`);
  await world.settled();
  expect(await kept()).toMatchObject([{ name: 'kept-shelved', status: 'active' }]);
  await world.test.cloud.db.write((session) => session.update(images, { id: image?.id ?? '' }, { protected: false }));
  expect((await call('DELETE', `/image/v2/images/${image?.id ?? ''}`)).status).toBe(204);
});

test('a shelve that fails leaves the server what it was, and says why', async () => {
  for (const host of world.hosts)
    host.before = (kind) => {
      if (kind === 'snapshot.flatten') throw new HostError('snapshot_failed', 'no room for it', { retryable: false });
    };
  await done({ shelve: null });
  expect(await show()).toMatchObject({ status: 'ACTIVE', 'OS-EXT-STS:task_state': null, 'OS-EXT-STS:power_state': 1 });
  await done({ 'os-stop': null });
  await done({ shelve: null });
  expect(await show()).toMatchObject({ status: 'SHUTOFF', 'OS-EXT-STS:power_state': 4 });
  expect(await kept()).toEqual([]);
  const { instanceActions } = (await call('GET', `/compute/v2.1/servers/${id}/os-instance-actions`)).body;
  expect(instanceActions[0]).toMatchObject({ action: 'shelve', message: 'Error' });
});

test('a host that is silent is not waited for', async () => {
  const { 'OS-EXT-SRV-ATTR:host': name } = await show();
  const host = world.hosts.find((one) => one.name === name);
  await host?.stop();
  await world.test.cloud.db.write((session) => session.update(agents, { host: name }, { heard_at: 0 }));
  await done({ shelve: null });
  expect(await show()).toMatchObject({ status: 'ACTIVE', 'OS-EXT-STS:task_state': null });
  expect(await kept()).toEqual([]);
  await host?.start();
});

describe('a zone or a host to come back to', () => {
  const zone = (name: string, of: string) =>
    world.test.cloud.db.write((session) => session.update(hosts, { name }, { availability_zone: of }));
  const admin = { version: '2.91', token: 'admin' };
  beforeEach(() => zone('node-2', 'lab'));
  afterEach(() => zone('node-2', 'nova'));

  test('is where it goes, and a null zone is any', async () => {
    await done({ shelve: null });
    await done({ unshelve: { availability_zone: 'lab' } }, { version: '2.77' });
    expect(await show()).toMatchObject({ 'OS-EXT-SRV-ATTR:host': 'node-2', 'OS-EXT-AZ:availability_zone': 'lab' });
    await done({ shelve: null });
    const refused = await act({ unshelve: { host: 'node-1' } }, admin);
    expect([refused.status, message(refused)]).toEqual([409, 'Host "node-1" is not in the availability zone "lab".']);
    await done({ unshelve: { availability_zone: null, host: 'node-1' } }, admin);
    expect(await show()).toMatchObject({ 'OS-EXT-SRV-ATTR:host': 'node-1' });
    const { pinned_availability_zone } = (
      await call('GET', `/compute/v2.1/servers/${id}`, undefined, { version: '2.96' })
    ).body.server;
    expect(pinned_availability_zone).toBeNull();
    await done({ shelve: null });
    await done({ unshelve: { host: 'node-2' } }, admin);
    expect(await show()).toMatchObject({ 'OS-EXT-SRV-ATTR:host': 'node-2' });
  });

  test('must exist, and one that has no room leaves the server shelved', async () => {
    await done({ shelve: null });
    const nowhere = await act({ unshelve: { availability_zone: 'moon' } }, { version: '2.77' });
    expect([nowhere.status, message(nowhere)]).toEqual([400, 'The requested availability zone is not available']);
    const nobody = await act({ unshelve: { host: 'node-9' } }, admin);
    expect([nobody.status, message(nobody)]).toEqual([400, 'Compute host node-9 could not be found.']);
    const member = await act({ unshelve: { host: 'node-2' } }, { version: '2.91' });
    expect([member.status, message(member)]).toEqual([403, expect.stringContaining('unshelve_to_host')]);
    await world.test.cloud.db.write((session) => session.update(hosts, { name: 'node-2' }, { enabled: false }));
    await done({ unshelve: { host: 'node-2' } }, admin);
    await world.test.cloud.db.write((session) => session.update(hosts, { name: 'node-2' }, { enabled: true }));
    expect(await show()).toMatchObject({ status: 'SHELVED_OFFLOADED', 'OS-EXT-SRV-ATTR:host': null });
    expect(await kept()).toMatchObject([{ name: 'hello-shelved' }]);
    // What an older version of the API says there means nothing.
    await done({ unshelve: { host: 'node-9', availability_zone: 'moon' } });
    expect((await show()).status).toBe('ACTIVE');
  });

  test('is for a server that has left its host', async () => {
    stayHours();
    await done({ shelve: null });
    for (const wish of [{ availability_zone: 'lab' }, { host: 'node-2' }, { availability_zone: null }]) {
      const answer = await act({ unshelve: wish }, admin);
      expect([answer.status, message(answer)]).toEqual([
        409,
        expect.stringContaining('The server status must be SHELVED_OFFLOADED.'),
      ]);
    }
  });
});

test.each([
  ['2.1', { shelve: null, x: 1 }],
  ['2.1', { shelve: null, unshelve: null }],
  ['2.77', { unshelve: {} }],
  ['2.77', { unshelve: { availability_zone: null } }],
  ['2.77', { unshelve: { availability_zone: '' } }],
  ['2.77', { unshelve: { availability_zone: 'nova', host: 'node-1' } }],
  ['2.91', { unshelve: { host: null } }],
  ['2.91', { unshelve: { zone: 'nova' } }],
  ['2.96', { unshelve: 'now' }],
])('at %s the body %j is refused', async (version, body) => {
  expect((await act(body, { version, token: 'admin' })).status).toBe(400);
});

test.each(['2.1', '2.96'])('at %s what does not fit the state is a conflict in words', async (version) => {
  const conflict = async (action: string, state: string, name = action) => {
    const answer = await act({ [action]: null }, { version, token: 'admin' });
    expect([answer.status, message(answer)]).toEqual([
      409,
      `Cannot '${name}' instance ${id} while it is in vm_state ${state}`,
    ]);
  };
  await conflict('unshelve', 'active');
  await conflict('shelveOffload', 'active');
  stayHours();
  await done({ shelve: null }, { version });
  for (const action of ['shelve', 'pause', 'suspend', 'resume']) await conflict(action, 'shelved');
  await conflict('os-start', 'shelved', 'start');
  await done({ shelveOffload: null }, { version, token: 'admin' });
  for (const action of ['shelve', 'shelveOffload', 'pause']) await conflict(action, 'shelved_offloaded');
  await conflict('os-start', 'shelved_offloaded', 'start');
  expect((await act({ reboot: { type: 'HARD' } }, { version })).status).toBe(409);
  expect((await act({ createImage: { name: 'x' } }, { version })).status).toBe(409);
  expect((await act({ 'os-getConsoleOutput': {} }, { version })).status).toBe(409);
});

test.each(['2.1', '2.96'])('at %s a lock, missing rights and another project are in the way', async (version) => {
  await act({ lock: null }, { token: 'admin' });
  const locked = await act({ shelve: null }, { version });
  expect([locked.status, message(locked)]).toEqual([409, `Instance ${id} is locked`]);
  await act({ unlock: null }, { token: 'admin' });
  expect((await act({ shelve: null }, { version, token: 'reader' })).status).toBe(403);
  for (const action of ['shelve', 'unshelve'])
    expect((await act({ [action]: null }, { version, token: 'other' })).status).toBe(404);
  expect((await act({ shelveOffload: null }, { version })).status).toBe(403);
  await done({ shelve: null }, { version, token: 'admin' });
  // An administrator of another project shelved it: its image is its own project's all the same.
  expect(await kept()).toMatchObject([{ owner: 'demo-project', visibility: 'private' }]);
  await act({ lock: null }, { token: 'admin' });
  expect((await act({ unshelve: null }, { version })).status).toBe(409);
  await act({ unlock: null }, { token: 'admin' });
  expect((await act({ unshelve: null }, { version, token: 'reader' })).status).toBe(403);
  await done({ unshelve: null }, { version });
});

test('a project that may have no further image can not shelve', async () => {
  const { image } = world.test.cloud.config;
  const before = image.max_images;
  image.max_images = 0;
  try {
    expect((await act({ shelve: null })).status).toBe(403);
    expect(await show()).toMatchObject({ status: 'ACTIVE', 'OS-EXT-STS:task_state': null });
  } finally {
    image.max_images = before;
  }
});
