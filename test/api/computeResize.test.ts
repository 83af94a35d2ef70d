// Resize, cold migration and their ends through the API: what each starts, what it holds, and when it is refused in which words.
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { servers, serverMigrations, type Server } from '../../controller/src/db/entities/compute';
import { tasks } from '../../controller/src/db/entities/tasks';
import { makeFlavor, makeHost, makeImage, makeNetwork, settle } from '../support/computeFixtures';
import { startTestCloud, type Answer, type TestCloud } from '../support/testCloud';

let cloud: TestCloud;
let id: string;
beforeEach(async () => {
  cloud = await startTestCloud();
  for (const host of ['h1', 'h2']) await makeHost(cloud, host);
  await makeNetwork(cloud, 'demo');
  await makeFlavor(cloud, 'small', { disk: 2 });
  await makeFlavor(cloud, 'large', { disk: 4, vcpus: 4, ram: 512 });
  const body = { server: { name: 'hello', flavorRef: 'small', imageRef: await makeImage(cloud) } };
  ({ id } = (await cloud.call('POST', '/compute/v2.1/servers', { body })).body.server);
  await settle(cloud, id, { host: 'h1' });
});
afterEach(() => cloud.stop());

const act = (body: unknown, { version = '2.1', token = 'demo', server = id } = {}): Promise<Answer> =>
  cloud.call('POST', `/compute/v2.1/servers/${server}/action`, {
    token,
    headers: { 'x-openstack-nova-api-version': version },
    body,
  });
const set = (change: Partial<Server>) => cloud.cloud.db.write((session) => session.update(servers, { id }, change));
const show = async () => (await cloud.call('GET', `/compute/v2.1/servers/${id}`)).body.server;
const migration = () => cloud.cloud.db.read((session) => session.findOne(serverMigrations, { server_id: id, open: 1 }));
const running = () => cloud.cloud.db.read((session) => session.find(tasks, { where: { resource_id: id, active: 1 } }));
const used = async (): Promise<number[]> => {
  const { absolute } = (await cloud.call('GET', '/compute/v2.1/limits')).body.limits;
  return [absolute.totalInstancesUsed, absolute.totalCoresUsed, absolute.totalRAMUsed];
};
const words = ({ body }: Answer): unknown => (Object.values(body)[0] as { message: string }).message;
const resize = (flavorRef: unknown, more: object = {}) => act({ resize: { flavorRef, ...more } });

/** As its task leaves a server that was resized. */
async function resized(): Promise<void> {
  await resize('large');
  await settle(cloud, id, { vm_state: 'resized', task_state: null });
}

test('a resize starts a task, takes the difference of the flavors, and shows as RESIZE and then VERIFY_RESIZE', async () => {
  const answer = await resize('large', { 'OS-DCF:diskConfig': 'MANUAL' });
  expect([answer.status, answer.body]).toEqual([202, '']);
  expect(await running()).toMatchObject([{ kind: 'server.resize', params: { action: 'resize', was: 'active' } }]);
  expect(await show()).toMatchObject({
    status: 'RESIZE',
    'OS-EXT-STS:task_state': 'resize_prep',
    'OS-EXT-STS:vm_state': 'active',
    'OS-DCF:diskConfig': 'MANUAL',
    progress: 0,
    flavor: { id: 'small' },
  });
  expect(await migration()).toMatchObject({
    type: 'resize',
    status: 'pre-migrating',
    source_host: 'h1',
    dest_host: null,
    old_flavor: { id: 'small' },
    new_flavor: { id: 'large', vcpus: 4 },
    old_revision: 1,
    new_revision: 2,
    user_id: 'demo-user',
  });
  expect(await used()).toEqual([1, 4, 512]);
  const listed = async (status: string) =>
    (await cloud.call('GET', `/compute/v2.1/servers?status=${status}`)).body.servers;
  expect([await listed('RESIZE'), await listed('VERIFY_RESIZE'), await listed('SHUTOFF')]).toMatchObject([
    [{ id }],
    [],
    [],
  ]);
  await settle(cloud, id, { vm_state: 'resized', task_state: null });
  expect(await show()).toMatchObject({ status: 'VERIFY_RESIZE', progress: 0 });
  expect([await listed('RESIZE'), await listed('VERIFY_RESIZE')]).toMatchObject([[], [{ id }]]);
});

