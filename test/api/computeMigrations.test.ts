// The list of resizes and migrations: its keys by microversion, filters, pages, and who may see it.
import { randomUUID } from 'node:crypto';
import { serverMigrations, type ServerMigration } from '../../controller/src/db/entities/compute';
import { makeFlavor, makeHost, makeImage, settle } from '../support/computeFixtures';
import { startTestCloud, type TestCloud } from '../support/testCloud';

let cloud: TestCloud;
let server: string;
const rows: ServerMigration[] = [];
const flavor = (id: string) => ({
  ...{ id, name: id, vcpus: 1, ram: 1, disk: 1, ephemeral: 0, swap: 0, rxtx_factor: 1, extra_specs: {} },
});
const TIME = Date.UTC(2030, 0, 1);

beforeAll(async () => {
  cloud = await startTestCloud();
  await makeHost(cloud, 'h1');
  await makeFlavor(cloud, 'small');
  const body = { server: { name: 'hello', flavorRef: 'small', imageRef: await makeImage(cloud), networks: 'none' } };
  const headers = { 'x-openstack-nova-api-version': '2.37' };
  server = (await cloud.call('POST', '/compute/v2.1/servers', { body, headers })).body.server.id;
  await settle(cloud, server, { host: 'h1' });
  const changes: Partial<ServerMigration>[] = [
    { type: 'resize', status: 'confirmed', dest_host: 'h1' },
    { dest_host: 'h2', server_id: server, user_id: 'admin-user' },
    { source_host: 'h2', dest_host: 'h3', project_id: 'other-project' },
  ];
  for (const [at, change] of changes.entries()) {
    const row = {
      ...{ uuid: randomUUID(), server_id: randomUUID(), project_id: 'demo-project', user_id: 'demo-user' },
      ...{ type: 'migration' as const, status: 'reverted' as const, open: null, source_host: 'h1', dest_host: null },
      ...{ old_flavor: flavor('small'), new_flavor: flavor('large'), old_revision: 1, new_revision: 2 },
      ...{ shared_disk: false, wish: null, progress: null },
      ...{ vm_state: 'active' as const, created_at: TIME, updated_at: TIME + at * 60_000 },
      ...change,
    };
    await cloud.cloud.db.write((session) => session.insert(serverMigrations, row));
    rows.push({ ...row, sequence: at + 1 });
  }
});
afterAll(() => cloud.stop());

const get = (path: string, version = '2.80', token = 'admin') =>
  cloud.call('GET', `/compute/v2.1${path}`, { token, headers: { 'x-openstack-nova-api-version': version } });
/** Which rows come, by their number from 1. */
const ids = async (query: string, version = '2.80') =>
  (await get(`/os-migrations${query}`, version)).body.migrations.map(({ id }: { id: number }) => id);

const always = [
  ...['created_at', 'dest_compute', 'dest_host', 'dest_node', 'id', 'instance_uuid', 'new_instance_type_id'],
  ...['old_instance_type_id', 'source_compute', 'source_node', 'status', 'updated_at'],
];
test.each([
  ['2.1', []],
  ['2.23', ['migration_type']],
  ['2.59', ['migration_type', 'uuid']],
  ['2.80', ['migration_type', 'project_id', 'user_id', 'uuid']],
])('at %s a migration has the keys of that version', async (version, more) => {
  const { migrations } = (await get('/os-migrations', version)).body;
  expect(migrations).toHaveLength(3);
  for (const one of migrations) expect(Object.keys(one).sort()).toEqual([...always, ...more].sort());
});

test('shows what moved where, and different flavors as different numbers', async () => {
  const { migrations } = (await get('/os-migrations?status=confirmed')).body;
  expect(migrations).toEqual([
    {
      ...{
        id: 1,
        uuid: rows[0]?.uuid,
        instance_uuid: rows[0]?.server_id,
        migration_type: 'resize',
        status: 'confirmed',
      },
      ...{ source_compute: 'h1', source_node: 'h1', dest_compute: 'h1', dest_node: 'h1', dest_host: null },
      ...{ old_instance_type_id: expect.any(Number), new_instance_type_id: expect.any(Number) },
      ...{ created_at: '2030-01-01T00:00:00.000000', updated_at: '2030-01-01T00:00:00.000000' },
      ...{ user_id: 'demo-user', project_id: 'demo-project' },
    },
  ]);
  expect(migrations[0].old_instance_type_id).not.toBe(migrations[0].new_instance_type_id);
});

test.each([
  ['', [3, 2, 1]],
  ['?host=h2', [3, 2]],
  ['?source_compute=h1', [2, 1]],
  ['?migration_type=resize', [1]],
  ['?status=nothing', []],
  ['?user_id=admin-user', [2]],
  ['?project_id=other-project', [3]],
  ['?changes-since=2030-01-01T00:01:00Z', [3, 2]],
  ['?changes-before=2030-01-01T00:01:00Z', [2, 1]],
  ['?changes-since=2030-01-01T00:01:00Z&changes-before=2030-01-01T00:01:00Z', [2]],
  ['?hidden=false', [3, 2, 1]],
])('the filter "%s"', async (query, expected) => {
  expect(await ids(query)).toEqual(expected);
});

test('of one server', async () => expect(await ids(`?instance_uuid=${server}`)).toEqual([2]));

test('pages come newest first, with a link to the next; before 2.59 there is one page', async () => {
  const first = (await get('/os-migrations?limit=2&host=h1')).body;
  expect(first.migrations.map(({ id }: { id: number }) => id)).toEqual([2, 1]);
  const [{ rel, href }] = first.migrations_links;
  expect([rel, new URL(href).search]).toEqual(['next', `?limit=2&host=h1&marker=${rows[0]?.uuid}`]);
  expect(await ids(`?limit=1&marker=${rows[2]?.uuid}`)).toEqual([2]);
  expect(await ids('?limit=1&user_id=nobody', '2.58')).toEqual([1, 2, 3]);
});

test.each([
  ['?limit=-1', '2.59'],
  ['?marker=00000000-0000-0000-0000-000000000000', '2.59'],
  ['?changes-since=yesterday', '2.59'],
  ['?changes-before=2030-01-01T00:00:00Z', '2.65'],
  ['?changes-since=2030-01-02T00:00:00Z&changes-before=2030-01-01T00:00:00Z', '2.66'],
  ['?user_id=x', '2.79'],
  ['?colour=red', '2.59'],
])('%s at %s is a bad request', async (query, version) => {
  expect((await get(`/os-migrations${query}`, version)).status).toBe(400);
});

test('only administrators see them', async () => {
  expect((await get('/os-migrations', '2.80', 'demo')).status).toBe(403);
  expect((await get(`/servers/${server}/migrations`, '2.80', 'demo')).status).toBe(403);
});

test('no live migration of a server is in progress', async () => {
  expect((await get(`/servers/${server}/migrations`, '2.23')).body).toEqual({ migrations: [] });
  expect((await get(`/servers/${server}/migrations`, '2.22')).status).toBe(404);
  const none = await get(`/servers/${server}/migrations/1`);
  expect([none.status, none.body.itemNotFound.message]).toEqual([
    404,
    `In-progress live migration 1 is not found for server ${server}.`,
  ]);
  expect((await get(`/servers/${randomUUID()}/migrations`)).status).toBe(404);
});
