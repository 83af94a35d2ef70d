// Actions on servers: what each starts, when it is refused and in which words.
import { HostError, type HostApi } from '@cumulet/common';
import { servers, type Server } from '../../controller/src/db/entities/compute';
import { portGroups, ports } from '../../controller/src/db/entities/network';
import { taskEvents, tasks } from '../../controller/src/db/entities/tasks';
import { lastLines } from '../../controller/src/api/compute/serverActions';
import { makeFlavor, makeHost, makeImage, makeNetwork, settle, withoutQuota } from '../support/computeFixtures';
import { startTestCloud, type Answer, type TestCloud } from '../support/testCloud';

let cloud: TestCloud;
let image: string;
let id: string;
const log = Buffer.from('one\r\ntwo\u001b[0m\nthree\n');
const passwords: string[][] = [];
const hostApi: HostApi = {
  consoleLog: async () => log,
  diagnostics: async () => Promise.reject(new Error('not asked here')),
  openConsole: () => Promise.reject(new Error('nobody looks here')),
  openDisk: () => Promise.reject(new Error('nobody moves here')),
  openImage: () => Promise.reject(new Error('nobody moves here')),
  setPassword: async (...words) => void passwords.push(words),
  inventoryOfResources: async () => [],
};
const brokenApi: HostApi = { ...hostApi, consoleLog: () => Promise.reject(new Error('/secret/path')) };
beforeAll(async () => {
  cloud = await startTestCloud({ host: (name) => ({ h1: hostApi, broken: brokenApi })[name] });
  image = await makeImage(cloud);
  await makeNetwork(cloud, 'demo');
  await makeHost(cloud, 'h1');
  await makeFlavor(cloud, 'small');
  await withoutQuota(cloud);
});
afterAll(() => cloud.stop());
beforeEach(async () => {
  const answer = await cloud.call('POST', '/compute/v2.1/servers', {
    body: { server: { name: 'hello', flavorRef: 'small', imageRef: image } },
  });
  id = answer.body.server.id;
  await settle(cloud, id, { host: 'h1' });
});

const at = (version: string) => ({ 'x-openstack-nova-api-version': version });
const act = (body: unknown, version = '2.1', token = 'demo', server = id): Promise<Answer> =>
  cloud.call('POST', `/compute/v2.1/servers/${server}/action`, { token, headers: at(version), body });
const row = async (): Promise<Server> => {
  const found = await cloud.cloud.db.read((session) => session.findOne(servers, { id }));
  if (!found) throw new Error('no server');
  return found;
};
const set = (change: Partial<Server>) => cloud.cloud.db.write((session) => session.update(servers, { id }, change));
const show = async (version = '2.1', token = 'demo') =>
  (await cloud.call('GET', `/compute/v2.1/servers/${id}`, { headers: at(version), token })).body.server;
const running = () => cloud.cloud.db.read((session) => session.find(tasks, { where: { resource_id: id, active: 1 } }));

const hostActions: [string, object, Server['vm_state'], string, string][] = [
  ['start', { 'os-start': null }, 'stopped', 'server.start', 'powering-on'],
  ['stop', { 'os-stop': null }, 'active', 'server.stop', 'powering-off'],
  ['reboot', { reboot: { type: 'SOFT' } }, 'active', 'server.reboot', 'rebooting'],
  ['reboot', { reboot: { type: 'Hard' } }, 'stopped', 'server.reboot', 'rebooting_hard'],
  ['pause', { pause: null }, 'active', 'server.pause', 'pausing'],
  ['unpause', { unpause: null }, 'paused', 'server.unpause', 'unpausing'],
  ['suspend', { suspend: null }, 'active', 'server.suspend', 'suspending'],
  ['resume', { resume: null }, 'suspended', 'server.resume', 'resuming'],
  ['rebuild', { rebuild: {} }, 'active', 'server.rebuild', 'rebuilding'],
];
const bodyOf = (body: object): object => ('rebuild' in body ? { rebuild: { imageRef: image } } : body);

