// A controller with the real identity service, its administrator, and short ways to make people and log them in.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { systemClock, type Clock } from '@cumulet/common';
import { startTestCloud, type Answer, type TestCloud, type TestCloudOptions } from './testCloud';

export const ADMIN_PASSWORD = 'admin-secret';
const DEFAULT_DOMAIN = { id: 'default' };

/** A clock that can be set forward. */
interface MovableClock extends Clock {
  advance(milliseconds: number): void;
}

function movableClock(): MovableClock {
  let ahead = 0;
  return {
    ...systemClock,
    now: () => systemClock.now() + ahead,
    advance: (milliseconds) => void (ahead += milliseconds),
  };
}

export interface Person {
  readonly id: string;
  readonly name: string;
  readonly password: string;
}

export interface IdentityCloud {
  readonly test: TestCloud;
  readonly clock: MovableClock;
  /** The administrator's token in the project admin. */
  admin: string;
  readonly roles: Readonly<Record<string, string>>;
  /** One request below /identity/v3; as the administrator unless told otherwise. */
  call(
    method: string,
    path: string,
    body?: unknown,
    token?: string | null,
    headers?: Record<string, string>,
  ): Promise<Answer>;
  /** The same, and the status must be as expected. Gives the body. */
  // eslint-disable-next-line @typescript-eslint/no-explicit-any -- tests look into bodies freely
  must(status: number, method: string, path: string, body?: unknown, token?: string | null): Promise<any>;
  login(user: object, password: string, scope?: unknown): Promise<Answer>;
  /** The token of a login that must succeed. */
  token(person: Pick<Person, 'id' | 'password'>, scope?: unknown): Promise<string>;
  person(name: string, fields?: object): Promise<Person>;
  project(name: string, fields?: object): Promise<string>;
  domain(name: string): Promise<string>;
  /** Grants a role by its name: grant('member', 'projects/ID', 'users/ID'). */
  grant(role: string, target: string, actor: string): Promise<void>;
  /** The status of validating a token as the administrator. */
  validity(token: string): Promise<number>;
  stop(): Promise<void>;
}

export const passwordLogin = (user: object, password: string, scope?: unknown): object => ({
  auth: {
    identity: { methods: ['password'], password: { user: { ...user, password } } },
    ...(scope === undefined ? {} : { scope }),
  },
});

export async function startIdentity(options: TestCloudOptions = {}): Promise<IdentityCloud> {
  const directory = mkdtempSync(join(tmpdir(), 'cumulet-bootstrap-'));
  const file = join(directory, 'bootstrap.json');
  writeFileSync(file, JSON.stringify({ admin_password: ADMIN_PASSWORD }));
  const clock = movableClock();
  const config = { bootstrap_file: file, ...options.config };
  const test = await startTestCloud({ clock, ...options, config, realIdentity: true });
  rmSync(directory, { recursive: true });

  const cloud: IdentityCloud = {
    test,
    clock,
    admin: '',
    roles: {},
    call: (method, path, body, token = cloud.admin, headers = {}) =>
      test.call(method, `/identity/v3${path}`, { token, headers, ...(body === undefined ? {} : { body }) }),
    async must(status, method, path, body, token) {
      const answer = await cloud.call(method, path, body, token);
      if (answer.status !== status)
        throw new Error(`${method} ${path}: ${answer.status} instead of ${status}: ${JSON.stringify(answer.body)}`);
      return answer.body;
    },
    login: (user, password, scope) => cloud.call('POST', '/auth/tokens', passwordLogin(user, password, scope), null),
    async token(person, scope) {
      const answer = await cloud.login({ id: person.id }, person.password, scope);
      if (answer.status !== 201) throw new Error(`login: ${answer.status} ${JSON.stringify(answer.body)}`);
      return answer.headers.get('x-subject-token') ?? '';
    },
    async person(name, fields = {}) {
      const password = `${name}-secret`;
      const { user } = await cloud.must(201, 'POST', '/users', {
        user: { name, password, domain_id: 'default', ...fields },
      });
      return { id: user.id, name, password };
    },
    project: async (name, fields = {}) =>
      (await cloud.must(201, 'POST', '/projects', { project: { name, domain_id: 'default', ...fields } })).project.id,
    domain: async (name) => (await cloud.must(201, 'POST', '/domains', { domain: { name } })).domain.id,
    async grant(role, target, actor) {
      await cloud.must(204, 'PUT', `/${target}/${actor}/roles/${cloud.roles[role] ?? role}`);
    },
    validity: async (token) =>
      (await cloud.call('GET', '/auth/tokens', undefined, cloud.admin, { 'x-subject-token': token })).status,
    stop: () => test.stop(),
  };
  const scope = { project: { name: 'admin', domain: DEFAULT_DOMAIN } };
  const answer = await cloud.login({ name: 'admin', domain: DEFAULT_DOMAIN }, ADMIN_PASSWORD, scope);
  cloud.admin = answer.headers.get('x-subject-token') ?? '';
  const listed = await cloud.must(200, 'GET', '/roles');
  Object.assign(cloud.roles, Object.fromEntries(listed.roles.map((role: Person) => [role.name, role.id])));
  return cloud;
}
