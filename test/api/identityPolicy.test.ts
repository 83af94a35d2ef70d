// Who may do what: personas against every route, and that nobody can tell a foreign thing from one that does not exist.
import { identityService } from '../../controller/src/api/identity/routes';
import { startIdentity, type IdentityCloud, type Person } from '../support/identity';

let cloud: IdentityCloud;
/** Ids of things in the domain `land`, and of the place abroad. */
const ids = { land: '', abroad: '', project: '', sibling: '', user: '', group: '', role: '', foreignProject: '' };
const tokens: Record<string, string> = {};
let member: Person;

beforeAll(async () => {
  cloud = await startIdentity();
  ids.land = await cloud.domain('land');
  ids.abroad = await cloud.domain('abroad');
  const inside = { domain_id: ids.land };
  ids.project = await cloud.project('field', inside);
  ids.sibling = await cloud.project('meadow', inside);
  ids.foreignProject = await cloud.project('desert', { domain_id: ids.abroad });
  ids.user = (await cloud.person('farmer', inside)).id;
  ids.group = (await cloud.must(201, 'POST', '/groups', { group: { name: 'farmers', ...inside } })).group.id;
  ids.role = (await cloud.must(201, 'POST', '/roles', { role: { name: 'plough', ...inside } })).role.id;
  Object.assign(cloud.roles, { plain: (await cloud.must(201, 'POST', '/roles', { role: { name: 'plain' } })).role.id });
  const persona = async (name: string, role: string, target: string, domain: string): Promise<Person> => {
    const person = await cloud.person(name, { domain_id: domain });
    await cloud.grant(role, target, `users/${person.id}`);
    const [kind, id] = target.split('/');
    const scope =
      kind === 'projects' ? { project: { id } } : kind === 'domains' ? { domain: { id } } : { system: { all: true } };
    tokens[name] = await cloud.token(person, scope);
    return person;
  };
  tokens['admin'] = cloud.admin;
  await persona('systemAdmin', 'admin', 'system', 'default');
  await persona('systemReader', 'reader', 'system', 'default');
  await persona('domainAdmin', 'admin', `domains/${ids.land}`, ids.land);
  await persona('domainReader', 'reader', `domains/${ids.land}`, ids.land);
  await persona('foreignDomainAdmin', 'admin', `domains/${ids.abroad}`, ids.abroad);
  member = await persona('member', 'member', `projects/${ids.project}`, ids.land);
  await persona('reader', 'reader', `projects/${ids.project}`, ids.land);
  await persona('foreignMember', 'member', `projects/${ids.foreignProject}`, ids.abroad);
  tokens['unscoped'] = await cloud.token(member);
});
afterAll(() => cloud.stop());

const PERSONAS = [
  'admin',
  'systemAdmin',
  'systemReader',
  'domainAdmin',
  'domainReader',
  'foreignDomainAdmin',
  'member',
  'reader',
  'foreignMember',
  'unscoped',
] as const;
type Persona = (typeof PERSONAS)[number];

const ADMINS: Persona[] = ['admin', 'systemAdmin'];
const READ_ALL: Persona[] = [...ADMINS, 'systemReader'];
const MANAGE: Persona[] = [...ADMINS, 'domainAdmin'];
const LOOK: Persona[] = [...READ_ALL, 'domainAdmin', 'domainReader'];
const EVERYBODY: Persona[] = [...PERSONAS];

let count = 0;
const fresh = (): string => `fresh-${count++}`;
const inLand = () => ({ name: fresh(), domain_id: ids.land });
const freshUser = async () => (await cloud.person(fresh(), { domain_id: ids.land })).id;
const freshProject = () => cloud.project(fresh(), { domain_id: ids.land });
const freshGroup = async () => (await cloud.must(201, 'POST', '/groups', { group: inLand() })).group.id as string;
const grantPath = (role: string) => `/projects/${ids.project}/users/${ids.user}/roles/${role}`;