test.each(hostActions)('%s by %j of a server that is %s starts %s', async (_name, body, state, kind, taskState) => {
  await set({ vm_state: state });
  const before = await row();
  const answer = await act(bodyOf(body));
  expect(answer.status).toBe(202);
  if (kind !== 'server.rebuild') expect(answer.body).toBe('');
  const after = await row();
  expect([after.task_state, after.generation]).toEqual([taskState, before.generation + 1]);
  const [task, ...more] = await running();
  expect(task).toMatchObject({ kind, request_id: answer.headers.get('x-compute-request-id'), user_id: 'demo-user' });
  expect(more).toEqual([]);
});

test.each(hostActions)('%s by %j is refused in any other state, in words', async (name, body, state) => {
  const wrong: Server['vm_state'] = state === 'suspended' ? 'paused' : 'suspended';
  await set({ vm_state: wrong });
  if (name === 'reboot' && 'reboot' in body && (body.reboot as { type: string }).type === 'Hard') return;
  const answer = await act(bodyOf(body));
  expect([answer.status, answer.body]).toEqual([
    409,
    { conflictingRequest: { code: 409, message: `Cannot '${name}' instance ${id} while it is in vm_state ${wrong}` } },
  ]);
  expect(await running()).toEqual([]);
});

test('a hard reboot is possible of a suspended server, not while something else runs', async () => {
  await set({ vm_state: 'suspended' });
  expect((await act({ reboot: { type: 'HARD' } })).status).toBe(202);
  const again = await act({ reboot: { type: 'HARD' } });
  expect(again.body.conflictingRequest.message).toBe(
    `Cannot 'reboot' instance ${id} while it is in task_state rebooting_hard`,
  );
});

test('a reboot says its kind to the task, and shows it', async () => {
  await act({ reboot: { type: 'hard' } });
  expect((await running())[0]?.params).toMatchObject({ type: 'HARD', was: 'active' });
  expect((await show()).status).toBe('HARD_REBOOT');
});

test('a server without a host is not ready', async () => {
  await set({ host: null, vm_state: 'error' });
  expect((await act({ 'os-stop': null })).body.conflictingRequest.message).toBe(`Instance ${id} is not ready`);
});

test.each(hostActions)('%s by %j is refused to its owner while it is locked', async (_name, body, state) => {
  await set({ vm_state: state, locked: true, locked_by: 'owner' });
  const answer = await act(bodyOf(body));
  expect([answer.status, answer.body.conflictingRequest?.message]).toEqual([409, `Instance ${id} is locked`]);
  expect((await act(bodyOf(body), '2.1', 'admin')).status).toBe(202);
});

const everyAction: object[] = [
  ...hostActions.map(([, body]) => body),
  { lock: null },
  { unlock: null },
  { forceDelete: null },
  { 'os-getConsoleOutput': {} },
  { addSecurityGroup: { name: 'default' } },
  { removeSecurityGroup: { name: 'default' } },
  { changePassword: { adminPass: 'x' } },
  { createImage: { name: 'x' } },
  { createBackup: { name: 'x', backup_type: 'daily', rotation: 1 } },
];

test.each(everyAction)('%j finds no foreign server and is forbidden to readers', async (body) => {
  const foreign = await act(bodyOf(body), '2.1', 'other');
  expect([foreign.status, foreign.body.itemNotFound?.message]).toEqual([404, `Instance ${id} could not be found.`]);
  expect((await act(bodyOf(body), '2.1', 'reader')).status).toBe(403);
  expect((await act(bodyOf(body), '2.1', 'demo', 'no-id')).status).toBe(404);
});

