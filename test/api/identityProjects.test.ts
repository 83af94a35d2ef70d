// Projects: what they hold, how they stand in each other, their tags, and what can't be done to them.
import { startIdentity, type IdentityCloud } from '../support/identity';

let cloud: IdentityCloud;
beforeAll(async () => void (cloud = await startIdentity()));
afterAll(() => cloud.stop());

const show = async (id: string, query = '') => (await cloud.must(200, 'GET', `/projects/${id}${query}`)).project;
const names = (body: { projects: { name: string }[] }): string[] => body.projects.map((one) => one.name).sort();

test('a project has every attribute, its link, and whatever else it was given', async () => {
  const { project } = await cloud.must(201, 'POST', '/projects', {
    project: { name: 'whole', colour: 'green', nested: { a: [1] } },
  });
  expect(project).toEqual({
    id: expect.stringMatching(/^[0-9a-f]{32}$/),
    name: 'whole',
    domain_id: 'default',
    parent_id: 'default',
    description: '',
    enabled: true,
    is_domain: false,
    tags: [],
    options: {},
    colour: 'green',
    nested: { a: [1] },
    links: { self: `${cloud.test.url}/identity/v3/projects/${project.id}` },
  });
  expect(await show(project.id)).toEqual(project);
  const changed = await cloud.must(200, 'PATCH', `/projects/${project.id}`, {
    project: {
      id: project.id,
      description: 'new',
      shade: 'dark',
      domain_id: 'default',
      parent_id: 'default',
      is_domain: false,
    },
  });
  expect(changed.project).toEqual({ ...project, description: 'new', shade: 'dark' });
  await cloud.must(204, 'DELETE', `/projects/${project.id}`);
  await cloud.must(404, 'GET', `/projects/${project.id}`);
});

test('links keep to the address that the caller used', async () => {
  const id = await cloud.project('linked');
  const answer = await cloud.test.call('GET', `/v3/projects/${id}`, { token: cloud.admin });
  expect(answer.body.project.links.self).toBe(`${cloud.test.url}/v3/projects/${id}`);
});

test.each([
  ['no name', {}],
  ['a name of blanks', { name: '  ' }],
  ['a name that is too long', { name: 'x'.repeat(65) }],
  ['a name that is a number', { name: 5 }],
  ['enabled as text', { name: 'a', enabled: 'yes' }],
  ['a description that is a list', { name: 'a', description: [] }],
  ['a tag with a slash', { name: 'a', tags: ['a/b'] }],
  ['the same tag twice', { name: 'a', tags: ['a', 'a'] }],
  ['81 tags', { name: 'a', tags: Array.from({ length: 81 }, (_, at) => `t${at}`) }],
  ['an unknown option', { name: 'a', options: { wild: true } }],
  ['an unknown parent', { name: 'a', parent_id: 'nothing' }],
  ['an unknown domain', { name: 'a', domain_id: 'nothing' }],
  ['a parent in another domain', { name: 'a', domain_id: 'nothing', parent_id: 'default' }],
  ['a domain with a parent', { name: 'a', is_domain: true, parent_id: 'default' }],
])('%s is 400', async (_what, project) => {
  await cloud.must(400, 'POST', '/projects', { project });
});

test('bodies without the project are 400', async () => {
  for (const body of [undefined, {}, { project: null }, { project: [] }])
    await cloud.must(400, 'POST', '/projects', body);
  const id = await cloud.project('unchanged');
  await cloud.must(400, 'PATCH', `/projects/${id}`, { project: {} });
});

test('a name is taken once in a domain', async () => {
  const id = await cloud.project('twin');
  const other = await cloud.project('not-twin');
  const answer = await cloud.call('POST', '/projects', { project: { name: 'twin' } });
  expect([answer.status, answer.body.error.title]).toEqual([409, 'Conflict']);
  await cloud.must(409, 'PATCH', `/projects/${other}`, { project: { name: 'twin' } });
  const domain = await cloud.domain('elsewhere');
  expect(await cloud.project('twin', { domain_id: domain })).not.toBe(id);
});

test('where a project stands does not change', async () => {
  const id = await cloud.project('rooted');
  await cloud.must(403, 'PATCH', `/projects/${id}`, { project: { parent_id: 'other' } });
  await cloud.must(400, 'PATCH', `/projects/${id}`, { project: { domain_id: 'other' } });
  await cloud.must(400, 'PATCH', `/projects/${id}`, { project: { is_domain: true } });
  await cloud.must(400, 'PATCH', `/projects/${id}`, { project: { id: 'other' } });
});

