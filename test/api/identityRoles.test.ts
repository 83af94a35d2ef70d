// Roles, what they imply, grants on every kind of target, and the list of assignments.
import { startIdentity, type IdentityCloud, type Person } from '../support/identity';

let cloud: IdentityCloud;
beforeAll(async () => void (cloud = await startIdentity()));
afterAll(() => cloud.stop());

const role = async (name: string, fields = {}): Promise<string> =>
  (await cloud.must(201, 'POST', '/roles', { role: { name, ...fields } })).role.id;
const group = async (name: string): Promise<string> =>
  (await cloud.must(201, 'POST', '/groups', { group: { name } })).group.id;
const listed = async (query: string) => (await cloud.must(200, 'GET', `/role_assignments?${query}`)).role_assignments;

test('a role has every attribute, its link and whatever else it was given', async () => {
  const made = (await cloud.must(201, 'POST', '/roles', { role: { name: 'whole', level: 3 } })).role;
  expect(made).toEqual({
    id: expect.stringMatching(/^[0-9a-f]{32}$/),
    name: 'whole',
    domain_id: null,
    description: null,
    options: {},
    level: 3,
    links: { self: `${cloud.test.url}/identity/v3/roles/${made.id}` },
  });
  expect((await cloud.must(200, 'GET', `/roles/${made.id}`)).role).toEqual(made);
  const changed = await cloud.must(200, 'PATCH', `/roles/${made.id}`, { role: { name: 'part', description: 'd' } });
  expect(changed.role).toEqual({ ...made, name: 'part', description: 'd' });
  await cloud.must(204, 'DELETE', `/roles/${made.id}`);
  await cloud.must(404, 'GET', `/roles/${made.id}`);
});

test('bad bodies are 400, taken names 409, immutable roles stay', async () => {
  for (const body of [
    {},
    { name: '' },
    { name: 1 },
    { name: 'a', domain_id: 'nowhere' },
    { name: 'a', options: { x: 1 } },
  ])
    await cloud.must(400, 'POST', '/roles', { role: body });
  await cloud.must(409, 'POST', '/roles', { role: { name: 'member' } });
  const id = await role('rock', { options: { immutable: true } });
  await cloud.must(409, 'PATCH', `/roles/${await role('sand')}`, { role: { name: 'rock' } });
  await cloud.must(403, 'PATCH', `/roles/${id}`, { role: { name: 'dust' } });
  await cloud.must(403, 'DELETE', `/roles/${id}`);
  await cloud.must(400, 'PATCH', `/roles/${id}`, { role: { domain_id: 'default' } });
});

test('the roles that every cloud has cannot be lost by accident', async () => {
  for (const name of ['admin', 'member', 'reader']) {
    await cloud.must(403, 'DELETE', `/roles/${cloud.roles[name]}`);
    await cloud.must(403, 'PATCH', `/roles/${cloud.roles[name]}`, { role: { name: 'other' } });
  }
});

test('roles of a domain are listed with it, those of the cloud without', async () => {
  const domain = await cloud.domain('guild');
  const own = await role('master', { domain_id: domain });
  await role('master');
  const names = async (query: string) =>
    (await cloud.must(200, 'GET', `/roles?${query}`)).roles.map((one: Person) => one.id);
  expect(await names(`domain_id=${domain}`)).toEqual([own]);
  expect(await names('name=master')).not.toContain(own);
  expect((await cloud.must(200, 'GET', `/roles/${own}`)).role.domain_id).toBe(domain);
  await cloud.must(200, 'PATCH', `/roles/${own}`, { role: { description: 'd' } });
  await cloud.must(204, 'DELETE', `/roles/${own}`);
});

