// Whatever is sent to the identity API is answered with an error of the caller, never with one of ours.
import fc from 'fast-check';
import { identityService } from '../../controller/src/api/identity/routes';
import { startIdentity, type IdentityCloud } from '../support/identity';

let cloud: IdentityCloud;
beforeAll(async () => void (cloud = await startIdentity({ config: { lockout_attempts: 0 } })));
afterAll(() => cloud.stop());

const RUNS = { numRuns: 150 };
const odd = fc.oneof(
  fc.jsonValue(),
  fc.constantFrom(null, '', 0, -1, [], {}, true, 'x'.repeat(70), '\u0000', '%', "' OR 1=1 --"),
);

/** Objects that are nearly what a resource's body is. */
const nearly = (keys: readonly string[]) =>
  fc.dictionary(fc.oneof(fc.constantFrom(...keys), fc.string({ maxLength: 8 })), odd, { maxKeys: 6 });

test('any text as a token is 401', async () => {
  const text = fc.oneof(
    fc.string({ minLength: 1, maxLength: 60 }),
    fc.tuple(fc.base64String(), fc.base64String(), fc.base64String()).map((parts) => parts.join('.')),
    fc.jsonValue().map((header) => `${Buffer.from(JSON.stringify(header)).toString('base64url')}.e30.AAAA`),
  );
  const headerText = text.filter((value) => /^[\x21-\x7e]+$/.test(value));
  await fc.assert(
    fc.asyncProperty(headerText, async (token) => {
      expect((await cloud.call('GET', '/auth/projects', undefined, token)).status).toBe(401);
    }),
    RUNS,
  );
});

test('any login is 400 or 401', async () => {
  const user = nearly(['id', 'name', 'domain', 'password']);
  const body = fc.oneof(
    odd,
    fc.record({
      auth: fc.oneof(
        odd,
        fc.record({
          identity: fc.record({
            methods: fc.oneof(odd, fc.constantFrom(['password'], ['token'], ['password', 'token'])),
            password: fc.oneof(odd, fc.record({ user: fc.oneof(odd, user) })),
            token: fc.oneof(odd, nearly(['id'])),
          }),
          scope: fc.oneof(odd, nearly(['project', 'domain', 'system', 'unscoped'])),
        }),
      ),
    }),
  );
  await fc.assert(
    fc.asyncProperty(body, async (value) => {
      const text = JSON.stringify(value);
      const headers = { 'content-type': 'application/json' };
      const { status } = await cloud.test.call('POST', '/v3/auth/tokens', { token: null, body: text, headers });
      expect([400, 401]).toContain(status);
    }),
    RUNS,
  );
});

const NOUNS = {
  projects: ['project', ['name', 'domain_id', 'parent_id', 'is_domain', 'enabled', 'tags', 'options', 'description']],
  domains: ['domain', ['name', 'enabled', 'options', 'tags', 'explicit_domain_id']],
  users: ['user', ['name', 'domain_id', 'default_project_id', 'enabled', 'options', 'email']],
  groups: ['group', ['name', 'domain_id', 'description']],
  roles: ['role', ['name', 'domain_id', 'description', 'options']],
  regions: ['region', ['id', 'description', 'parent_region_id']],
  services: ['service', ['type', 'name', 'description', 'enabled']],
  endpoints: ['endpoint', ['interface', 'service_id', 'region', 'region_id', 'url', 'enabled']],
} as const;

test.each(Object.entries(NOUNS))('any body of %s is taken or refused in words', async (path, [noun, keys]) => {
  const body = fc.oneof(
    odd,
    fc.record({
      [noun]: fc.oneof(
        odd,
        nearly(keys),
        nearly(keys).map((one) => ({ ...one, name: 'fine', type: 't' })),
      ),
    }),
  );
  await fc.assert(
    fc.asyncProperty(body, async (value) => {
      const headers = { 'content-type': 'application/json' };
      const answer = await cloud.test.call('POST', `/v3/${path}`, {
        token: cloud.admin,
        body: JSON.stringify(value),
        headers,
      });
      expect([201, 400, 403, 404, 409]).toContain(answer.status);
      if (answer.status !== 201) expect(answer.body.error.message).toEqual(expect.any(String));
    }),
    { numRuns: 60 },
  );
});

test('any id in a path and any query is answered without an error of ours', async () => {
  const reads = identityService.routes.filter((route) => route.method === 'GET' && route.path !== '/auth/tokens');
  const value = fc.oneof(
    fc.string({ maxLength: 20 }),
    fc.constantFrom('..', '%00', '%ff', '\u0000', 'a/b', "'", 'x'.repeat(300)),
  );
  await fc.assert(
    fc.asyncProperty(fc.constantFrom(...reads), value, value, value, async (route, id, key, text) => {
      const path = route.path.replace(/:\w+/g, () => encodeURIComponent(id) || 'x');
      const query = new URLSearchParams([
        [key, text],
        ['name', text],
        ['enabled', text],
        ['name__contains', key],
      ]);
      const { status } = await cloud.call('GET', `${path}?${query.toString()}`);
      expect(status).toBeLessThan(500);
    }),
    RUNS,
  );
});

test('a path that can’t be decoded is 400 in the shape of this service', async () => {
  const answer = await cloud.call('GET', '/users/%ff');
  expect([answer.status, answer.body.error?.code]).toEqual([400, 400]);
});

test('of many who make the same name at once, one succeeds', async () => {
  const answers = await Promise.all(
    Array.from({ length: 12 }, () => cloud.call('POST', '/projects', { project: { name: 'rush' } })),
  );
  expect(answers.map((answer) => answer.status).sort()).toEqual([201, ...Array.from({ length: 11 }, () => 409)]);
});

test('of many who grant the same at once, all succeed and there is one grant', async () => {
  const { id } = await cloud.person('popular');
  const project = await cloud.project('stage');
  const path = `/projects/${project}/users/${id}/roles/${cloud.roles['reader']}`;
  const answers = await Promise.all(Array.from({ length: 8 }, () => cloud.call('PUT', path)));
  expect(answers.map((answer) => answer.status)).toEqual(Array.from({ length: 8 }, () => 204));
  expect((await cloud.must(200, 'GET', `/role_assignments?user.id=${id}`)).role_assignments).toHaveLength(1);
});