test('a tree is shown up and down, as lists and as ids', async () => {
  const root = await cloud.project('root');
  const middle = await cloud.project('middle', { parent_id: root });
  const leaf = await cloud.project('leaf', { parent_id: middle });
  const side = await cloud.project('side', { parent_id: root });
  expect((await show(leaf, '?parents_as_ids')).parents).toEqual({ [middle]: { [root]: { default: null } } });
  expect((await show(root, '?subtree_as_ids=1')).subtree).toEqual({ [middle]: { [leaf]: null }, [side]: null });
  const ids = (list: { project: { id: string } }[]): string[] => list.map((one) => one.project.id).sort();
  expect(ids((await show(leaf, '?parents_as_list')).parents)).toEqual([root, middle].sort());
  expect(ids((await show(root, '?subtree_as_list=true')).subtree)).toEqual([middle, leaf, side].sort());
  expect(await show(root, '?subtree_as_list=0')).not.toHaveProperty('subtree');
  await cloud.must(400, 'GET', `/projects/${root}?parents_as_list&parents_as_ids`);
  await cloud.must(400, 'GET', `/projects/${root}?subtree_as_list&subtree_as_ids`);
  await cloud.must(403, 'DELETE', `/projects/${root}`);
  await cloud.must(403, 'PATCH', `/projects/${root}`, { project: { enabled: false } });
  for (const id of [leaf, middle]) await cloud.must(200, 'PATCH', `/projects/${id}`, { project: { enabled: false } });
  await cloud.must(403, 'PATCH', `/projects/${leaf}`, { project: { enabled: true } });
  await cloud.must(403, 'POST', '/projects', { project: { name: 'under', parent_id: leaf } });
  for (const id of [leaf, middle, side, root]) await cloud.must(204, 'DELETE', `/projects/${id}`);
});

test('a member sees of a tree only what he may enter', async () => {
  const root = await cloud.project('hill');
  const below = await cloud.project('hut', { parent_id: root });
  await cloud.project('cave', { parent_id: root });
  const ann = await cloud.person('ann-of-the-hill');
  for (const id of [root, below]) await cloud.grant('reader', `projects/${id}`, `users/${ann.id}`);
  const token = await cloud.token(ann, { project: { id: root } });
  const { project } = await cloud.must(200, 'GET', `/projects/${root}?subtree_as_list`, undefined, token);
  expect(project.subtree.map((one: { project: { id: string } }) => one.project.id)).toEqual([below]);
});

test('projects nest five deep', async () => {
  let parent_id = 'default';
  for (let depth = 1; depth <= 5; depth++) parent_id = await cloud.project(`deep-${depth}`, { parent_id });
  await cloud.must(403, 'POST', '/projects', { project: { name: 'deep-6', parent_id } });
});

test('a disabled project lets nobody in, and its tokens stay dead when it is enabled again', async () => {
  const id = await cloud.project('switch');
  const ben = await cloud.person('ben');
  await cloud.grant('member', `projects/${id}`, `users/${ben.id}`);
  const scope = { project: { id } };
  const token = await cloud.token(ben, scope);
  await cloud.must(200, 'PATCH', `/projects/${id}`, { project: { enabled: false } });
  expect(await cloud.validity(token)).toBe(404);
  expect((await cloud.login({ id: ben.id }, ben.password, scope)).status).toBe(401);
  await cloud.must(200, 'PATCH', `/projects/${id}`, { project: { enabled: true } });
  expect(await cloud.validity(token)).toBe(404);
  expect(await cloud.validity(await cloud.token(ben, scope))).toBe(200);
});

test('deleting a project ends its tokens, grants, and its being a default', async () => {
  const id = await cloud.project('doomed');
  const cleo = await cloud.person('cleo', { default_project_id: id });
  await cloud.grant('member', `projects/${id}`, `users/${cleo.id}`);
  const token = await cloud.token(cleo, { project: { id } });
  await cloud.must(204, 'DELETE', `/projects/${id}`);
  expect(await cloud.validity(token)).toBe(404);
  expect((await cloud.must(200, 'GET', `/users/${cleo.id}`)).user).not.toHaveProperty('default_project_id');
  expect((await cloud.must(200, 'GET', `/role_assignments?user.id=${cleo.id}`)).role_assignments).toEqual([]);
});

test('an immutable project is neither changed nor deleted until the option is taken back', async () => {
  const id = await cloud.project('stone', { options: { immutable: true } });
  await cloud.must(403, 'PATCH', `/projects/${id}`, { project: { name: 'clay' } });
  await cloud.must(403, 'DELETE', `/projects/${id}`);
  await cloud.must(403, 'PUT', `/projects/${id}/tags/a`);
  const { project } = await cloud.must(200, 'PATCH', `/projects/${id}`, { project: { options: { immutable: null } } });
  expect(project.options).toEqual({});
  await cloud.must(204, 'DELETE', `/projects/${id}`);
});