test('a role implies others: create, show, check, list, remove', async () => {
  const [upper, lower] = [await role('upper'), await role('lower')];
  const path = `/roles/${upper}/implies`;
  const ref = (id: string, name: string) => ({
    id,
    name,
    links: { self: `${cloud.test.url}/identity/v3/roles/${id}` },
  });
  await cloud.must(404, 'GET', `${path}/${lower}`);
  const made = await cloud.must(201, 'PUT', `${path}/${lower}`);
  expect(made).toEqual({
    role_inference: { prior_role: ref(upper, 'upper'), implies: ref(lower, 'lower') },
    links: { self: `${cloud.test.url}/identity/v3${path}/${lower}` },
  });
  await cloud.must(201, 'PUT', `${path}/${lower}`);
  expect(await cloud.must(200, 'GET', `${path}/${lower}`)).toEqual(made);
  await cloud.must(204, 'HEAD', `${path}/${lower}`);
  expect((await cloud.must(200, 'GET', path)).role_inference).toEqual({
    prior_role: ref(upper, 'upper'),
    implies: [ref(lower, 'lower')],
  });
  const rules = (await cloud.must(200, 'GET', '/role_inferences')).role_inferences;
  expect(rules).toContainEqual({ prior_role: ref(upper, 'upper'), implies: [ref(lower, 'lower')] });
  await cloud.must(403, 'PUT', `/roles/${lower}/implies/${upper}`);
  await cloud.must(403, 'PUT', `${path}/${upper}`);
  await cloud.must(403, 'PUT', `${path}/${cloud.roles['admin']}`);
  await cloud.must(403, 'PUT', `${path}/${await role('local', { domain_id: 'default' })}`);
  await cloud.must(404, 'PUT', `${path}/nothing`);
  await cloud.must(404, 'PUT', `/roles/nothing/implies/${lower}`);
  await cloud.must(404, 'GET', '/roles/nothing/implies');
  await cloud.must(204, 'DELETE', `${path}/${lower}`);
  await cloud.must(404, 'DELETE', `${path}/${lower}`);
});

test('what a role implies takes effect in tokens, also through a role of a domain, which itself does not show', async () => {
  const [local, given] = [await role('team-lead', { domain_id: 'default' }), await role('deployer')];
  const ann = await cloud.person('ann');
  const project = await cloud.project('farm');
  await cloud.grant(local, `projects/${project}`, `users/${ann.id}`);
  const scope = { project: { id: project } };
  expect((await cloud.login({ id: ann.id }, ann.password, scope)).status).toBe(401);
  await cloud.must(201, 'PUT', `/roles/${local}/implies/${given}`);
  const token = await cloud.token(ann, scope);
  const shown = await cloud.call('GET', '/auth/tokens', undefined, cloud.admin, { 'x-subject-token': token });
  expect(shown.body.token.roles).toEqual([{ id: given, name: 'deployer' }]);
  await cloud.must(204, 'DELETE', `/roles/${local}/implies/${given}`);
  expect(await cloud.validity(token)).toBe(404);
});

test('deleting a role takes it from everybody', async () => {
  const id = await role('brief');
  const ben = await cloud.person('ben');
  const project = await cloud.project('moment');
  await cloud.grant(id, `projects/${project}`, `users/${ben.id}`);
  const token = await cloud.token(ben, { project: { id: project } });
  await cloud.must(204, 'DELETE', `/roles/${id}`);
  expect(await cloud.validity(token)).toBe(404);
  expect(await listed(`user.id=${ben.id}`)).toEqual([]);
});

