// Tokens: what they are given for, what they show, how they end, and that nobody makes one but us.
import { createHmac, createPrivateKey, generateKeyPairSync } from 'node:crypto';
import jwt from 'jsonwebtoken';
import { ADMIN_PASSWORD, passwordLogin, startIdentity, type IdentityCloud, type Person } from '../support/identity';

let cloud: IdentityCloud;
let ann: Person;
let project: string;
let token: string;

beforeAll(async () => {
  cloud = await startIdentity();
  ann = await cloud.person('ann');
  project = await cloud.project('orchard');
  await cloud.grant('member', `projects/${project}`, `users/${ann.id}`);
});
afterAll(() => cloud.stop());
beforeEach(async () => void (token = await cloud.token(ann, { project: { id: project } })));

const subject = (method: string, of: string, by = cloud.admin, query = '') =>
  cloud.call(method, `/auth/tokens${query}`, undefined, by, { 'x-subject-token': of });
const fromToken = (id: string, scope?: unknown) =>
  cloud.call(
    'POST',
    '/auth/tokens',
    { auth: { identity: { methods: ['token'], token: { id } }, ...(scope === undefined ? {} : { scope }) } },
    null,
  );
const refused = (answer: { status: number; body: unknown }): void => {
  expect(answer.status).toBe(401);
  expect(answer.body).toEqual({
    error: { code: 401, title: 'Unauthorized', message: 'The request you have made requires authentication.' },
  });
};

test('a project token names methods, user, times, project, roles with the implied ones, and the catalog', async () => {
  const answer = await cloud.login({ name: 'ann', domain: { name: 'Default' } }, ann.password, {
    project: { name: 'orchard', domain: { name: 'Default' } },
  });
  expect(answer.status).toBe(201);
  expect(answer.headers.get('vary')).toBe('X-Auth-Token');
  const time = expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$/);
  const { catalog, roles, ...rest } = answer.body.token;
  expect(rest).toEqual({
    methods: ['password'],
    user: { id: ann.id, name: 'ann', domain: { id: 'default', name: 'Default' }, password_expires_at: null },
    audit_ids: [expect.stringMatching(/^[\w-]{22}$/)],
    issued_at: time,
    expires_at: time,
    project: { id: project, name: 'orchard', domain: { id: 'default', name: 'Default' } },
    is_domain: false,
  });
  expect(roles).toEqual([
    { id: cloud.roles['member'], name: 'member' },
    { id: cloud.roles['reader'], name: 'reader' },
  ]);
  const image = catalog.find((service: { type: string }) => service.type === 'image');
  expect(image).toEqual({ id: expect.any(String), type: 'image', name: 'glance', endpoints: expect.any(Array) });
  expect(image.endpoints.map((one: { interface: string }) => one.interface)).toEqual(['admin', 'internal', 'public']);
  expect(image.endpoints[2]).toEqual({
    id: expect.any(String),
    interface: 'public',
    region: 'RegionOne',
    region_id: 'RegionOne',
    url: `${cloud.test.url}/image`,
  });
});

test('the catalog has the addresses from which clients find every service', async () => {
  const { body } = await subject('GET', token);
  const urls = Object.fromEntries(
    body.token.catalog.map((one: { type: string; endpoints: { url: string }[] }) => [one.type, one.endpoints[0]?.url]),
  );
  const at = (path: string): string => cloud.test.url + path;
  expect(urls).toMatchObject({
    identity: at('/identity'),
    image: at('/image'),
    compute: at('/compute/v2.1'),
    network: at('/network'),
    placement: at('/placement'),
  });
});

