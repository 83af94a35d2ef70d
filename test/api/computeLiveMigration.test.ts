// The action os-migrateLive and a server's migrations through the API: bodies and answers by microversion, refusals in words.
import { serverMigrations, servers, type Server, type ServerMigration } from '../../controller/src/db/entities/compute';
import { agents, hosts, tasks } from '../../controller/src/db/entities/tasks';
import { makeFlavor, makeHost, makeImage, makeNetwork, settle } from '../support/computeFixtures';
import { startTestCloud, type Answer, type TestCloud } from '../support/testCloud';

let cloud: TestCloud;
let id: string;
beforeEach(async () => {
  cloud = await startTestCloud();
  for (const host of ['h1', 'h2']) await makeHost(cloud, host);
  await makeNetwork(cloud, 'demo');
  await makeFlavor(cloud, 'small');
  const body = { server: { name: 'hello', flavorRef: 'small', imageRef: await makeImage(cloud) } };
  ({ id } = (await cloud.call('POST', '/compute/v2.1/servers', { body })).body.server);
  await settle(cloud, id, { host: 'h1' });
});
afterEach(() => cloud.stop());

const ask = (method: string, path: string, version: string, body?: unknown, token = 'admin'): Promise<Answer> => {
  const headers = { 'x-openstack-nova-api-version': version };
  return cloud.call(method, `/compute/v2.1/servers/${id}${path}`, { token, headers, body });
};
const act = (value: unknown, version = '2.79', token?: string): Promise<Answer> =>
  ask('POST', '/action', version, { 'os-migrateLive': value }, token);
const set = (change: Partial<Server>) => cloud.cloud.db.write((session) => session.update(servers, { id }, change));
const mark = (change: Partial<ServerMigration>) =>
  cloud.cloud.db.write((session) => session.update(serverMigrations, { server_id: id }, change));
const migration = () => cloud.cloud.db.read((session) => session.findOne(serverMigrations, { server_id: id }));
const words = ({ status, body }: Answer): [number, string] => [
  status,
  (Object.values(body)[0] as { message: string }).message,
];
const old = { host: null, block_migration: true, disk_over_commit: false };
const auto = { host: null, block_migration: 'auto' };

test.each<[string, object, { host: string | null; block: boolean | null }]>([
  ['2.1', old, { host: null, block: true }],
  ['2.24', { ...old, host: 'h2', block_migration: 'True', disk_over_commit: 'no' }, { host: 'h2', block: true }],
  ['2.25', auto, { host: null, block: null }],
  ['2.25', { host: 'h2', block_migration: true }, { host: 'h2', block: true }],
  ['2.30', { ...auto, host: 'h2', force: true }, { host: 'h2', block: null }],
  ['2.67', { ...auto, force: false }, { host: null, block: null }],
  ['2.68', { host: 'h2', block_migration: false }, { host: 'h2', block: false }],
])('at %s %j is taken', async (version, value, params) => {
  const answer = await act(value, version);
  expect([answer.status, answer.body]).toEqual([202, '']);
  const { server } = (await ask('GET', '', version)).body;
  expect([server.status, server['OS-EXT-STS:task_state']]).toEqual(['MIGRATING', 'migrating']);
  const running = await cloud.cloud.db.read((session) =>
    session.find(tasks, { where: { resource_id: id, active: 1 } }),
  );
  expect(running).toMatchObject([{ kind: 'server.liveMigrate', params: { ...params, action: 'live-migration' } }]);
  expect(await migration()).toMatchObject({ type: 'live-migration', status: 'queued', source_host: 'h1', open: 1 });
});

test.each<[string, unknown]>([
  ['2.1', {}],
  ['2.1', null],
  ['2.1', { host: null, block_migration: true }],
  ['2.1', { ...old, block_migration: 'auto' }],
  ['2.1', { ...old, force: true }],
  ['2.24', { block_migration: true, disk_over_commit: false }],
  ['2.25', old],
  ['2.25', { block_migration: 'auto' }],
  ['2.25', { host: null, block_migration: 'maybe' }],
  ['2.29', { ...auto, host: 'h2', force: true }],
  ['2.30', { ...auto, host: 7 }],
  ['2.30', { ...auto, host: '' }],
  ['2.30', { ...auto, host: 'h 2' }],
  ['2.30', { ...auto, host: 'h2', force: 'perhaps' }],
  ['2.68', { ...auto, host: 'h2', force: true }],
])('at %s %j is refused', async (version, value) => {
  expect((await act(value, version)).status).toBe(400);
  expect(await migration()).toBeUndefined();
});