test.each([
  [{}, '2.1'],
  [[], '2.1'],
  [{ fly: null }, '2.1'],
  [{ __proto__x: null }, '2.1'],
  [{ 'os-start': null, 'os-stop': null }, '2.1'],
  [{ reboot: {} }, '2.1'],
  [{ reboot: { type: 'GENTLE' } }, '2.1'],
  [{ reboot: null }, '2.1'],
  [{ lock: { locked_reason: '' } }, '2.73'],
  [{ lock: { colour: 'red' } }, '2.73'],
  [{ 'os-getConsoleOutput': { length: 'ten' } }, '2.1'],
  [{ 'os-getConsoleOutput': null }, '2.1'],
  [{ addSecurityGroup: {} }, '2.1'],
  [{ changePassword: {} }, '2.1'],
  [{ createImage: {} }, '2.1'],
  [{ createImage: { name: '' } }, '2.1'],
  [{ createImage: { name: 'x', metadata: { a: 1 } } }, '2.1'],
  [{ createImage: { name: 'x', metadata: { owner: 'me' } } }, '2.1'],
  [{ createImage: { name: 'x', colour: 'red' } }, '2.1'],
  [{ createBackup: { name: 'x', backup_type: 'daily' } }, '2.1'],
  [{ createBackup: { name: 'x', backup_type: 'daily', rotation: -1 } }, '2.1'],
  [{ createBackup: { name: 'x', backup_type: 'daily', rotation: 'two' } }, '2.1'],
  [{ createBackup: { name: 'x', backup_type: 1, rotation: 1 } }, '2.1'],
  [{ createBackup: { backup_type: 'daily', rotation: 1 } }, '2.1'],
  [{ rebuild: {} }, '2.1'],
  [{ rebuild: { imageRef: 'tiny' } }, '2.1'],
  [{ rebuild: { imageRef: '00000000-0000-0000-0000-000000000000', personality: [] } }, '2.57'],
  [{ rebuild: { imageRef: '00000000-0000-0000-0000-000000000000' } }, '2.1'],
  [{ trigger_crash_dump: null }, '2.16'],
  [{ addFloatingIp: { address: '192.0.2.1' } }, '2.44'],
])('%j at %s is a bad request', async (body, version) => {
  const answer = await act(body, version);
  expect([answer.status, answer.body.badRequest?.code]).toEqual([400, 400]);
});

test.each([{ rescue: null }, { trigger_crash_dump: null }])('%j is said not to be implemented', async (body) => {
  const answer = await act(body, '2.17');
  expect([answer.status, answer.body.notImplemented?.code]).toEqual([501, 501]);
});

describe('the password of the guest', () => {
  const ask = { changePassword: { adminPass: 'secret' } };
  const promise = async (more: object = {}) => {
    const { image: old } = await row();
    if (old) await set({ image: { ...old, properties: { hw_qemu_guest_agent: 'yes', ...more } } });
  };

  test('can be set only in a guest whose image promises an agent, and while it is active and unlocked', async () => {
    expect((await act(ask)).body.conflictingRequest.message).toBe('QEMU guest agent is not enabled');
    await promise();
    await set({ vm_state: 'stopped' });
    expect((await act(ask)).status).toBe(409);
    await set({ vm_state: 'active', locked: true, locked_by: 'owner' });
    expect((await act(ask)).status).toBe(409);
    expect(passwords).toEqual([]);
  });

  test('is set for root or the image’s administrator, and kept nowhere', async () => {
    await promise();
    const answer = await act(ask);
    expect([answer.status, answer.body]).toEqual([202, '']);
    await promise({ os_admin_user: 'boss' });
    await act(ask);
    expect(passwords.splice(0)).toEqual([
      [id, 'root', 'secret'],
      [id, 'boss', 'secret'],
    ]);
    const kept = await cloud.cloud.db.read(async (session) =>
      JSON.stringify([await session.find(tasks), await session.find(taskEvents), await session.find(servers)]),
    );
    expect(kept).not.toContain('secret');
    expect(kept).toContain('server.changePassword');
  });

  test('that the agent refuses is a conflict with the reason, without words of the host', async () => {
    await promise();
    const setPassword = hostApi.setPassword.bind(hostApi);
    hostApi.setPassword = () =>
      Promise.reject(new HostError('agent_missing', 'the agent in the guest does not answer', { retryable: false }));
    const refused = (await act(ask)).body.conflictingRequest.message;
    expect(refused).toBe(`Failed to set admin password on ${id}: the agent in the guest does not answer`);
    hostApi.setPassword = () => Promise.reject(new Error('/secret/path'));
    expect((await act(ask)).body.conflictingRequest.message).not.toContain('/secret');
    hostApi.setPassword = setPassword;
    await set({ host: 'nowhere' });
    expect((await act(ask)).status).toBe(409);
  });
});