test.each([
  [{ flavorRef: 'nowhere' }, 'Flavor nowhere could not be found.'],
  [{ flavorRef: 'small' }, 'When resizing, instances must change flavor!'],
])('a resize to %j is a bad request', async (body, message) => {
  const answer = await act({ resize: body });
  expect([answer.status, words(answer)]).toEqual([400, message]);
  expect(await migration()).toBeUndefined();
  expect(await used()).toEqual([1, 1, 128]);
});

test('a disk never shrinks, and never becomes one without a size', async () => {
  await makeFlavor(cloud, 'tiny');
  await makeFlavor(cloud, 'none', { disk: 0 });
  expect(words(await resize('tiny'))).toBe(
    'Server disk was unable to be resized because: the disk has 2 GiB and can not shrink to 1 GiB.',
  );
  expect(words(await resize('none'))).toBe(
    'Server disk was unable to be resized because: Resize to zero disk flavor is not allowed.',
  );
});

test('the image must fit the new flavor', async () => {
  const found = await cloud.cloud.db.read((session) => session.findOne(servers, { id }));
  if (found?.image) await set({ image: { ...found.image, min_ram: 1024 } });
  expect(words(await resize('large'))).toMatch(
    /^Flavor's memory is too small for requested image\. Flavor memory is \d+ MiB, minimum is 1024 MiB\.$/,
  );
});

test.each([
  [{ resize: {} }],
  [{ resize: null }],
  [{ resize: { flavorRef: '' } }],
  [{ resize: { flavorRef: ['large'] } }],
  [{ resize: { flavorRef: 'large', more: 1 } }],
  [{ resize: { flavorRef: 'large', 'OS-DCF:diskConfig': 'LATER' } }],
  [{ confirmResize: {} }],
  [{ revertResize: {} }],
])('%j is a bad request', async (body) => {
  expect((await act(body)).status).toBe(400);
});

test.each([
  [{ migrate: {} }, '2.55', 202],
  [{ migrate: { host: 'h2' } }, '2.55', 202],
  [{ migrate: 'now' }, '2.56', 400],
  [{ migrate: { host: 1 } }, '2.56', 400],
  [{ migrate: { host: 'no host' } }, '2.56', 400],
  [{ migrate: { where: 'h2' } }, '2.56', 400],
  [{ migrate: { host: null } }, '2.56', 202],
])('%j at %s answers %i', async (body, version, status) => {
  expect((await act(body, { version, token: 'admin' })).status).toBe(status);
});

test('more than the quota allows is refused and takes nothing', async () => {
  await cloud.call('PUT', '/compute/v2.1/os-quota-sets/demo-project', {
    token: 'admin',
    body: { quota_set: { cores: 3 } },
  });
  const answer = await resize('large');
  expect([answer.status, words(answer)]).toEqual([
    403,
    'Quota exceeded for cores: Requested 3, but already used 1 of 3 cores',
  ]);
  expect(await used()).toEqual([1, 1, 128]);
  expect(await migration()).toBeUndefined();
});

test('the quota of a user counts what a resize holds', async () => {
  const path = '/compute/v2.1/os-quota-sets/demo-project?user_id=demo-user';
  await cloud.call('PUT', path, { token: 'admin', body: { quota_set: { cores: 4 } } });
  expect((await resize('large')).status).toBe(202);
  const detail = await cloud.call('GET', path.replace('?', '/detail?'), { token: 'admin' });
  expect(detail.body.quota_set.cores).toMatchObject({ in_use: 4, limit: 4 });
});

test.each<[string, object, Partial<Server>, string]>([
  ['resize', { resize: { flavorRef: 'large' } }, { vm_state: 'paused' }, 'vm_state paused'],
  ['resize', { resize: { flavorRef: 'large' } }, { task_state: 'rebooting' }, 'task_state rebooting'],
  ['migrate', { migrate: null }, { vm_state: 'suspended' }, 'vm_state suspended'],
  ['confirmResize', { confirmResize: null }, { vm_state: 'active' }, 'vm_state active'],
  ['revertResize', { revertResize: null }, { vm_state: 'error' }, 'vm_state error'],
])('%s by %j of a server with %j is a conflict', async (name, body, change, state) => {
  await set(change);
  const answer = await act(body, { token: 'admin' });
  expect([answer.status, words(answer)]).toEqual([409, `Cannot '${name}' instance ${id} while it is in ${state}`]);
});