test('scopes: none, a domain, the system', async () => {
  const unscoped = (await cloud.login({ id: ann.id }, ann.password, 'unscoped')).body.token;
  for (const part of ['project', 'domain', 'system', 'roles', 'catalog']) expect(unscoped).not.toHaveProperty(part);
  refused(await cloud.login({ id: ann.id }, ann.password, { domain: { id: 'default' } }));
  refused(await cloud.login({ id: ann.id }, ann.password, { system: { all: true } }));
  await cloud.grant('reader', 'domains/default', `users/${ann.id}`);
  await cloud.grant('reader', 'system', `users/${ann.id}`);
  const domain = (await cloud.login({ id: ann.id }, ann.password, { domain: { name: 'Default' } })).body.token;
  expect(domain).toMatchObject({
    domain: { id: 'default', name: 'Default' },
    roles: [{ name: 'reader' }],
    catalog: expect.any(Array),
  });
  const system = (await cloud.login({ id: ann.id }, ann.password, { system: { all: true } })).body.token;
  expect(system).toMatchObject({ system: { all: true }, roles: [{ name: 'reader' }] });
});

test('a domain scope leaves out endpoints whose URL needs a project', async () => {
  const { service } = await cloud.must(201, 'POST', '/services', { service: { type: 'volumev3' } });
  await cloud.must(201, 'POST', '/endpoints', {
    endpoint: { service_id: service.id, interface: 'public', url: '/volume/v3/%(project_id)s' },
  });
  const volumes = async (id: string) =>
    (await subject('GET', id)).body.token.catalog.find((one: { type: string }) => one.type === 'volumev3').endpoints;
  expect((await volumes(token))[0].url).toBe(`${cloud.test.url}/volume/v3/${project}`);
  await cloud.grant('reader', 'domains/default', `users/${ann.id}`);
  expect(await volumes(await cloud.token(ann, { domain: { id: 'default' } }))).toEqual([]);
  await cloud.must(204, 'DELETE', `/services/${service.id}`);
});

test('without a scope the default project is taken when the user may enter it', async () => {
  const bob = await cloud.person('bob', { default_project_id: project });
  expect((await cloud.login({ id: bob.id }, bob.password)).body.token).not.toHaveProperty('project');
  await cloud.grant('reader', `projects/${project}`, `users/${bob.id}`);
  expect((await cloud.login({ id: bob.id }, bob.password)).body.token.project.id).toBe(project);
  expect((await cloud.login({ id: bob.id }, bob.password, { unscoped: {} })).body.token).not.toHaveProperty('project');
});

test('every wrong login reads the same', async () => {
  await cloud.person('off', { enabled: false });
  await cloud.must(201, 'POST', '/users', { user: { name: 'mute', domain_id: 'default' } });
  const inDefault = (name: string): object => ({ name, domain: { id: 'default' } });
  refused(await cloud.login(inDefault('ann'), 'wrong'));
  refused(await cloud.login(inDefault('nobody'), 'wrong'));
  refused(await cloud.login({ id: 'nobody' }, 'wrong'));
  refused(await cloud.login({ name: 'ann', domain: { name: 'Nowhere' } }, ann.password));
  refused(await cloud.login(inDefault('off'), 'off-secret'));
  refused(await cloud.login(inDefault('mute'), ''));
  refused(await cloud.login({ id: ann.id }, ann.password, { project: { id: 'nothing' } }));
  refused(await cloud.login({ id: ann.id }, ann.password, { project: { name: 'nothing', domain: { id: 'default' } } }));
  refused(await cloud.login({ id: ann.id }, ann.password, { project: { name: 'orchard', domain: { id: 'nowhere' } } }));
  refused(await cloud.login({ id: ann.id }, ann.password, { domain: { id: 'nowhere' } }));
  const wrong = await cloud.login({ id: ann.id }, 'wrong');
  expect(wrong.headers.get('www-authenticate')).toBe(`Keystone uri="${cloud.test.url}/identity"`);
});