describe('lock', () => {
  test('keeps its reason from 2.73 on, and none before', async () => {
    expect((await act({ lock: { locked_reason: 'ignored' } }, '2.72')).status).toBe(202);
    expect(await show('2.73')).toMatchObject({ locked: true, locked_reason: null });
    expect((await act({ lock: { locked_reason: 'mine' } }, '2.73')).status).toBe(202);
    expect(await show('2.73')).toMatchObject({ locked: true, locked_reason: 'mine' });
    expect((await act({ unlock: null })).status).toBe(202);
    expect(await show('2.73')).toMatchObject({ locked: false, locked_reason: null });
    const kinds = (await cloud.cloud.db.read((session) => session.find(tasks, { where: { resource_id: id } }))).map(
      (task) => task.kind,
    );
    expect(kinds).toEqual(expect.arrayContaining(['server.lock', 'server.unlock']));
  });

  test('of an administrator is not the owner’s to undo', async () => {
    expect((await act({ lock: null }, '2.1', 'admin')).status).toBe(202);
    expect((await act({ unlock: null })).status).toBe(403);
    expect((await act({ unlock: null }, '2.1', 'admin')).status).toBe(202);
  });
});

describe('rebuild', () => {
  const keys = (value: object) => Object.keys(value).sort();
  const short = [
    ...['OS-DCF:diskConfig', 'accessIPv4', 'accessIPv6', 'addresses', 'adminPass', 'created', 'flavor', 'hostId'],
    ...['id', 'image', 'links', 'metadata', 'name', 'progress', 'status', 'tenant_id', 'updated', 'user_id'],
  ];

  test.each([
    ['2.1', short],
    ['2.9', [...short, 'locked']],
    ['2.54', [...short, 'locked', 'description', 'tags', 'key_name']],
    ['2.57', [...short, 'locked', 'description', 'tags', 'key_name', 'user_data']],
  ])('answers at %s with exactly these keys', async (version, expected) => {
    const answer = await act({ rebuild: { imageRef: image } }, version);
    expect([answer.status, keys(answer.body.server)]).toEqual([202, [...expected].sort()]);
    expect(answer.body.server.status).toBe('REBUILD');
    expect(answer.headers.get('location')).toBe(`${cloud.url}/compute/v2.1/servers/${id}`);
  });

  test('answers everything from 2.75 on', async () => {
    const answer = await act({ rebuild: { imageRef: image, adminPass: 'mine' } }, '2.75');
    expect(answer.body.server.adminPass).toBe('mine');
    expect(keys(answer.body.server)).toEqual([...keys(await show('2.75')), 'adminPass', 'user_data'].sort());
  });

  test('takes the new image, name, words and data, and a new disk', async () => {
    const other = await makeImage(cloud, { name: 'other' });
    const before = await row();
    const answer = await act(
      {
        rebuild: {
          imageRef: other,
          name: 'again',
          description: 'd',
          metadata: { a: 'b' },
          user_data: 'aGk=',
          key_name: null,
          accessIPv4: '192.0.2.3',
          accessIPv6: '',
          'OS-DCF:diskConfig': 'AUTO',
        },
      },
      '2.57',
    );
    expect(answer.status).toBe(202);
    expect(await row()).toMatchObject({
      image_id: other,
      image: { id: other, name: 'other' },
      name: 'again',
      description: 'd',
      metadata: { a: 'b' },
      user_data: 'aGk=',
      access_ip_v4: '192.0.2.3',
      disk_config: 'AUTO',
      disk_revision: before.disk_revision + 1,
    });
  });

  test('refuses an image that does not fit, keys nobody has and too many words', async () => {
    const large = await makeImage(cloud, { virtual_size: 2 * 1024 ** 3 });
    expect((await act({ rebuild: { imageRef: large } })).body.badRequest.message).toContain('too small');
    expect((await act({ rebuild: { imageRef: image, key_name: 'nobody' } }, '2.54')).body.badRequest.message).toBe(
      'Invalid key_name provided.',
    );
    const metadata = Object.fromEntries(Array.from({ length: 129 }, (_, at) => [`k${at}`, 'v']));
    expect((await act({ rebuild: { imageRef: image, metadata } })).status).toBe(403);
    expect((await act({ rebuild: { imageRef: image, trusted_image_certificates: ['x'] } }, '2.63')).status).toBe(501);
    expect(await running()).toEqual([]);
  });
});

