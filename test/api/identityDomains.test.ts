// Domains: what they hold, and what happens to it when they are disabled or deleted.
import { startIdentity, type IdentityCloud } from '../support/identity';

let cloud: IdentityCloud;
beforeAll(async () => void (cloud = await startIdentity()));
afterAll(() => cloud.stop());

test('a domain has every attribute, its link, and whatever else it was given', async () => {
  const { domain } = await cloud.must(201, 'POST', '/domains', { domain: { name: 'whole', motto: 'on' } });
  expect(domain).toEqual({
    id: expect.stringMatching(/^[0-9a-f]{32}$/),
    name: 'whole',
    description: '',
    enabled: true,
    tags: [],
    options: {},
    motto: 'on',
    links: { self: `${cloud.test.url}/identity/v3/domains/${domain.id}` },
  });
  expect((await cloud.must(200, 'GET', `/domains/${domain.id}`)).domain).toEqual(domain);
  const changed = await cloud.must(200, 'PATCH', `/domains/${domain.id}`, {
    domain: { description: 'd', name: 'part' },
  });
  expect(changed.domain).toEqual({ ...domain, description: 'd', name: 'part' });
});

test('a description that is taken back is empty', async () => {
  const id = await cloud.domain('plain');
  expect((await cloud.must(200, 'PATCH', `/domains/${id}`, { domain: { description: null } })).domain.description).toBe(
    '',
  );
  expect(
    (await cloud.must(200, 'PATCH', `/projects/${id}`, { project: { description: null } })).project.description,
  ).toBe('');
});

test('an id may be chosen, and bad bodies are 400, taken names 409', async () => {
  const id = 'a'.repeat(32);
  expect(
    (await cloud.must(201, 'POST', '/domains', { domain: { name: 'chosen', explicit_domain_id: id } })).domain.id,
  ).toBe(id);
  await cloud.must(409, 'POST', '/domains', { domain: { name: 'chosen-again', explicit_domain_id: id } });
  await cloud.must(409, 'POST', '/domains', { domain: { name: 'chosen' } });
  for (const domain of [
    {},
    { name: '' },
    { name: 1 },
    { name: 'a', enabled: 1 },
    { name: 'a', explicit_domain_id: 'no' },
  ])
    await cloud.must(400, 'POST', '/domains', { domain });
  await cloud.must(400, 'PATCH', `/domains/${id}`, { domain: {} });
  await cloud.must(400, 'PATCH', `/domains/${id}`, { domain: { id: 'other' } });
});

test('lists filter by name and state', async () => {
  const id = await cloud.domain('quiet');
  await cloud.must(200, 'PATCH', `/domains/${id}`, { domain: { enabled: false } });
  const list = async (query: string) =>
    (await cloud.must(200, 'GET', `/domains?${query}`)).domains.map((one: { name: string }) => one.name);
  expect(await list('enabled=false')).toEqual(['quiet']);
  expect(await list('name=Default')).toEqual(['Default']);
  expect(await list('name__startswith=qui')).toEqual(['quiet']);
});

test('a project is not a domain', async () => {
  const id = await cloud.project('no-domain');
  await cloud.must(404, 'GET', `/domains/${id}`);
  await cloud.must(404, 'PATCH', `/domains/${id}`, { domain: { name: 'x' } });
  await cloud.must(404, 'DELETE', `/domains/${id}`);
});

/** A domain with a user, a group, a project, a role, and grants across them. */
async function settled(name: string) {
  const id = await cloud.domain(name);
  const user = await cloud.person(`${name}-user`, { domain_id: id });
  const project = await cloud.project(`${name}-project`, { domain_id: id });
  const child = await cloud.project(`${name}-child`, { domain_id: id, parent_id: project });
  const group = (await cloud.must(201, 'POST', '/groups', { group: { name: `${name}-group`, domain_id: id } })).group
    .id;
  const role = (await cloud.must(201, 'POST', '/roles', { role: { name: `${name}-role`, domain_id: id } })).role.id;
  await cloud.must(204, 'PUT', `/groups/${group}/users/${user.id}`);
  await cloud.grant('member', `projects/${project}`, `users/${user.id}`);
  await cloud.grant('reader', `domains/${id}`, `users/${user.id}`);
  return { id, user, project, child, group, role };
}

test('disabling a domain ends the tokens of its users and projects; enabling brings none back', async () => {
  const made = await settled('dusk');
  const guest = await cloud.person('guest');
  await cloud.grant('member', `projects/${made.project}`, `users/${guest.id}`);
  const home = await cloud.project('home');
  await cloud.grant('member', `projects/${home}`, `users/${made.user.id}`);
  const tokens = [
    await cloud.token(made.user, { project: { id: made.project } }),
    await cloud.token(made.user, { domain: { id: made.id } }),
    await cloud.token(made.user, { project: { id: home } }),
    await cloud.token(made.user),
    await cloud.token(guest, { project: { id: made.project } }),
  ];
  const survivor = await cloud.token(guest);
  await cloud.must(200, 'PATCH', `/domains/${made.id}`, { domain: { enabled: false } });
  for (const token of tokens) expect(await cloud.validity(token)).toBe(404);
  expect(await cloud.validity(survivor)).toBe(200);
  expect((await cloud.login({ id: made.user.id }, made.user.password)).status).toBe(401);
  expect((await cloud.login({ id: guest.id }, guest.password, { project: { id: made.project } })).status).toBe(401);
  await cloud.must(200, 'PATCH', `/domains/${made.id}`, { domain: { enabled: true } });
  for (const token of tokens) expect(await cloud.validity(token)).toBe(404);
  expect(await cloud.validity(await cloud.token(made.user, { project: { id: made.project } }))).toBe(200);
});

test('an enabled domain is not deleted; a disabled one goes with everything in it', async () => {
  const made = await settled('night');
  const refused = await cloud.call('DELETE', `/domains/${made.id}`);
  expect([refused.status, refused.body.error.title]).toEqual([403, 'Forbidden']);
  await cloud.must(200, 'PATCH', `/domains/${made.id}`, { domain: { enabled: false } });
  await cloud.must(204, 'DELETE', `/domains/${made.id}`);
  await cloud.must(404, 'GET', `/domains/${made.id}`);
  await cloud.must(404, 'GET', `/users/${made.user.id}`);
  await cloud.must(404, 'GET', `/groups/${made.group}`);
  await cloud.must(404, 'GET', `/projects/${made.project}`);
  await cloud.must(404, 'GET', `/projects/${made.child}`);
  await cloud.must(404, 'GET', `/roles/${made.role}`);
  const left = (await cloud.must(200, 'GET', '/role_assignments')).role_assignments;
  expect(JSON.stringify(left)).not.toContain(made.user.id);
});

test('an immutable domain stays', async () => {
  const id = await cloud.domain('granite');
  await cloud.must(200, 'PATCH', `/domains/${id}`, { domain: { enabled: false, options: { immutable: true } } });
  await cloud.must(403, 'DELETE', `/domains/${id}`);
});