test('force needs a host', async () => {
  expect(words(await act({ ...auto, force: true }, '2.30'))).toEqual([
    400,
    "Can't force to a non-provided destination",
  ]);
});

test.each(['2.33', '2.79'])('at %s a host that is not there, or that it is on, is refused at once', async (version) => {
  expect(words(await act({ ...auto, host: 'h9' }, version))).toEqual([400, 'Compute host h9 could not be found.']);
  expect(words(await act({ ...auto, host: 'h1' }, version))).toEqual([
    400,
    `Unable to migrate instance (${id}) to current host (h1).`,
  ]);
});

test('until 2.33 it is answered that no host can take it, later its migration tells', async () => {
  await cloud.cloud.db.write((session) => session.update(hosts, { name: 'h2' }, { enabled: false }));
  const [status, message] = words(await act(auto, '2.33'));
  expect([status, message]).toEqual([400, expect.stringContaining('No valid host was found.')]);
  expect(message).not.toContain('h2');
  expect((await act(auto, '2.34')).status).toBe(202);
});

test('disks that are not shared can not be left where they are, and shared ones not be copied', async () => {
  const share = (host: string, name: string) =>
    cloud.cloud.db.write((session) =>
      session.update(agents, { host, role: 'storage' }, { inventory: { shared_disks: name } }),
    );
  expect(words(await act({ host: 'h2', block_migration: false }, '2.33'))[1]).toContain('shares no disks');
  await share('h1', 'nfs');
  await share('h2', 'other');
  expect(words(await act({ host: 'h2', block_migration: false }, '2.33'))[1]).toContain('shares no disks');
  await share('h2', 'nfs');
  expect(words(await act({ host: 'h2', block_migration: true }, '2.33'))[1]).toContain('has the same disks');
  expect((await act({ host: 'h2', block_migration: false }, '2.33')).status).toBe(202);
});

test.each<[Partial<Server>, string]>([
  [{ vm_state: 'stopped' }, 'vm_state stopped'],
  [{ vm_state: 'error' }, 'vm_state error'],
  [{ vm_state: 'resized' }, 'vm_state resized'],
  [{ task_state: 'rebooting' }, 'task_state rebooting'],
])('a server that is %j does not go', async (change, state) => {
  await set(change);
  expect(words(await act(auto))).toEqual([409, `Cannot 'os-migrateLive' instance ${id} while it is in ${state}`]);
});

test('a paused server goes, and so does a locked one for an administrator', async () => {
  await set({ vm_state: 'paused', locked: true, locked_by: 'owner' });
  expect((await act(auto)).status).toBe(202);
  expect((await ask('GET', '', '2.79')).body.server.status).toBe('MIGRATING');
});

test('the host of the server must be heard', async () => {
  await cloud.cloud.db.write((session) => session.update(agents, { host: 'h1', role: 'compute' }, { heard_at: 0 }));
  expect(words(await act(auto))).toEqual([409, 'Service is unavailable at this time.']);
});

test.each(['demo', 'other', 'reader'])('%s is no administrator', async (token) => {
  expect((await act(auto, '2.79', token)).status).toBe(403);
});