test.each([
  ['no body', undefined],
  ['a list', []],
  ['no auth', {}],
  ['methods that are no list', { auth: { identity: { methods: 'password' } } }],
  ['no data for the method', { auth: { identity: { methods: ['password'] } } }],
  ['no data for the token method', { auth: { identity: { methods: ['token'] } } }],
  ['a password that is a number', passwordLogin({ id: 'x' }, 1 as unknown as string)],
  ['neither name nor id', passwordLogin({}, 'x')],
  ['a name without a domain', passwordLogin({ name: 'ann' }, 'x')],
  ['an empty domain', passwordLogin({ name: 'ann', domain: {} }, 'x')],
  ['a scope that is a number', passwordLogin({ id: 'x' }, 'x', 5)],
  ['an unknown word as scope', passwordLogin({ id: 'x' }, 'x', 'everything')],
  ['an empty scope', passwordLogin({ id: 'x' }, 'x', {})],
  ['two scopes', passwordLogin({ id: 'x' }, 'x', { project: { id: 'p' }, domain: { id: 'd' } })],
  ['a project without a name', passwordLogin({ id: 'x' }, 'x', { project: {} })],
  ['a project name without a domain', passwordLogin({ id: 'x' }, 'x', { project: { name: 'p' } })],
  ['a domain without a name', passwordLogin({ id: 'x' }, 'x', { domain: {} })],
  ['half a system', passwordLogin({ id: 'x' }, 'x', { system: { all: false } })],
])('a login with %s is 400', async (_what, body) => {
  const answer = await cloud.call('POST', '/auth/tokens', body, null);
  expect([answer.status, answer.body.error.code, answer.body.error.title]).toEqual([400, 400, 'Bad Request']);
});

test('malformed JSON, another content type and huge bodies are refused', async () => {
  const send = (body: string, headers = { 'content-type': 'application/json' }) =>
    cloud.test.call('POST', '/identity/v3/auth/tokens', { token: null, body, headers });
  expect((await send('{"auth": ')).status).toBe(400);
  expect((await send('<auth/>', { 'content-type': 'application/xml' })).status).toBe(415);
  expect((await send(JSON.stringify({ auth: 'x'.repeat(200_000) }))).status).toBe(413);
});

test('an unknown method is 401', async () => {
  refused(await cloud.call('POST', '/auth/tokens', { auth: { identity: { methods: ['external'] } } }, null));
  refused(await cloud.call('POST', '/auth/tokens', { auth: { identity: { methods: [] } } }, null));
});

test('password and token together must be of one user', async () => {
  const carl = await cloud.person('carl');
  const both = (id: string, password: string, tokenId: string) =>
    cloud.call(
      'POST',
      '/auth/tokens',
      {
        auth: {
          identity: { methods: ['password', 'token'], password: { user: { id, password } }, token: { id: tokenId } },
        },
      },
      null,
    );
  const good = await both(ann.id, ann.password, token);
  expect([good.status, good.body.token.methods]).toEqual([201, ['password', 'token']]);
  refused(await both(carl.id, carl.password, token));
  refused(await both(ann.id, 'wrong', token));
});

test('validation shows the token to its owner and to administrators, to nobody else', async () => {
  const issued = await cloud.login({ id: ann.id }, ann.password, { project: { id: project } });
  const id = issued.headers.get('x-subject-token') ?? '';
  for (const by of [id, cloud.admin]) {
    const answer = await subject('GET', id, by);
    expect(answer.status).toBe(200);
    expect(answer.headers.get('x-subject-token')).toBe(id);
    expect(answer.body).toEqual(issued.body);
  }
  const head = await subject('HEAD', id);
  expect([head.status, head.headers.get('x-subject-token'), head.body]).toEqual([200, id, '']);
  expect((await subject('GET', id, cloud.admin, '?nocatalog')).body.token).not.toHaveProperty('catalog');
  const dan = await cloud.person('dan');
  expect((await subject('GET', id, await cloud.token(dan))).status).toBe(403);
  expect((await subject('DELETE', id, await cloud.token(dan))).status).toBe(403);
  expect((await subject('GET', 'made-up')).status).toBe(404);
  expect((await cloud.call('GET', '/auth/tokens')).status).toBe(404);
  refused(await subject('GET', id, 'made-up'));
  refused(await cloud.call('GET', '/auth/tokens', undefined, null, { 'x-subject-token': id }));
});

