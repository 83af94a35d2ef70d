// Users: their attributes and options, passwords, lockout, several factors, and what ends their tokens.
import { users } from '../../controller/src/db/entities/identity';
import { createPasswords } from '../../controller/src/services/identity/passwords';
import { startIdentity, type IdentityCloud, type Person } from '../support/identity';

let cloud: IdentityCloud;
beforeAll(async () => void (cloud = await startIdentity({ config: { lockout_attempts: 3, lockout_seconds: 60 } })));
afterAll(() => cloud.stop());

const attempt = async (id: string, password: string) => (await cloud.login({ id }, password)).status;
const change = (person: Person, user: object, status = 200) =>
  cloud.must(status, 'PATCH', `/users/${person.id}`, { user });
const ownPassword = (person: Person, original_password: unknown, password: unknown, token: string | null = null) =>
  cloud.call('POST', `/users/${person.id}/password`, { user: { original_password, password } }, token);

test('a user has every attribute, its link and whatever else it was given, but never a password', async () => {
  const { user } = await cloud.must(201, 'POST', '/users', {
    user: { name: 'whole', password: 'secret', email: 'w@example.org', options: { lock_password: false } },
  });
  expect(user).toEqual({
    id: expect.stringMatching(/^[0-9a-f]{32}$/),
    name: 'whole',
    domain_id: 'default',
    enabled: true,
    password_expires_at: null,
    options: { lock_password: false },
    email: 'w@example.org',
    links: { self: `${cloud.test.url}/identity/v3/users/${user.id}` },
  });
  expect((await cloud.must(200, 'GET', `/users/${user.id}`)).user).toEqual(user);
  const changed = await cloud.must(200, 'PATCH', `/users/${user.id}`, {
    user: { name: 'part', description: 'd', email: null, default_project_id: 'p', options: { lock_password: null } },
  });
  expect(changed.user).toEqual({
    ...user,
    name: 'part',
    description: 'd',
    email: null,
    default_project_id: 'p',
    options: {},
  });
  await cloud.must(204, 'DELETE', `/users/${user.id}`);
  await cloud.must(404, 'GET', `/users/${user.id}`);
});

test.each([
  ['no name', {}],
  ['an empty name', { name: '' }],
  ['a name that is a list', { name: [] }],
  ['a name that is too long', { name: 'x'.repeat(256) }],
  ['a password that is a number', { name: 'a', password: 1 }],
  ['a password that is too long', { name: 'a', password: 'x'.repeat(4097) }],
  ['enabled as text', { name: 'a', enabled: 'true' }],
  ['an unknown domain', { name: 'a', domain_id: 'nowhere' }],
  ['a domain as default project', { name: 'a', default_project_id: 'default' }],
  ['an option of the wrong type', { name: 'a', options: { lock_password: 'yes' } }],
  ['an unknown option', { name: 'a', options: { other: true } }],
  ['rules that are no lists', { name: 'a', options: { multi_factor_auth_rules: ['password'] } }],
  ['an empty rule', { name: 'a', options: { multi_factor_auth_rules: [[]] } }],
])('%s is 400', async (_what, user) => {
  await cloud.must(400, 'POST', '/users', { user });
});

test('a name is taken once in a domain, and a user stays in its domain', async () => {
  const twin = await cloud.person('twin');
  const other = await cloud.person('other');
  await cloud.must(409, 'POST', '/users', { user: { name: 'twin' } });
  await change(other, { name: 'twin' }, 409);
  await change(twin, { domain_id: 'default' });
  await change(twin, { domain_id: 'elsewhere' }, 400);
  await change(twin, { id: 'elsewhere' }, 400);
  await change(twin, {}, 400);
});

test('lists filter by every attribute', async () => {
  const domain = await cloud.domain('crew');
  await cloud.person('mate', { domain_id: domain, default_project_id: 'ship' });
  await cloud.person('Cook', { domain_id: domain, enabled: false });
  const list = async (query: string) =>
    (await cloud.must(200, 'GET', `/users?domain_id=${domain}&${query}`)).users.map((one: Person) => one.name).sort();
  expect(await list('')).toEqual(['Cook', 'mate']);
  expect(await list('name=mate')).toEqual(['mate']);
  expect(await list('enabled=0')).toEqual(['Cook']);
  expect(await list('enabled=1')).toEqual(['mate']);
  expect(await list('default_project_id=ship')).toEqual(['mate']);
  expect(await list('name__iendswith=OOK')).toEqual(['Cook']);
});