test('a locked server is not resized, migrated, confirmed or reverted', async () => {
  await resized();
  await act({ lock: null });
  for (const body of [{ confirmResize: null }, { revertResize: null }, { resize: { flavorRef: 'large' } }])
    expect([await act(body).then(words), (await running()).length]).toEqual([`Instance ${id} is locked`, 0]);
});

test('another tenant does not find the server, and a tenant does not migrate', async () => {
  for (const body of [{ resize: { flavorRef: 'large' } }, { confirmResize: null }, { revertResize: null }])
    expect((await act(body, { token: 'other' })).status).toBe(404);
  expect((await act({ migrate: null })).status).toBe(403);
  expect((await act({ resize: { flavorRef: 'large' } }, { token: 'reader' })).status).toBe(403);
});

test('a migration names its host from 2.56 on', async () => {
  const to = (host: string) => act({ migrate: { host } }, { version: '2.56', token: 'admin' });
  expect(words(await to('h1'))).toBe('Cannot migrate to the host where the server exists.');
  expect(words(await to('h9'))).toBe('Compute host h9 could not be found.');
  expect((await to('h2')).status).toBe(202);
  expect(await running()).toMatchObject([{ kind: 'server.migrate', params: { action: 'migrate', host: 'h2' } }]);
  expect(await migration()).toMatchObject({
    type: 'migration',
    old_flavor: { id: 'small' },
    new_flavor: { id: 'small' },
  });
  expect(await used()).toEqual([1, 1, 128]);
});

test('who may migrate need not be allowed to name the host', async () => {
  const policy_file = join(cloud.directory, 'policy.yaml');
  writeFileSync(policy_file, "'os_compute_api:os-migrate-server:migrate': 'rule:admin_or_member'\n");
  const loose = await startTestCloud({ config: { data_dir: cloud.directory, policy_file } });
  const migrate = (value: unknown) =>
    loose.call('POST', `/compute/v2.1/servers/${id}/action`, {
      headers: { 'x-openstack-nova-api-version': '2.56' },
      body: { migrate: value },
    });
  expect((await migrate({ host: 'h2' })).status).toBe(403);
  expect((await migrate(null)).status).toBe(202);
  await loose.stop();
});

test.each([
  ['confirmResize', 204, 'VERIFY_RESIZE', 'resize_confirming', 'confirming'],
  ['revertResize', 202, 'REVERT_RESIZE', 'resize_reverting', 'reverting'],
])('%s answers %i and shows as %s', async (action, status, shown, taskState, state) => {
  await resized();
  const answer = await act({ [action]: null });
  expect([answer.status, answer.body]).toEqual([status, '']);
  expect(await running()).toMatchObject([{ kind: `server.${action}`, params: { action } }]);
  expect(await show()).toMatchObject({ status: shown, 'OS-EXT-STS:task_state': taskState });
  expect(await migration()).toMatchObject({ status: state });
});

test('what is in VERIFY_RESIZE without a resize has nothing to confirm', async () => {
  await set({ vm_state: 'resized' });
  for (const body of [{ confirmResize: null }, { revertResize: null }]) {
    const answer = await act(body);
    expect([answer.status, words(answer)]).toEqual([400, 'Instance has not been resized.']);
  }
});

test('until a resize has its end nothing else is done with the server but to delete it', async () => {
  await resized();
  // As an administrator's word, or a way back that failed, may leave it.
  await set({ vm_state: 'active' });
  const why = `while its resize is neither confirmed nor reverted`;
  expect(words(await act({ 'os-stop': null }))).toBe(`Cannot 'stop' instance ${id} ${why}`);
  expect(words(await resize('large'))).toBe(`Cannot 'resize' instance ${id} ${why}`);
  expect(words(await act({ migrate: null }, { token: 'admin' }))).toBe(`Cannot 'migrate' instance ${id} ${why}`);
  expect((await cloud.call('DELETE', `/compute/v2.1/servers/${id}`)).status).toBe(204);
});