test('tags: replace, add, check, list, remove', async () => {
  const id = await cloud.project('tagged', { tags: ['b', 'a'] });
  const path = `/projects/${id}/tags`;
  expect((await show(id)).tags).toEqual(['a', 'b']);
  expect(await cloud.must(200, 'GET', path)).toEqual({
    tags: ['a', 'b'],
    links: { self: `${cloud.test.url}/identity/v3${path}` },
  });
  const added = await cloud.call('PUT', `${path}/c%20d`);
  expect([added.status, added.headers.get('location')]).toEqual([201, `${cloud.test.url}/identity/v3${path}/c%20d`]);
  await cloud.must(201, 'PUT', `${path}/a`);
  await cloud.must(204, 'GET', `${path}/c%20d`);
  await cloud.must(404, 'GET', `${path}/z`);
  await cloud.must(204, 'DELETE', `${path}/a`);
  await cloud.must(404, 'DELETE', `${path}/a`);
  await cloud.must(400, 'PUT', `${path}/x%2Cy`);
  expect((await cloud.must(200, 'PUT', path, { tags: ['one', 'two'] })).tags).toEqual(['one', 'two']);
  await cloud.must(400, 'PUT', path, { tags: 'one' });
  await cloud.must(200, 'PUT', path, { tags: Array.from({ length: 80 }, (_, at) => `t${at}`) });
  await cloud.must(400, 'PUT', `${path}/one-more`);
  await cloud.must(204, 'DELETE', path);
  expect((await cloud.must(200, 'GET', path)).tags).toEqual([]);
  expect((await cloud.must(200, 'PATCH', `/projects/${id}`, { project: { tags: ['p'] } })).project.tags).toEqual(['p']);
});

test('lists filter by every attribute, by parts of names and by tags', async () => {
  const domain = await cloud.domain('zoo');
  const make = (name: string, fields = {}) => cloud.project(name, { domain_id: domain, ...fields });
  await make('Lion', { tags: ['big', 'cat'] });
  await make('lynx', { tags: ['cat'], enabled: false });
  const bear = await make('bear', { tags: ['big'] });
  await make('bear-cub', { parent_id: bear });
  const list = async (query: string) => names(await cloud.must(200, 'GET', `/projects?domain_id=${domain}&${query}`));
  expect(await list('')).toEqual(['Lion', 'bear', 'bear-cub', 'lynx']);
  expect(await list('name=lynx')).toEqual(['lynx']);
  expect(await list('name=LYNX')).toEqual([]);
  expect(await list('enabled=False')).toEqual(['lynx']);
  expect(await list('enabled')).toEqual(['Lion', 'bear', 'bear-cub']);
  expect(await list(`parent_id=${bear}`)).toEqual(['bear-cub']);
  expect(await list('name__startswith=l')).toEqual(['lynx']);
  expect(await list('name__istartswith=l')).toEqual(['Lion', 'lynx']);
  expect(await list('name__contains=ea&name__endswith=cub')).toEqual(['bear-cub']);
  expect(await list('name__icontains=ION')).toEqual(['Lion']);
  expect(await list('unknown__contains=x&what=ever')).toHaveLength(4);
  expect(await list('tags=big,cat')).toEqual(['Lion']);
  expect(await list('tags-any=big,cat')).toEqual(['Lion', 'bear', 'lynx']);
  expect(await list('not-tags=big,cat')).toEqual(['bear', 'bear-cub', 'lynx']);
  expect(await list('not-tags-any=big,cat')).toEqual(['bear-cub']);
  expect(names(await cloud.must(200, 'GET', '/projects?is_domain=true&name=zoo'))).toEqual(['zoo']);
  expect(names(await cloud.must(200, 'GET', '/projects?is_domain=0&name=zoo'))).toEqual([]);
});

test('a list comes whole with its links, or in pages when they are asked for', async () => {
  const whole = await cloud.must(200, 'GET', '/projects');
  expect(whole.links).toEqual({ self: `${cloud.test.url}/identity/v3/projects`, previous: null, next: null });
  const paged: string[] = [];
  let path: string | null = '/identity/v3/projects?limit=3';
  while (path !== null) {
    const { body } = await cloud.test.call('GET', path, { token: cloud.admin });
    expect(body.projects.length).toBeLessThanOrEqual(3);
    paged.push(...body.projects.map((one: { id: string }) => one.id));
    path = body.links.next === null ? null : body.links.next.slice(cloud.test.url.length);
  }
  expect(paged).toEqual(whole.projects.map((one: { id: string }) => one.id));
  await cloud.must(404, 'GET', '/projects?marker=nothing');
  await cloud.must(400, 'GET', '/projects?limit=many');
});

test('a domain can be made, changed and deleted as a project too', async () => {
  const { project } = await cloud.must(201, 'POST', '/projects', { project: { name: 'realm', is_domain: true } });
  expect(project).toMatchObject({ is_domain: true, domain_id: null, parent_id: null });
  expect((await cloud.must(200, 'GET', `/domains/${project.id}`)).domain.name).toBe('realm');
  await cloud.must(403, 'DELETE', `/projects/${project.id}`);
  await cloud.must(200, 'PATCH', `/projects/${project.id}`, { project: { enabled: false } });
  await cloud.must(204, 'DELETE', `/projects/${project.id}`);
  await cloud.must(404, 'GET', `/domains/${project.id}`);
});
