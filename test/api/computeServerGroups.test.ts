// Server groups: bodies at each microversion, quotas, tenants, and servers that name one.
import { makeFlavor, makeImage, makeNetwork, settle, withoutQuota } from '../support/computeFixtures';
import { startTestCloud, type Answer, type TestCloud } from '../support/testCloud';

let cloud: TestCloud;
let image: string;
beforeAll(async () => {
  cloud = await startTestCloud();
  image = await makeImage(cloud);
  await makeNetwork(cloud, 'demo');
  await makeFlavor(cloud, 'small');
  await withoutQuota(cloud);
});
afterAll(() => cloud.stop());

const call = (method: string, path: string, body?: unknown, version = '2.1', token = 'demo'): Promise<Answer> =>
  cloud.call(method, `/compute/v2.1${path}`, {
    token,
    headers: { 'x-openstack-nova-api-version': version },
    ...(body === undefined ? {} : { body }),
  });
const make = async (policy = 'affinity', version = '2.15', token = 'demo'): Promise<string> =>
  (await call('POST', '/os-server-groups', { server_group: { name: 'g', policies: [policy] } }, version, token)).body
    .server_group.id;
const server = (hints: object, more: object = {}) => ({
  server: { name: 's', flavorRef: 'small', imageRef: image, ...more },
  'os:scheduler_hints': hints,
});

test('show a list of one policy until 2.63, and a policy with rules from 2.64', async () => {
  const old = await call('POST', '/os-server-groups', { server_group: { name: 'g', policies: ['affinity'] } });
  expect(old.status).toBe(200);
  const { id } = old.body.server_group;
  expect(old.body).toEqual({ server_group: { id, name: 'g', policies: ['affinity'], members: [], metadata: {} } });
  expect((await call('GET', `/os-server-groups/${id}`, undefined, '2.13')).body.server_group).toEqual({
    ...old.body.server_group,
    project_id: 'demo-project',
    user_id: 'demo-user',
  });
  const body = { server_group: { name: 'new', policy: 'anti-affinity', rules: { max_server_per_host: '3' } } };
  const made = (await call('POST', '/os-server-groups', body, '2.64')).body.server_group;
  expect(made).toEqual({
    id: made.id,
    name: 'new',
    policy: 'anti-affinity',
    rules: { max_server_per_host: 3 },
    members: [],
    project_id: 'demo-project',
    user_id: 'demo-user',
  });
  expect((await call('GET', `/os-server-groups/${id}`, undefined, '2.64')).body.server_group).toMatchObject({
    policy: 'affinity',
    rules: {},
  });
  const gone = await call('DELETE', `/os-server-groups/${id}`);
  expect([gone.status, gone.body]).toEqual([204, '']);
});

test('are listed in pages, one project at a time, all for administrators who ask', async () => {
  const foreign = await make('affinity', '2.15', 'other');
  const ids = async (query: string, token = 'demo') =>
    (await call('GET', `/os-server-groups${query}`, undefined, '2.1', token)).body.server_groups.map(
      (group: { id: string }) => group.id,
    );
  const own: string[] = await ids('');
  expect(own).not.toContain(foreign);
  expect(await ids('?limit=1')).toEqual(own.slice(0, 1));
  expect(await ids('?limit=1&offset=1')).toEqual(own.slice(1, 2));
  expect(await ids('?all_projects=1')).toEqual(own);
  expect(await ids('', 'admin')).toEqual([]);
  expect(await ids('', 'system')).toEqual([]);
  expect(await ids('?all_projects', 'admin')).toEqual(expect.arrayContaining([foreign, ...own]));
  expect((await call('GET', '/os-server-groups?limit=-1')).status).toBe(400);
  expect((await call('GET', '/os-server-groups?colour=red', undefined, '2.75')).status).toBe(400);
});