describe('a migration that is under way', () => {
  let number: number;
  beforeEach(async () => {
    await act(auto);
    number = (await migration())?.sequence ?? 0;
  });
  const always = [
    ...['created_at', 'dest_compute', 'dest_host', 'dest_node', 'disk_processed_bytes', 'disk_remaining_bytes'],
    ...['disk_total_bytes', 'id', 'memory_processed_bytes', 'memory_remaining_bytes', 'memory_total_bytes'],
    ...['server_uuid', 'source_compute', 'source_node', 'status', 'updated_at'],
  ];

  test.each([
    ['2.23', []],
    ['2.59', ['uuid']],
    ['2.80', ['uuid', 'user_id', 'project_id']],
  ])('has its keys at %s, in the list and alone', async (version, more) => {
    const progress = {
      ...{ memory_total_bytes: 4, memory_processed_bytes: 3, memory_remaining_bytes: 1 },
      ...{ disk_total_bytes: 7, disk_processed_bytes: 5, disk_remaining_bytes: 2 },
    };
    await mark({ status: 'running', dest_host: 'h2', progress });
    const [listed] = (await ask('GET', '/migrations', version)).body.migrations;
    expect(Object.keys(listed).sort()).toEqual([...always, ...more].sort());
    expect(listed).toMatchObject({
      ...progress,
      id: number,
      server_uuid: id,
      source_compute: 'h1',
      dest_compute: 'h2',
    });
    const shown = await ask('GET', `/migrations/${number}`, version);
    expect([shown.status, shown.body]).toEqual([200, { migration: listed }]);
  });

  test('is among all migrations, by its type', async () => {
    const headers = { 'x-openstack-nova-api-version': '2.79' };
    const path = '/compute/v2.1/os-migrations?migration_type=live-migration';
    const { migrations } = (await cloud.call('GET', path, { token: 'admin', headers })).body;
    expect(migrations).toMatchObject([{ id: number, migration_type: 'live-migration', instance_uuid: id }]);
  });

  test.each([
    ['2.24', 'running', 202],
    ['2.64', 'queued', 400],
    ['2.64', 'preparing', 400],
    ['2.64', 'post-migrating', 400],
    ['2.65', 'queued', 202],
    ['2.65', 'preparing', 202],
    ['2.65', 'running', 202],
    ['2.65', 'post-migrating', 400],
  ] as const)('at %s one that is %s is aborted with %i', async (version, status, expected) => {
    await mark({ status });
    const answer = await ask('DELETE', `/migrations/${number}`, version);
    expect(answer.status).toBe(expected);
    expect((await migration())?.wish).toBe(expected === 202 ? 'abort' : null);
    if (expected === 400) expect(words(answer)[1]).toContain(`is ${status}. Cannot abort live migration`);
  });

  test.each([
    ['running', 202],
    ['queued', 400],
    ['preparing', 400],
    ['post-migrating', 400],
  ] as const)('one that is %s is forced to its end with %i', async (status, expected) => {
    await mark({ status });
    const answer = await ask('POST', `/migrations/${number}/action`, '2.22', { force_complete: null });
    expect(answer.status).toBe(expected);
    expect((await migration())?.wish).toBe(expected === 202 ? 'force' : null);
  });

  test.each([{}, { force_complete: {} }, { force_complete: null, more: 1 }, null])('%j is no action', async (body) => {
    await mark({ status: 'running' });
    expect((await ask('POST', `/migrations/${number}/action`, '2.22', body)).status).toBe(400);
  });

  test('is not there before its microversion', async () => {
    expect((await ask('GET', '/migrations', '2.22')).status).toBe(404);
    expect((await ask('DELETE', `/migrations/${number}`, '2.23')).status).toBe(404);
    const body = { force_complete: null };
    expect((await ask('POST', `/migrations/${number}/action`, '2.21', body)).status).toBe(404);
  });

  test('another number, one that has ended and one of another kind are told apart in words', async () => {
    const of = (tail: string) => [404, expect.stringContaining(tail)];
    expect(words(await ask('GET', '/migrations/999', '2.23'))).toEqual(of(`is not found for server ${id}`));
    expect((await ask('GET', '/migrations/none', '2.23')).status).toBe(404);
    expect((await ask('DELETE', '/migrations/999', '2.24')).status).toBe(404);
    await mark({ open: null, status: 'completed' });
    expect(words(await ask('GET', `/migrations/${number}`, '2.23'))).toEqual(of('is not in progress'));
    expect((await ask('GET', '/migrations', '2.23')).body).toEqual({ migrations: [] });
    await mark({ type: 'resize' });
    expect(words(await ask('GET', `/migrations/${number}`, '2.23'))).toEqual(of('is not live-migration'));
  });

  test('of a server that is not migrating there is nothing to end', async () => {
    await set({ task_state: null });
    expect(words(await ask('DELETE', `/migrations/${number}`, '2.24'))).toEqual([
      409,
      `Cannot 'abort live migration' instance ${id} while it is in task_state None`,
    ]);
  });

  test.each([
    ['demo', 403],
    ['reader', 403],
    ['other', 404],
  ])('%s neither sees nor ends it: %i', async (token, status) => {
    const path = `/migrations/${number}`;
    expect((await ask('GET', path, '2.65', undefined, token)).status).toBe(status);
    expect((await ask('DELETE', path, '2.65', undefined, token)).status).toBe(status);
    const body = { force_complete: null };
    expect((await ask('POST', `${path}/action`, '2.65', body, token)).status).toBe(status);
    expect((await migration())?.wish).toBeNull();
  });
});