/** What is asked, and who gets something other than 403. Paths may need something fresh. */
const MATRIX: [string, () => unknown[] | Promise<unknown[]>, Persona[]][] = [
  ['list domains', () => ['GET', '/domains'], [...LOOK, 'foreignDomainAdmin']],
  ['show the domain', () => ['GET', `/domains/${ids.land}`], [...LOOK, 'member', 'reader']],
  ['make a domain', () => ['POST', '/domains', { domain: { name: fresh() } }], ADMINS],
  ['change the domain', () => ['PATCH', `/domains/${ids.land}`, { domain: { description: 'd' } }], ADMINS],
  ['delete the domain', () => ['DELETE', `/domains/${ids.land}`], []],
  ['list projects', () => ['GET', '/projects'], [...LOOK, 'foreignDomainAdmin']],
  ['show the project', () => ['GET', `/projects/${ids.project}`], [...LOOK, 'member', 'reader']],
  ['show a sibling project', () => ['GET', `/projects/${ids.sibling}`], LOOK],
  ['make a project', () => ['POST', '/projects', { project: inLand() }], MANAGE],
  ['make a domain as a project', () => ['POST', '/projects', { project: { name: fresh(), is_domain: true } }], ADMINS],
  ['change the project', () => ['PATCH', `/projects/${ids.project}`, { project: { description: 'd' } }], MANAGE],
  [
    'change the domain as a project',
    () => ['PATCH', `/projects/${ids.land}`, { project: { description: 'd' } }],
    ADMINS,
  ],
  ['delete a project', async () => ['DELETE', `/projects/${await freshProject()}`], MANAGE],
  ['list tags', () => ['GET', `/projects/${ids.project}/tags`], [...LOOK, 'member', 'reader']],
  ['add a tag', () => ['PUT', `/projects/${ids.project}/tags/t`], MANAGE],
  ['check a tag', () => ['GET', `/projects/${ids.project}/tags/t`], [...LOOK, 'member', 'reader']],
  ['replace tags', () => ['PUT', `/projects/${ids.project}/tags`, { tags: ['t'] }], MANAGE],
  ['remove tags', () => ['DELETE', `/projects/${ids.project}/tags`], MANAGE],
  ['list users', () => ['GET', '/users'], [...LOOK, 'foreignDomainAdmin']],
  ['show a user', () => ['GET', `/users/${ids.user}`], LOOK],
  ['show oneself', () => ['GET', `/users/${member.id}`], [...LOOK, 'member', 'unscoped']],
  ['make a user', () => ['POST', '/users', { user: inLand() }], MANAGE],
  ['change a user', () => ['PATCH', `/users/${ids.user}`, { user: { description: 'd' } }], MANAGE],
  ['change oneself', () => ['PATCH', `/users/${member.id}`, { user: { description: 'd' } }], MANAGE],
  ['delete a user', async () => ['DELETE', `/users/${await freshUser()}`], MANAGE],
  ['list the projects of a user', () => ['GET', `/users/${member.id}/projects`], [...LOOK, 'member', 'unscoped']],
  ['list the groups of a user', () => ['GET', `/users/${member.id}/groups`], [...LOOK, 'member', 'unscoped']],
  ['list groups', () => ['GET', '/groups'], [...LOOK, 'foreignDomainAdmin']],
  ['show a group', () => ['GET', `/groups/${ids.group}`], LOOK],
  ['make a group', () => ['POST', '/groups', { group: inLand() }], MANAGE],
  ['change a group', () => ['PATCH', `/groups/${ids.group}`, { group: { description: 'd' } }], MANAGE],
  ['delete a group', async () => ['DELETE', `/groups/${await freshGroup()}`], MANAGE],
  ['list members', () => ['GET', `/groups/${ids.group}/users`], LOOK],
  ['add a member', () => ['PUT', `/groups/${ids.group}/users/${ids.user}`], MANAGE],
  ['check a member', () => ['HEAD', `/groups/${ids.group}/users/${ids.user}`], LOOK],
  ['remove a member', () => ['DELETE', `/groups/${ids.group}/users/${ids.user}`], MANAGE],
  ['list roles', () => ['GET', '/roles'], READ_ALL],
  ['show a role', () => ['GET', `/roles/${cloud.roles['member']}`], READ_ALL],
  ['make a role', () => ['POST', '/roles', { role: { name: fresh() } }], ADMINS],
  ['change a role', () => ['PATCH', `/roles/${cloud.roles['plain']}`, { role: { description: 'd' } }], ADMINS],
  ['list roles of the domain', () => ['GET', `/roles?domain_id=${ids.land}`], LOOK],
  ['show a role of the domain', () => ['GET', `/roles/${ids.role}`], LOOK],
  ['make a role of the domain', () => ['POST', '/roles', { role: inLand() }], ADMINS],
  ['list inferences', () => ['GET', '/role_inferences'], READ_ALL],
  ['imply a role', () => ['PUT', `/roles/${cloud.roles['member']}/implies/${cloud.roles['reader']}`], ADMINS],
  ['grant a role', () => ['PUT', grantPath(cloud.roles['member'] ?? '')], MANAGE],
  ['grant a role of the domain', () => ['PUT', grantPath(ids.role)], MANAGE],
  ['grant the role admin', () => ['PUT', grantPath(cloud.roles['admin'] ?? '')], ADMINS],
  [
    'grant on a foreign project',
    () => ['PUT', `/projects/${ids.foreignProject}/users/${ids.user}/roles/${cloud.roles['member']}`],
    ADMINS,
  ],
  ['list grants', () => ['GET', `/projects/${ids.project}/users/${ids.user}/roles`], LOOK],
  ['check a grant', () => ['HEAD', grantPath(cloud.roles['member'] ?? '')], LOOK],
  ['take a role', () => ['DELETE', grantPath(cloud.roles['member'] ?? '')], MANAGE],
  ['grant on the system', () => ['PUT', `/system/users/${ids.user}/roles/${cloud.roles['reader']}`], ADMINS],
  ['list grants on the system', () => ['GET', `/system/users/${ids.user}/roles`], READ_ALL],
  ['take on the system', () => ['DELETE', `/system/users/${ids.user}/roles/${cloud.roles['reader']}`], ADMINS],
  ['list assignments', () => ['GET', '/role_assignments'], [...LOOK, 'foreignDomainAdmin']],
  [
    'list assignments of a tree',
    () => ['GET', `/role_assignments?include_subtree&scope.project.id=${ids.project}`],
    LOOK,
  ],
  ['list regions', () => ['GET', '/regions'], EVERYBODY],
  ['show a region', () => ['GET', '/regions/RegionOne'], EVERYBODY],
  ['make a region', () => ['POST', '/regions', { region: {} }], ADMINS],
  ['list services', () => ['GET', '/services'], READ_ALL],
  ['make a service', () => ['POST', '/services', { service: { type: 'x' } }], ADMINS],
  ['list endpoints', () => ['GET', '/endpoints'], READ_ALL],
  ['list own projects', () => ['GET', '/auth/projects'], EVERYBODY],
  ['list own domains', () => ['GET', '/auth/domains'], EVERYBODY],
  ['see own system access', () => ['GET', '/auth/system'], EVERYBODY],
];

