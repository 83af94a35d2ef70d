// The action evacuate through the API: bodies and answers by microversion, and when it is refused in which words.
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { servers, type Server } from '../../controller/src/db/entities/compute';
import { images } from '../../controller/src/db/entities/image';
import { agents, tasks } from '../../controller/src/db/entities/tasks';
import { makeFlavor, makeHost, makeImage, makeNetwork, settle } from '../support/computeFixtures';
import { startTestCloud, type Answer, type TestCloud } from '../support/testCloud';

let cloud: TestCloud;
let id: string;
let image: string;
beforeEach(async () => {
  cloud = await startTestCloud();
  for (const host of ['h1', 'h2']) await makeHost(cloud, host);
  await makeNetwork(cloud, 'demo');
  await makeFlavor(cloud, 'small');
  image = await makeImage(cloud);
  const body = { server: { name: 'hello', flavorRef: 'small', imageRef: image } };
  ({ id } = (await cloud.call('POST', '/compute/v2.1/servers', { body })).body.server);
  await settle(cloud, id, { host: 'h1' });
  await hear('h1', 0);
});
afterEach(() => cloud.stop());

const hear = (host: string, heard_at: number, role = ['compute', 'network', 'storage']) =>
  cloud.cloud.db.write(async (session) => {
    for (const one of role) await session.update(agents, { host, role: one }, { heard_at });
  });
const set = (change: Partial<Server>) => cloud.cloud.db.write((session) => session.update(servers, { id }, change));
const act = (value: unknown, version = '2.95', token = 'admin', on = cloud): Promise<Answer> =>
  on.call('POST', `/compute/v2.1/servers/${id}/action`, {
    token,
    headers: { 'x-openstack-nova-api-version': version },
    body: { evacuate: value },
  });
const running = () => cloud.cloud.db.read((session) => session.find(tasks, { where: { resource_id: id, active: 1 } }));
const words = ({ status, body }: Answer): unknown[] => [
  status,
  (Object.values(body)[0] as { message: string }).message,
];

test.each<[string, { readonly host?: string; readonly [key: string]: unknown }, unknown]>([
  ['2.1', { onSharedStorage: false }, { adminPass: expect.stringMatching(/^.{12}$/) }],
  ['2.13', { onSharedStorage: 'False', host: 'h2', adminPass: 'secret' }, { adminPass: 'secret' }],
  ['2.14', {}, ''],
  ['2.29', { host: 'h2', force: true, adminPass: 'secret' }, ''],
  ['2.67', { force: 'no' }, ''],
  ['2.68', { host: 'h2' }, ''],
  ['2.95', { host: 'h2' }, ''],
])('at %s %j is taken', async (version, value, body) => {
  const answer = await act(value, version);
  expect([answer.status, answer.body]).toEqual([200, body]);
  const power = version === '2.95' ? 'shutdown' : 'running';
  expect(await running()).toMatchObject([
    {
      kind: 'server.evacuate',
      params: { action: 'evacuate', was: 'active', source: 'h1', host: value.host ?? null, power },
    },
  ]);
  const shown = (await cloud.call('GET', `/compute/v2.1/servers/${id}`)).body.server;
  expect(shown).toMatchObject({ status: 'REBUILD', 'OS-EXT-STS:task_state': 'rebuilding' });
});

test.each([
  ['2.14', null],
  ['2.13', {}],
  ['2.1', { onSharedStorage: 'maybe' }],
  ['2.14', { onSharedStorage: false }],
  ['2.28', { host: 'h2', force: true }],
  ['2.29', { host: 'h2', force: 'maybe' }],
  ['2.68', { host: 'h2', force: true }],
  ['2.95', { host: 'no host' }],
  ['2.95', { host: '' }],
  ['2.95', { host: null }],
  ['2.95', { adminPass: 1 }],
  ['2.95', { colour: 'red' }],
])('at %s %j is a bad request', async (version, value) => {
  const answer = await act(value, version);
  expect([answer.status, answer.body.badRequest?.code]).toEqual([400, 400]);
  expect(await running()).toEqual([]);
});

test.each([
  [400, "Can't force to a non-provided destination", '2.29', { force: true }],
  [400, 'The disks of servers are not on shared storage.', '2.1', { onSharedStorage: 'True' }],
  [404, 'Compute host h9 could not be found.', '2.95', { host: 'h9' }],
  [400, "The target host can't be the same one.", '2.95', { host: 'h1' }],
])('answers %i with: %s', async (status, message, version, value) => {
  expect(words(await act(value, version))).toEqual([status, message]);
  expect(await running()).toEqual([]);
});

test.each(['compute', 'network', 'storage'])('is refused while the %s agent of the host is heard', async (role) => {
  await hear('h1', Date.now(), [role]);
  expect(words(await act({}))).toEqual([400, 'Compute service of h1 is still in use.']);
  expect(await running()).toEqual([]);
});

test.each<[string, Partial<Server>, string]>([
  ['paused', { vm_state: 'paused' }, 'while it is in vm_state paused'],
  ['resized', { vm_state: 'resized' }, 'while it is in vm_state resized'],
  ['busy', { task_state: 'powering-off' }, 'while it is in task_state powering-off'],
  ['nowhere', { vm_state: 'error', host: null }, 'is not ready'],
])('one that is %s is a conflict', async (_, change, message) => {
  await set(change);
  const answer = await act({});
  expect([answer.status, answer.body.conflictingRequest?.message]).toEqual([409, expect.stringContaining(message)]);
});

test.each<[string, () => Promise<unknown>]>([
  ['that is gone', () => cloud.cloud.db.write((session) => session.delete(images, { id: image }))],
  ['that there never was', () => set({ image_id: null })],
])('a server keeps its disk when the new one were made of an image %s', async (_, lose) => {
  await lose();
  expect(words(await act({}))).toEqual([400, 'Cannot find image for evacuation']);
});

test.each<[Server['vm_state'], string]>([
  ['stopped', 'shutdown'],
  ['error', 'running'],
])('one that is %s is to be %s', async (vm_state, power) => {
  await set({ vm_state });
  expect((await act({}, '2.14')).status).toBe(200);
  expect(await running()).toMatchObject([{ params: { was: vm_state, power } }]);
});

test('is for administrators; others may not, and whom a rule lets finds only servers of the project', async () => {
  for (const token of ['demo', 'other', 'reader']) expect((await act({}, '2.95', token)).status).toBe(403);
  const policy_file = join(cloud.directory, 'policy.yaml');
  writeFileSync(policy_file, "'os_compute_api:os-evacuate': 'rule:admin_or_member'\n");
  const loose = await startTestCloud({ config: { data_dir: cloud.directory, policy_file } });
  try {
    expect((await act({}, '2.95', 'other', loose)).status).toBe(404);
    expect((await act({}, '2.95', 'demo', loose)).status).toBe(200);
  } finally {
    await loose.stop();
  }
});