test('a revoked token is refused at once, others of the same user are not', async () => {
  const other = await cloud.token(ann, { project: { id: project } });
  expect((await subject('DELETE', token, token)).status).toBe(204);
  expect(await cloud.validity(token)).toBe(404);
  refused(await cloud.call('GET', '/auth/projects', undefined, token));
  refused(await fromToken(token));
  expect(await cloud.validity(other)).toBe(200);
});

test('a token from a token keeps its end and its chain, and says how it came about', async () => {
  const unscoped = await cloud.login({ id: ann.id }, ann.password, 'unscoped');
  cloud.clock.advance(60_000);
  const scoped = await fromToken(unscoped.headers.get('x-subject-token') ?? '', { project: { id: project } });
  expect(scoped.status).toBe(201);
  expect(scoped.body.token.expires_at).toBe(unscoped.body.token.expires_at);
  expect(scoped.body.token.methods).toEqual(['token', 'password']);
  expect(scoped.body.token.audit_ids).toEqual([expect.any(String), unscoped.body.token.audit_ids[0]]);
  const again = await fromToken(scoped.headers.get('x-subject-token') ?? '', 'unscoped');
  expect(again.body.token.audit_ids[1]).toBe(unscoped.body.token.audit_ids[0]);
  refused(await fromToken(token, { project: { id: 'foreign' } }));
});

test('an expired token is refused, and shown only to those who ask for expired ones', async () => {
  const asAdmin = async (): Promise<void> => {
    const scope = { project: { name: 'admin', domain: { id: 'default' } } };
    const answer = await cloud.login({ name: 'admin', domain: { id: 'default' } }, ADMIN_PASSWORD, scope);
    cloud.admin = answer.headers.get('x-subject-token') ?? '';
  };
  cloud.clock.advance(3_600_000);
  refused(await cloud.call('GET', '/auth/projects', undefined, token));
  await asAdmin();
  expect((await subject('GET', token)).status).toBe(404);
  expect((await subject('GET', token, cloud.admin, '?allow_expired=1')).status).toBe(200);
  expect((await subject('GET', token, cloud.admin, '?allow_expired=0')).status).toBe(404);
  cloud.clock.advance(3 * 86_400_000);
  await asAdmin();
  expect((await subject('GET', token, cloud.admin, '?allow_expired=1')).status).toBe(404);
});

const part = (value: object): string => Buffer.from(JSON.stringify(value)).toString('base64url');