test.each(MATRIX)('to %s is for those who may, in their scope', async (_what, request, may) => {
  const allowed: Persona[] = [];
  for (const persona of PERSONAS) {
    const [method, path, body] = (await request()) as [string, string, unknown];
    const { status } = await cloud.call(method, path, body, tokens[persona]);
    expect([persona, status]).not.toEqual([persona, 500]);
    if (status !== 403) allowed.push(persona);
  }
  const expected = PERSONAS.filter((persona) => may.includes(persona));
  expect(allowed).toEqual(expected);
});

test('a caller with domain scope is shown only what is in the domain', async () => {
  const get = (path: string) => cloud.must(200, 'GET', path, undefined, tokens['domainAdmin']);
  const domainsOf = (rows: { domain_id: string }[]): string[] => [...new Set(rows.map((row) => row.domain_id))];
  expect(domainsOf((await get('/users')).users)).toEqual([ids.land]);
  expect(domainsOf((await get('/projects')).projects)).toEqual([ids.land]);
  expect(domainsOf((await get('/groups')).groups)).toEqual([ids.land]);
  expect((await get('/users?domain_id=default')).users).toEqual([]);
  expect((await get('/domains')).domains.map((one: Person) => one.id)).toEqual([ids.land]);
  const assignments = JSON.stringify((await get('/role_assignments')).role_assignments);
  expect(assignments).toContain(ids.project);
  for (const foreign of [ids.foreignProject, ids.abroad, '"system"']) expect(assignments).not.toContain(foreign);
});