describe.each(['users', 'groups'])('grants of %s', (actors) => {
  let actor: string;
  let project: string;
  let domain: string;
  let member: string;
  beforeAll(async () => {
    actor = actors === 'users' ? (await cloud.person('granted')).id : await group('granted');
    project = await cloud.project(`granted-${actors}`);
    domain = await cloud.domain(`granted-${actors}`);
    member = cloud.roles['member'] ?? '';
  });

  test.each([
    ['a project', () => `/projects/${project}`, '', ''],
    ['a domain', () => `/domains/${domain}`, '', ''],
    ['the system', () => '/system', '', ''],
    ['the projects below a project', () => `/projects/${project}`, '/OS-INHERIT', '/inherited_to_projects'],
    ['the projects of a domain', () => `/domains/${domain}`, '/OS-INHERIT', '/inherited_to_projects'],
  ])('on %s: put, check, list, delete', async (_what, target, prefix, suffix) => {
    const path = `${prefix}${target()}/${actors}/${actor}/roles`;
    await cloud.must(404, 'HEAD', `${path}/${member}${suffix}`);
    await cloud.must(204, 'PUT', `${path}/${member}${suffix}`);
    await cloud.must(204, 'PUT', `${path}/${member}${suffix}`);
    await cloud.must(204, 'HEAD', `${path}/${member}${suffix}`);
    await cloud.must(204, 'GET', `${path}/${member}${suffix}`);
    const { roles, links } = await cloud.must(200, 'GET', path + suffix);
    expect(roles.map((one: Person) => one.name)).toEqual(['member']);
    expect(links).toEqual({ self: `${cloud.test.url}/identity/v3${path}${suffix}`, previous: null, next: null });
    await cloud.must(204, 'DELETE', `${path}/${member}${suffix}`);
    await cloud.must(404, 'DELETE', `${path}/${member}${suffix}`);
    await cloud.must(404, 'PUT', `${path}/nothing${suffix}`);
    await cloud.must(404, 'PUT', `${path.replace(actor, 'nobody')}/${member}${suffix}`);
  });

  test('a target that does not exist is 404, and a project is no domain', async () => {
    await cloud.must(404, 'PUT', `/projects/nothing/${actors}/${actor}/roles/${member}`);
    await cloud.must(404, 'PUT', `/domains/${project}/${actors}/${actor}/roles/${member}`);
  });
});