test('a new password from an administrator ends the tokens of the user', async () => {
  const ann = await cloud.person('ann');
  const token = await cloud.token(ann);
  await change(ann, { password: 'fresh' });
  expect(await cloud.validity(token)).toBe(404);
  expect(await attempt(ann.id, ann.password)).toBe(401);
  expect(await cloud.validity(await cloud.token({ ...ann, password: 'fresh' }))).toBe(200);
  await change(ann, { password: null });
  expect(await attempt(ann.id, 'fresh')).toBe(401);
});

test('a disabled user is out at once and comes back without the old tokens', async () => {
  const bob = await cloud.person('bob');
  const token = await cloud.token(bob);
  await change(bob, { enabled: false });
  expect(await cloud.validity(token)).toBe(404);
  expect(await attempt(bob.id, bob.password)).toBe(401);
  await change(bob, { enabled: true });
  expect(await cloud.validity(token)).toBe(404);
  expect(await attempt(bob.id, bob.password)).toBe(201);
});

test('a deleted user is out at once', async () => {
  const gone = await cloud.person('gone');
  const token = await cloud.token(gone);
  await cloud.must(204, 'DELETE', `/users/${gone.id}`);
  expect(await cloud.validity(token)).toBe(404);
  expect(await attempt(gone.id, gone.password)).toBe(401);
});

test('other changes of a user leave the tokens alone and show in them', async () => {
  const dot = await cloud.person('dot');
  const token = await cloud.token(dot);
  await change(dot, { name: 'dotty' });
  const shown = await cloud.call('GET', '/auth/tokens', undefined, cloud.admin, { 'x-subject-token': token });
  expect(shown.body.token.user.name).toBe('dotty');
});

test('people change their own password with the present one, with or without a token', async () => {
  const cid = await cloud.person('cid');
  const token = await cloud.token(cid);
  expect((await ownPassword(cid, 'wrong', 'second')).status).toBe(401);
  expect((await ownPassword(cid, cid.password, cid.password)).status).toBe(400);
  expect((await ownPassword(cid, cid.password, 5)).status).toBe(400);
  expect((await ownPassword(cid, undefined, 'second')).status).toBe(400);
  expect((await ownPassword(cid, cid.password, 'second', token)).status).toBe(204);
  expect(await cloud.validity(token)).toBe(404);
  expect((await ownPassword(cid, 'second', 'third')).status).toBe(204);
  expect(await attempt(cid.id, 'third')).toBe(201);
  expect((await ownPassword({ ...cid, id: 'nobody' }, 'a', 'b')).status).toBe(401);
});

test('a locked password is changed by administrators only', async () => {
  const eve = await cloud.person('eve', { options: { lock_password: true } });
  expect((await ownPassword(eve, eve.password, 'mine')).status).toBe(403);
  await change(eve, { password: 'theirs' });
  expect(await attempt(eve.id, 'theirs')).toBe(201);
});

test('passwords compare by character, however they are composed', async () => {
  const umlaut = await cloud.person('umlaut', { password: 'gr\u00fcn' });
  expect(await attempt(umlaut.id, 'gru\u0308n')).toBe(201);
});

test('three failures lock an account for a minute, and the answer does not say so', async () => {
  const fay = await cloud.person('fay');
  for (let at = 0; at < 3; at++) expect(await attempt(fay.id, 'wrong')).toBe(401);
  const locked = await cloud.login({ id: fay.id }, fay.password);
  const wrong = await cloud.login({ id: fay.id }, 'wrong');
  expect([locked.status, locked.body]).toEqual([401, wrong.body]);
  expect((await ownPassword(fay, fay.password, 'new')).status).toBe(401);
  cloud.clock.advance(59_000);
  expect(await attempt(fay.id, fay.password)).toBe(401);
  cloud.clock.advance(2_000);
  expect(await attempt(fay.id, fay.password)).toBe(201);
});

test('a success forgets the failures before it', async () => {
  const gus = await cloud.person('gus');
  for (let round = 0; round < 2; round++) {
    for (let at = 0; at < 2; at++) expect(await attempt(gus.id, 'wrong')).toBe(401);
    expect(await attempt(gus.id, gus.password)).toBe(201);
  }
});

