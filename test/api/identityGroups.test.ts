// Groups: their attributes, who is in them, and that membership gives and takes roles at once.
import { startIdentity, type IdentityCloud, type Person } from '../support/identity';

let cloud: IdentityCloud;
beforeAll(async () => void (cloud = await startIdentity()));
afterAll(() => cloud.stop());

const group = async (name: string, fields = {}): Promise<string> =>
  (await cloud.must(201, 'POST', '/groups', { group: { name, ...fields } })).group.id;

test('a group has every attribute, its link and whatever else it was given', async () => {
  const made = (await cloud.must(201, 'POST', '/groups', { group: { name: 'whole', room: 7 } })).group;
  expect(made).toEqual({
    id: expect.stringMatching(/^[0-9a-f]{32}$/),
    name: 'whole',
    domain_id: 'default',
    description: '',
    room: 7,
    links: { self: `${cloud.test.url}/identity/v3/groups/${made.id}` },
  });
  expect((await cloud.must(200, 'GET', `/groups/${made.id}`)).group).toEqual(made);
  const changed = await cloud.must(200, 'PATCH', `/groups/${made.id}`, { group: { name: 'part', description: 'd' } });
  expect(changed.group).toEqual({ ...made, name: 'part', description: 'd' });
  await cloud.must(204, 'DELETE', `/groups/${made.id}`);
  await cloud.must(404, 'GET', `/groups/${made.id}`);
});

test('bad bodies are 400 and taken names 409', async () => {
  for (const body of [
    {},
    { name: '' },
    { name: 'x'.repeat(65) },
    { name: 3 },
    { name: 'a', description: 4 },
    { name: 'a', domain_id: 'nowhere' },
  ])
    await cloud.must(400, 'POST', '/groups', { group: body });
  const id = await group('taken');
  const other = await group('free');
  await cloud.must(409, 'POST', '/groups', { group: { name: 'taken' } });
  await cloud.must(409, 'PATCH', `/groups/${other}`, { group: { name: 'taken' } });
  await cloud.must(400, 'PATCH', `/groups/${id}`, { group: { domain_id: 'elsewhere' } });
  await cloud.must(400, 'PATCH', `/groups/${id}`, { group: {} });
});

test('lists filter by name and domain', async () => {
  const domain = await cloud.domain('halls');
  await group('north', { domain_id: domain });
  await group('south', { domain_id: domain });
  const list = async (query: string) =>
    (await cloud.must(200, 'GET', `/groups?domain_id=${domain}&${query}`)).groups.map((one: Person) => one.name).sort();
  expect(await list('')).toEqual(['north', 'south']);
  expect(await list('name=south')).toEqual(['south']);
  expect(await list('name__contains=nort')).toEqual(['north']);
});

test('members are added, checked, listed and removed', async () => {
  const id = await group('club');
  const ann = await cloud.person('ann');
  const ben = await cloud.person('ben', { enabled: false });
  const path = `/groups/${id}/users`;
  await cloud.must(404, 'HEAD', `${path}/${ann.id}`);
  await cloud.must(204, 'PUT', `${path}/${ann.id}`);
  await cloud.must(204, 'PUT', `${path}/${ann.id}`);
  await cloud.must(204, 'PUT', `${path}/${ben.id}`);
  await cloud.must(204, 'HEAD', `${path}/${ann.id}`);
  const ids = async (query = '') =>
    (await cloud.must(200, 'GET', path + query)).users.map((one: Person) => one.id).sort();
  expect(await ids()).toEqual([ann.id, ben.id].sort());
  expect(await ids('?enabled=true')).toEqual([ann.id]);
  await cloud.must(204, 'DELETE', `${path}/${ann.id}`);
  await cloud.must(404, 'DELETE', `${path}/${ann.id}`);
  await cloud.must(404, 'PUT', `${path}/nobody`);
  await cloud.must(404, 'PUT', `/groups/nothing/users/${ann.id}`);
});

test('membership gives the roles of the group, and its end takes them at once', async () => {
  const id = await group('crew');
  const project = await cloud.project('ship');
  const sailor = await cloud.person('sailor');
  await cloud.grant('member', `projects/${project}`, `groups/${id}`);
  const scope = { project: { id: project } };
  const status = async () => (await cloud.login({ id: sailor.id }, sailor.password, scope)).status;
  expect(await status()).toBe(401);
  await cloud.must(204, 'PUT', `/groups/${id}/users/${sailor.id}`);
  const token = await cloud.token(sailor, scope);
  await cloud.must(204, 'DELETE', `/groups/${id}/users/${sailor.id}`);
  expect(await cloud.validity(token)).toBe(404);
  await cloud.must(204, 'PUT', `/groups/${id}/users/${sailor.id}`);
  expect(await cloud.validity(token)).toBe(200);
  await cloud.must(204, 'DELETE', `/groups/${id}`);
  expect(await cloud.validity(token)).toBe(404);
  expect(await status()).toBe(401);
});