describe('the list of assignments', () => {
  let ann: Person;
  let team: string;
  let hill: string;
  let hut: string;
  let domain: string;
  const url = (path: string): string => `${cloud.test.url}/identity/v3${path}`;

  beforeAll(async () => {
    domain = await cloud.domain('valley');
    ann = await cloud.person('ann', { domain_id: domain });
    team = (await cloud.must(201, 'POST', '/groups', { group: { name: 'team', domain_id: domain } })).group.id;
    hill = await cloud.project('hill', { domain_id: domain });
    hut = await cloud.project('hut', { domain_id: domain, parent_id: hill });
    await cloud.must(204, 'PUT', `/groups/${team}/users/${ann.id}`);
    await cloud.grant('member', `projects/${hill}`, `users/${ann.id}`);
    await cloud.grant('reader', `projects/${hut}`, `groups/${team}`);
    await cloud.grant('reader', 'system', `users/${ann.id}`);
    await cloud.must(
      204,
      'PUT',
      `/OS-INHERIT/domains/${domain}/groups/${team}/roles/${cloud.roles['reader']}/inherited_to_projects`,
    );
  });

  test('shows them as they were made, with links to the grants', async () => {
    expect(await listed(`user.id=${ann.id}&scope.project.id=${hill}`)).toEqual([
      {
        role: { id: cloud.roles['member'] },
        user: { id: ann.id },
        scope: { project: { id: hill } },
        links: { assignment: url(`/projects/${hill}/users/${ann.id}/roles/${cloud.roles['member']}`) },
      },
    ]);
    expect(await listed(`group.id=${team}&scope.domain.id=${domain}`)).toEqual([
      {
        role: { id: cloud.roles['reader'] },
        group: { id: team },
        scope: { domain: { id: domain }, 'OS-INHERIT:inherited_to': 'projects' },
        links: {
          assignment: url(
            `/OS-INHERIT/domains/${domain}/groups/${team}/roles/${cloud.roles['reader']}/inherited_to_projects`,
          ),
        },
      },
    ]);
    expect(await listed(`user.id=${ann.id}&scope.system=all`)).toEqual([
      {
        role: { id: cloud.roles['reader'] },
        user: { id: ann.id },
        scope: { system: { all: true } },
        links: { assignment: url(`/system/users/${ann.id}/roles/${cloud.roles['reader']}`) },
      },
    ]);
  });

  test('in effect: members of groups, projects below, implied roles', async () => {
    const effective = await listed(`user.id=${ann.id}&effective`);
    const short = effective.map((one: { role: Person; scope: { project?: Person } }) => [
      one.scope.project?.id === hill ? 'hill' : one.scope.project?.id === hut ? 'hut' : 'system',
      one.role.id === cloud.roles['member'] ? 'member' : 'reader',
    ]);
    expect(short.sort()).toEqual([
      ['hill', 'member'],
      ['hill', 'reader'],
      ['hill', 'reader'],
      ['hut', 'reader'],
      ['hut', 'reader'],
      ['system', 'reader'],
    ]);
    expect(effective).toContainEqual({
      role: { id: cloud.roles['reader'] },
      user: { id: ann.id },
      scope: { project: { id: hill } },
      links: {
        assignment: url(`/projects/${hill}/users/${ann.id}/roles/${cloud.roles['member']}`),
        prior_role: url(`/prior_role/${cloud.roles['member']}/implies/${cloud.roles['reader']}`),
      },
    });
    expect(effective).toContainEqual({
      role: { id: cloud.roles['reader'] },
      user: { id: ann.id },
      scope: { project: { id: hut }, 'OS-INHERIT:inherited_to': 'projects' },
      links: {
        assignment: url(
          `/OS-INHERIT/domains/${domain}/groups/${team}/roles/${cloud.roles['reader']}/inherited_to_projects`,
        ),
        membership: url(`/groups/${team}/users/${ann.id}`),
      },
    });
  });

  test('with names in every part', async () => {
    const domainPart = { domain: { id: domain, name: 'valley' } };
    const [first] = await listed(`user.id=${ann.id}&scope.project.id=${hill}&include_names=1`);
    expect(first).toMatchObject({
      role: { id: cloud.roles['member'], name: 'member' },
      user: { id: ann.id, name: 'ann', ...domainPart },
      scope: { project: { id: hill, name: 'hill', ...domainPart } },
    });
    const [inherited] = await listed(`group.id=${team}&scope.domain.id=${domain}&include_names`);
    expect(inherited).toMatchObject({
      group: { id: team, name: 'team', ...domainPart },
      scope: { domain: { id: domain, name: 'valley' } },
    });
    const local = await role('shepherd', { domain_id: domain });
    await cloud.grant(local, `domains/${domain}`, `users/${ann.id}`);
    const [own] = await listed(`role.id=${local}&include_names`);
    expect(own.role).toEqual({ id: local, name: 'shepherd', ...domainPart });
    await cloud.must(204, 'DELETE', `/roles/${local}`);
  });

  test('filters combine', async () => {
    const count = async (query: string): Promise<number> => (await listed(query)).length;
    expect(await count(`role.id=${cloud.roles['reader']}&user.id=${ann.id}`)).toBe(1);
    expect(await count(`user.id=${ann.id}&effective&scope.OS-INHERIT:inherited_to=projects`)).toBe(2);
    expect(await count(`group.id=${team}&scope.OS-INHERIT:inherited_to=projects`)).toBe(1);
    expect(await count(`scope.project.id=${hill}`)).toBe(1);
    expect(await count(`scope.project.id=${hill}&include_subtree=true`)).toBe(2);
    expect(await count(`scope.project.id=${hut}&effective&role.id=${cloud.roles['reader']}`)).toBe(2);
    expect(await count('user.id=nobody')).toBe(0);
  });

  test.each([
    'scope.project.id=a&scope.domain.id=b',
    'scope.project.id=a&scope.system=all',
    'user.id=a&group.id=b',
    'effective&group.id=a',
    'effective&scope.domain.id=a&scope.OS-INHERIT:inherited_to=projects',
    'include_subtree=1',
  ])('%s makes no sense and is 400', async (query) => {
    await cloud.must(400, 'GET', `/role_assignments?${query}`);
  });
});

test('an inherited role works on the projects below and not on the top itself', async () => {
  const top = await cloud.project('top');
  const below = await cloud.project('below', { parent_id: top });
  const deep = await cloud.project('deep', { parent_id: below });
  const ivy = await cloud.person('ivy');
  await cloud.must(
    204,
    'PUT',
    `/OS-INHERIT/projects/${top}/users/${ivy.id}/roles/${cloud.roles['reader']}/inherited_to_projects`,
  );
  const status = async (id: string) => (await cloud.login({ id: ivy.id }, ivy.password, { project: { id } })).status;
  expect([await status(top), await status(below), await status(deep)]).toEqual([401, 201, 201]);
});