test('refuse what is wrong', async () => {
  for (const [version, group] of [
    ['2.1', { name: 'g' }],
    ['2.1', { name: '', policies: ['affinity'] }],
    ['2.1', { name: 'g', policies: [] }],
    ['2.1', { name: 'g', policies: ['affinity', 'anti-affinity'] }],
    ['2.14', { name: 'g', policies: ['soft-affinity'] }],
    ['2.15', { name: 'g', policies: ['odd'] }],
    ['2.15', { name: 'g', policies: ['affinity'], colour: 'red' }],
    ['2.64', { name: 'g', policies: ['affinity'] }],
    ['2.64', { name: 'g', policy: 'affinity', rules: { max_server_per_host: 2 } }],
    ['2.64', { name: 'g', policy: 'anti-affinity', rules: { max_server_per_host: 0 } }],
    ['2.64', { name: 'g', policy: 'anti-affinity', rules: { colour: 'red' } }],
  ] as const)
    expect([group, (await call('POST', '/os-server-groups', { server_group: group }, version)).status]).toEqual([
      group,
      400,
    ]);
  for (const id of ['none', '00000000-0000-0000-0000-000000000000'])
    expect((await call('GET', `/os-server-groups/${id}`)).status).toBe(404);
  expect((await call('DELETE', '/os-server-groups/none')).status).toBe(404);
});

test('of another project do not exist, and readers only read', async () => {
  const id = await make();
  expect((await call('GET', `/os-server-groups/${id}`, undefined, '2.1', 'other')).status).toBe(404);
  expect((await call('DELETE', `/os-server-groups/${id}`, undefined, '2.1', 'other')).status).toBe(404);
  expect((await call('POST', '/servers', server({ group: id }), '2.1', 'other')).status).toBe(400);
  expect((await call('GET', `/os-server-groups/${id}`, undefined, '2.1', 'reader')).status).toBe(200);
  expect((await call('DELETE', `/os-server-groups/${id}`, undefined, '2.1', 'reader')).status).toBe(403);
  const body = { server_group: { name: 'g', policies: ['affinity'] } };
  expect((await call('POST', '/os-server-groups', body, '2.1', 'reader')).status).toBe(403);
  expect((await call('GET', `/os-server-groups/${id}`, undefined, '2.1', 'admin')).status).toBe(200);
});

test('have the servers that name them, until these or the group are gone', async () => {
  const id = await make('anti-affinity');
  const made = (await call('POST', '/servers', server({ group: id }))).body.server.id;
  await settle(cloud, made);
  expect((await call('GET', `/os-server-groups/${id}`)).body.server_group.members).toEqual([made]);
  const show = async () => (await call('GET', `/servers/${made}`, undefined, '2.71')).body.server.server_groups;
  expect(await show()).toEqual([id]);
  expect((await call('DELETE', `/os-server-groups/${id}`)).status).toBe(204);
  expect(await show()).toEqual([]);
  for (const hints of [{ group: 'none' }, { group: id }, { same_host: 'x' }, { different_host: [] }])
    expect([hints, (await call('POST', '/servers', server(hints))).status]).toEqual([hints, 400]);
});

test('and their members are limited by quota', async () => {
  const set = (quota_set: object) => call('PUT', '/os-quota-sets/other-project', { quota_set }, '2.1', 'admin');
  await set({ server_groups: 1 });
  const body = { server_group: { name: 'g', policies: ['affinity'] } };
  const refused = await call('POST', '/os-server-groups', body, '2.1', 'other');
  expect([refused.status, refused.body.forbidden.message]).toEqual([403, 'Quota exceeded, too many server groups.']);
  const id = await make();
  await call('PUT', '/os-quota-sets/demo-project', { quota_set: { server_group_members: 2 } }, '2.1', 'admin');
  const crowd = await call('POST', '/servers', server({ group: id }, { min_count: 3 }));
  expect([crowd.status, crowd.body.forbidden.message]).toEqual([403, 'Quota exceeded, too many servers in group']);
  expect((await call('POST', '/servers', server({ group: id }, { min_count: 2 }))).status).toBe(202);
  expect((await call('POST', '/servers', server({ group: id }))).status).toBe(403);
});