test('forged tokens are refused', async () => {
  const { header, payload } = jwt.decode(token, { complete: true }) as jwt.Jwt;
  const claims = payload as jwt.JwtPayload;
  const [head = '', body = '', signature = ''] = token.split('.');
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const { keys } = cloud.test.cloud.identity;
  const { kid, key } = keys.current();
  const publicKey = await keys.find(kid);
  const publicPem = publicKey?.export({ type: 'spki', format: 'pem' }).toString() ?? '';
  const hmacHead = part({ alg: 'HS256', typ: 'JWT', kid });
  const sign = (
    changes: object,
    keyid: string | undefined = kid,
    by = createPrivateKey(key.export({ type: 'pkcs8', format: 'pem' })),
  ) => jwt.sign({ ...claims, ...changes }, by, { algorithm: 'ES256', ...(keyid === undefined ? {} : { keyid }) });
  const forged: Record<string, string> = {
    'no algorithm': `${part({ ...header, alg: 'none' })}.${body}.`,
    'no algorithm, signature kept': `${part({ ...header, alg: 'none' })}.${body}.${signature}`,
    'HMAC with the public key': `${hmacHead}.${body}.${createHmac('sha256', publicPem).update(`${hmacHead}.${body}`).digest('base64url')}`,
    'another key': sign({}, kid, privateKey),
    'an unknown key id': sign({}, '0123456789abcdef0123456789abcdef'),
    'no key id': sign({}, ''),
    'another audience': sign({ aud: 'elsewhere' }),
    'no audience': jwt.sign({ sub: claims.sub, scope: claims['scope'] }, key, {
      algorithm: 'ES256',
      keyid: kid,
      expiresIn: 60,
    }),
    'other claims under the old signature': `${head}.${part({ ...claims, scope: 's' })}.${signature}`,
    'no subject': sign({ sub: undefined }),
    'a scope that is none': sign({ scope: 'x:1' }),
    'an empty scope': sign({ scope: 'p' }),
    'methods that are no list': sign({ methods: 'password' }),
    'no audit ids': sign({ audit_ids: [] }),
    'a user that is gone': sign({ sub: 'gone' }),
    'half a token': token.slice(0, 100),
    'not a token': 'hello',
    'three dots': '...',
    'too long': 'x'.repeat(5000),
    'bad JSON inside': `${Buffer.from('{"alg":').toString('base64url')}.${body}.${signature}`,
  };
  for (const [what, value] of Object.entries(forged)) {
    const answer = await cloud.call('GET', '/auth/projects', undefined, value);
    expect([what, answer.status]).toEqual([what, 401]);
  }
  expect((await cloud.call('GET', '/auth/projects', undefined, sign({}))).status).toBe(200);
});

test('what a token says about roles is what they are now', async () => {
  const eve = await cloud.person('eve');
  await cloud.grant('member', `projects/${project}`, `users/${eve.id}`);
  const hers = await cloud.token(eve, { project: { id: project } });
  const names = async () => (await subject('GET', hers)).body.token.roles.map((role: Person) => role.name);
  expect(await names()).toEqual(['member', 'reader']);
  await cloud.grant('admin', `projects/${project}`, `users/${eve.id}`);
  expect(await names()).toEqual(['admin', 'member', 'reader']);
  for (const role of ['admin', 'member'])
    await cloud.must(204, 'DELETE', `/projects/${project}/users/${eve.id}/roles/${cloud.roles[role]}`);
  expect(await cloud.validity(hers)).toBe(404);
});

test('identity headers that a caller sends mean nothing', async () => {
  const headers = { 'x-roles': 'admin', 'x-user-id': 'admin', 'x-project-id': project, 'x-is-admin-project': 'True' };
  expect((await cloud.call('GET', '/users', undefined, token, headers)).status).toBe(403);
  expect((await cloud.call('GET', '/users', undefined, null, headers)).status).toBe(401);
});

test('what a token opens: projects, domains, the system, the catalog', async () => {
  const fay = await cloud.person('fay');
  const off = await cloud.project('off-limits', { enabled: false });
  await cloud.grant('reader', `projects/${off}`, `users/${fay.id}`);
  const mine = await cloud.token(fay);
  const get = (path: string, by = mine) => cloud.must(200, 'GET', path, undefined, by);
  expect((await get('/auth/projects')).projects).toEqual([]);
  expect((await get('/auth/domains')).domains).toEqual([]);
  expect((await get('/auth/system')).system).toEqual([]);
  expect((await cloud.call('GET', '/auth/catalog', undefined, mine)).status).toBe(403);
  await cloud.grant('reader', `projects/${project}`, `users/${fay.id}`);
  await cloud.grant('reader', 'domains/default', `users/${fay.id}`);
  await cloud.grant('reader', 'system', `users/${fay.id}`);
  expect((await get('/auth/projects')).projects.map((one: Person) => one.id)).toEqual([project]);
  expect((await get('/auth/domains')).domains.map((one: Person) => one.id)).toEqual(['default']);
  expect((await get('/auth/system')).system).toEqual([{ all: true }]);
  const catalog = await get('/auth/catalog', await cloud.token(fay, { project: { id: project } }));
  expect(catalog.catalog.map((one: { type: string }) => one.type)).toContain('network');
});