test('failures long ago do not count', async () => {
  const ike = await cloud.person('ike');
  for (let at = 0; at < 2; at++) await attempt(ike.id, 'wrong');
  cloud.clock.advance(61_000);
  for (let at = 0; at < 2; at++) await attempt(ike.id, 'wrong');
  expect(await attempt(ike.id, ike.password)).toBe(201);
});

test('the option to ignore lockout is honoured', async () => {
  const hal = await cloud.person('hal', { options: { ignore_lockout_failure_attempts: true } });
  for (let at = 0; at < 4; at++) await attempt(hal.id, 'wrong');
  expect(await attempt(hal.id, hal.password)).toBe(201);
});

test('a wrong password, an unknown, a disabled and a locked user cost the same statements, reads and writes', async () => {
  const { statements } = cloud.test;
  const known = await cloud.person('known');
  const disabled = await cloud.person('disabled', { enabled: false });
  const locked = await cloud.person('locked');
  for (let at = 0; at < 3; at++) await attempt(locked.id, 'wrong');
  const cost = async (user: object): Promise<number> => {
    const before = statements.length;
    await cloud.login(user, 'wrong');
    return statements.slice(before).filter((sql) => !sql.includes('identity_change')).length;
  };
  const expected = await cost({ id: known.id });
  expect(expected).toBeGreaterThan(0);
  for (const user of [
    { id: 'nobody' },
    { name: 'nobody', domain: { name: 'Nowhere' } },
    { id: disabled.id },
    { id: locked.id },
  ])
    expect(await cost(user)).toBe(expected);
});

test('rules for several factors are enforced when they are enabled', async () => {
  const zoe = await cloud.person('zoe', {
    options: {
      multi_factor_auth_enabled: true,
      multi_factor_auth_rules: [
        ['password', 'totp'],
        ['password', 'token'],
      ],
    },
  });
  expect(await attempt(zoe.id, zoe.password)).toBe(401);
  await change(zoe, { options: { multi_factor_auth_enabled: false } });
  const token = await cloud.token(zoe);
  await change(zoe, { options: { multi_factor_auth_enabled: true } });
  const both = {
    auth: {
      identity: {
        methods: ['token', 'password'],
        token: { id: token },
        password: { user: { id: zoe.id, password: zoe.password } },
      },
    },
  };
  await cloud.must(201, 'POST', '/auth/tokens', both, null);
});

test('groups and projects of a user are listed', async () => {
  const kim = await cloud.person('kim');
  const group = (await cloud.must(201, 'POST', '/groups', { group: { name: 'kin' } })).group.id;
  await cloud.must(204, 'PUT', `/groups/${group}/users/${kim.id}`);
  const direct = await cloud.project('kim-direct');
  const byGroup = await cloud.project('kim-group', { enabled: false });
  const below = await cloud.project('kim-below', { parent_id: direct });
  await cloud.grant('member', `projects/${direct}`, `users/${kim.id}`);
  await cloud.grant('reader', `projects/${byGroup}`, `groups/${group}`);
  const ids = async (path: string, key: string) =>
    (await cloud.must(200, 'GET', `/users/${kim.id}/${path}`))[key].map((one: Person) => one.id).sort();
  expect(await ids('groups', 'groups')).toEqual([group]);
  expect(await ids('groups?name=other', 'groups')).toEqual([]);
  expect(await ids('projects', 'projects')).toEqual([direct, byGroup].sort());
  expect(await ids('projects?enabled=true', 'projects')).toEqual([direct]);
  await cloud.must(
    204,
    'PUT',
    `/OS-INHERIT/projects/${direct}/users/${kim.id}/roles/${cloud.roles['reader']}/inherited_to_projects`,
  );
  expect(await ids('projects', 'projects')).toEqual([direct, byGroup, below].sort());
});

test('old hashes are made anew when the cost has changed', async () => {
  const old = await cloud.person('old');
  const { identity, db } = cloud.test.cloud;
  const password_hash = await createPasswords(11).hash('kept');
  await db.write((session) => session.update(users, { id: old.id }, { password_hash }));
  expect(await attempt(old.id, 'kept')).toBe(201);
  const row = await db.read((session) => session.findOne(users, { id: old.id }));
  expect(row?.password_hash).toMatch(/^\$scrypt\$ln=10,/);
  expect(await identity.passwords.verify('kept', row?.password_hash ?? null)).toBe(true);
});