describe('console output', () => {
  const output = (length?: number | string | null) =>
    act({ 'os-getConsoleOutput': length === undefined ? {} : { length } });

  test('is the log without what a terminal would obey, as many lines as asked for', async () => {
    const answer = await output();
    expect([answer.status, answer.body]).toEqual([200, { output: 'one\ntwo[0m\nthree\n' }]);
    expect((await output(1)).body.output).toBe('three\n');
    expect((await output('2')).body.output).toBe('two[0m\nthree\n');
    expect((await output(-1)).body.output).toContain('one');
    expect((await output(null)).body.output).toContain('one');
    expect((await output(0)).body.output).toBe('');
  });

  test('is a conflict while there is none to be had', async () => {
    await set({ host: 'h2' });
    expect((await output()).body.conflictingRequest.message).toContain("can't be reached");
    await set({ host: null });
    expect((await output()).status).toBe(409);
    await set({ host: 'broken' });
    const broken = await output();
    expect([broken.status, broken.body.conflictingRequest.message]).toEqual([
      409,
      expect.not.stringContaining('secret'),
    ]);
    await set({ vm_state: 'building' });
    expect((await output()).body.conflictingRequest.message).toContain('vm_state building');
  });

  test.each([
    ['a\nb', 1, 'b'],
    ['a\nb\n', 5, 'a\nb\n'],
    ['', 3, ''],
  ])('the end of %j by %d lines is %j', (text, count, expected) => {
    expect(lastLines(text, count)).toBe(expected);
  });
});

test('an administrator resets the state, nobody else', async () => {
  const body = { 'os-resetState': { state: 'error' } };
  expect((await act(body)).status).toBe(403);
  expect((await act(body, '2.1', 'admin')).status).toBe(202);
  expect((await show()).status).toBe('ERROR');
  await act({ 'os-resetState': { state: 'active' } }, '2.1', 'admin');
  expect((await show()).status).toBe('ACTIVE');
  expect((await act({ 'os-resetState': { state: 'paused' } }, '2.1', 'admin')).status).toBe(400);
  const events = await cloud.cloud.db.read((session) => session.find(taskEvents, { where: { resource_id: id } }));
  expect(events.at(-1)?.message).toContain('active');
});

test('a forced delete is a delete', async () => {
  expect((await act({ forceDelete: null })).status).toBe(202);
  expect((await running()).map((task) => task.kind)).toEqual(['server.delete']);
});

test('a group is added to and removed from the server’s ports', async () => {
  const groups = async () => (await show())['security_groups'];
  expect((await act({ addSecurityGroup: { name: 'default' } })).status).toBe(202);
  expect(await groups()).toEqual([{ name: 'default' }]);
  expect((await act({ removeSecurityGroup: { name: 'default' } })).status).toBe(202);
  expect(await groups()).toBeUndefined();
  expect((await act({ removeSecurityGroup: { name: 'default' } })).status).toBe(404);
  expect((await act({ addSecurityGroup: { name: 'default' } })).status).toBe(202);
  expect(await groups()).toEqual([{ name: 'default' }]);
  expect((await act({ addSecurityGroup: { name: 'nobody' } })).status).toBe(404);
  await cloud.cloud.db.write((session) => session.update(ports, { device_id: id }, { port_security_enabled: false }));
  expect((await act({ addSecurityGroup: { name: 'default' } })).status).toBe(400);
  const [port] = await cloud.cloud.db.read((session) => session.find(ports, { where: { device_id: id } }));
  const where = { port_id: port?.id ?? '' };
  expect(await cloud.cloud.db.read((session) => session.count(portGroups, where))).toBe(1);
});