test('without a domain named, new things go to the domain of the caller', async () => {
  const token = tokens['domainAdmin'];
  expect((await cloud.must(201, 'POST', '/users', { user: { name: fresh() } }, token)).user.domain_id).toBe(ids.land);
  expect((await cloud.must(201, 'POST', '/groups', { group: { name: fresh() } }, token)).group.domain_id).toBe(
    ids.land,
  );
  expect((await cloud.must(201, 'POST', '/projects', { project: { name: fresh() } }, token)).project.domain_id).toBe(
    ids.land,
  );
  const { project } = await cloud.must(
    201,
    'POST',
    '/projects',
    { project: { name: fresh(), parent_id: ids.project } },
    token,
  );
  expect(project).toMatchObject({ domain_id: ids.land, parent_id: ids.project });
});

/** Bodies that pass every schema. */
const BODY = {
  domain: { name: 'n' },
  project: { name: 'n' },
  user: { name: 'n', password: 'p', original_password: 'o' },
  group: { name: 'n' },
  role: { name: 'n' },
  region: { description: 'd' },
  service: { type: 't' },
  endpoint: { interface: 'public', service_id: 's', url: 'http://a.example' },
  tags: ['t'],
};
const PUBLIC = new Set(['POST /auth/tokens', 'POST /users/:user_id/password', 'GET /']);
/** Routes that every token may use. */
const FREE = /^GET \/(auth\/(projects|domains|system)|regions)|^(GET|DELETE) \/auth\/tokens|^GET \/auth\/catalog/;

const filled = (path: string, values: Record<string, string>): string =>
  path.replace(/:(\w+)/g, (_whole, name: string) => values[name] ?? 'x');

test('every route but login, own password and discovery wants a token', async () => {
  for (const { method, path } of identityService.routes) {
    if (PUBLIC.has(`${method} ${path}`)) continue;
    const answer = await cloud.call(
      method,
      filled(path, {}),
      method === 'GET' || method === 'HEAD' ? undefined : BODY,
      null,
    );
    expect([method, path, answer.status]).toEqual([method, path, 401]);
  }
});

test('to a member of another domain what exists and what does not answer alike, on every route: 403', async () => {
  const existing: Record<string, string> = {
    domain_id: ids.land,
    project_id: ids.project,
    user_id: ids.user,
    group_id: ids.group,
    role_id: ids.role,
    implied_role_id: cloud.roles['reader'] ?? '',
    tag: 't',
    region_id: 'RegionOne',
    service_id: (await cloud.must(200, 'GET', '/services')).services[0].id,
    endpoint_id: (await cloud.must(200, 'GET', '/endpoints')).endpoints[0].id,
  };
  const missing = Object.fromEntries(Object.keys(existing).map((key) => [key, '0'.repeat(32)]));
  for (const { method, path } of identityService.routes) {
    const route = `${method} ${path}`;
    if (PUBLIC.has(route) || FREE.test(route)) continue;
    const body = method === 'GET' || method === 'HEAD' ? undefined : BODY;
    const there = await cloud.call(method, filled(path, existing), body, tokens['foreignMember']);
    expect([route, there.status]).toEqual([route, 403]);
    const absent = await cloud.call(method, filled(path, missing), body, tokens['foreignMember']);
    expect([route, absent.status]).toEqual([route, 403]);
    expect([route, absent.body]).toEqual([route, there.body]);
  }
});

test('a cloud administrator is told what does not exist: 404', async () => {
  for (const path of [
    '/domains/x',
    '/projects/x',
    '/users/x',
    '/groups/x',
    '/roles/x',
    '/regions/x',
    '/services/x',
    '/endpoints/x',
  ])
    await cloud.must(404, 'GET', path);
});
