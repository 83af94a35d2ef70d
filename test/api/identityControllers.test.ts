// Several controllers on one database: what one changes holds in the others soon; keys rotate without anybody noticing.
import {
  chmodSync,
  copyFileSync,
  existsSync,
  readdirSync,
  readFileSync,
  statSync,
  writeFileSync,
  mkdtempSync,
  rmSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openDatabase } from '@cumulet/controller';
import jwt from 'jsonwebtoken';
import { identityChanges, tokenKeys } from '../../controller/src/db/entities/identity';
import { openSigningKeys } from '../../controller/src/services/identity/signingKeys';
import { startIdentity, type IdentityCloud, type Person } from '../support/identity';
import { startTestCloud, type TestCloud } from '../support/testCloud';
import { createTestDatabase } from '../support/testDatabase';

let first: IdentityCloud;
let second: TestCloud;
let ann: Person;
let project: string;

beforeEach(async () => {
  first = await startIdentity({ config: { token_key_lifetime: 3600 } });
  second = await startTestCloud({
    realIdentity: true,
    clock: first.clock,
    config: { data_dir: first.test.directory, token_key_lifetime: 3600 },
  });
  ann = await first.person('ann');
  project = await first.project('shared');
  await first.grant('member', `projects/${project}`, `users/${ann.id}`);
});
afterEach(async () => {
  await second.stop();
  await first.stop();
});

const token = () => first.token(ann, { project: { id: project } });
const statusAtSecond = async (of: string): Promise<number> =>
  (await second.call('GET', '/identity/v3/auth/projects', { token: of })).status;

/** Asks the other controller until it answers as expected. It reads changes at least once a second; a busy machine gets longer. */
async function eventually(of: string, expected: number): Promise<number> {
  const end = Date.now() + 10_000;
  let status = await statusAtSecond(of);
  while (status !== expected && Date.now() < end) {
    await new Promise((resolve) => setTimeout(resolve, 50));
    status = await statusAtSecond(of);
  }
  return status;
}

test('a revoked token is refused by the other controller too', async () => {
  const mine = await token();
  const other = await token();
  expect(await statusAtSecond(mine)).toBe(200);
  expect((await first.call('DELETE', '/auth/tokens', undefined, mine, { 'x-subject-token': mine })).status).toBe(204);
  expect(await eventually(mine, 401)).toBe(401);
  expect(await statusAtSecond(other)).toBe(200);
});

test.each([
  ['the user is disabled', () => first.must(200, 'PATCH', `/users/${ann.id}`, { user: { enabled: false } })],
  ['the password is new', () => first.must(200, 'PATCH', `/users/${ann.id}`, { user: { password: 'new' } })],
  ['the user is deleted', () => first.must(204, 'DELETE', `/users/${ann.id}`)],
  [
    'the role is taken',
    () => first.must(204, 'DELETE', `/projects/${project}/users/${ann.id}/roles/${first.roles['member']}`),
  ],
  ['the project is disabled', () => first.must(200, 'PATCH', `/projects/${project}`, { project: { enabled: false } })],
  ['the project is deleted', () => first.must(204, 'DELETE', `/projects/${project}`)],
])('when %s, the other controller learns of it', async (_what, act) => {
  const mine = await token();
  expect(await statusAtSecond(mine)).toBe(200);
  await act();
  expect(await eventually(mine, 401)).toBe(401);
});

test('a new service is in the catalog of the other controller soon', async () => {
  const mine = await token();
  const types = async (): Promise<string[]> =>
    (await second.call('GET', '/v3/auth/catalog', { token: mine })).body.catalog.map(
      (one: { type: string }) => one.type,
    );
  expect(await types()).not.toContain('late');
  await first.must(201, 'POST', '/services', { service: { type: 'late' } });
  const end = Date.now() + 10_000;
  while (!(await types()).includes('late') && Date.now() < end) await new Promise((resolve) => setTimeout(resolve, 50));
  expect(await types()).toContain('late');
});

test('revocations outlive a restart', async () => {
  const mine = await token();
  await first.call('DELETE', '/auth/tokens', undefined, mine, { 'x-subject-token': mine });
  const third = await startTestCloud({
    realIdentity: true,
    clock: first.clock,
    config: { data_dir: first.test.directory },
  });
  expect((await third.call('GET', '/v3/auth/projects', { token: mine })).status).toBe(401);
  await third.stop();
});

test('keys rotate: tokens of both are good everywhere, and the old key goes when its last token has expired', async () => {
  const { keys } = first.test.cloud.identity;
  const kid = (of: string): string | undefined => jwt.decode(of, { complete: true })?.header.kid;
  const before = await token();
  expect(await keys.rotate()).toBe(true);
  const after = await token();
  expect(kid(after)).not.toBe(kid(before));
  expect([await statusAtSecond(before), await statusAtSecond(after)]).toEqual([200, 200]);
  first.clock.advance(2000);
  expect(await keys.rotate()).toBe(true);
  const newest = await token();
  expect([await statusAtSecond(before), await statusAtSecond(newest)]).toEqual([200, 200]);
  expect(await second.cloud.identity.keys.rotate()).toBe(true);
  first.clock.advance(3 * 86_400_000);
  await keys.maintain();
  const left = await first.test.cloud.db.read((session) => session.find(tokenKeys, { order: { generation: 'ASC' } }));
  expect(left.map((row) => row.kid)).not.toContain(kid(before));
  expect(left.length).toBeGreaterThanOrEqual(2);
  expect(await keys.find(kid(before) ?? '')).toBeUndefined();
});

test('a key that another controller made meanwhile is not made twice', async () => {
  const { keys } = first.test.cloud.identity;
  await second.cloud.identity.keys.rotate();
  expect(await keys.rotate()).toBe(false);
  expect(keys.current().kid).toBe(second.cloud.identity.keys.current().kid);
});

test('maintenance replaces a key that is old enough, and only then', async () => {
  const { keys } = first.test.cloud.identity;
  const { kid } = keys.current();
  await keys.maintain();
  expect(keys.current().kid).toBe(kid);
  first.clock.advance(3_601_000);
  await keys.maintain();
  expect(keys.current().kid).not.toBe(kid);
});

test('changes that no token can remember are deleted', async () => {
  const count = () => first.test.cloud.db.read((session) => session.count(identityChanges));
  await first.test.cloud.identity.maintain();
  expect(await count()).toBeGreaterThan(0);
  first.clock.advance(3 * 86_400_000);
  await first.test.cloud.identity.maintain();
  expect(await count()).toBe(0);
});

test('an administrator’s file overrides the policy', async () => {
  const policy_file = join(first.test.directory, 'policy.yaml');
  writeFileSync(policy_file, '"identity:list_users": "role:member"\n');
  const open = await startTestCloud({
    realIdentity: true,
    clock: first.clock,
    config: { data_dir: first.test.directory, policy_file },
  });
  const mine = await token();
  expect((await second.call('GET', '/v3/users', { token: mine })).status).toBe(403);
  expect((await open.call('GET', '/v3/users', { token: mine })).status).toBe(200);
  await open.stop();
});

test('the private keys are in the database only encrypted, and the key file is for its owner alone', async () => {
  const file = join(first.test.directory, 'token-keys.secret');
  expect(statSync(file).mode & 0o777).toBe(0o600);
  const rows = await first.test.cloud.db.read((session) => session.find(tokenKeys));
  for (const row of rows) {
    expect(row.public_key).toContain('BEGIN PUBLIC KEY');
    expect(row.private_key).not.toContain('PRIVATE');
  }
  const other = await startTestCloud({ realIdentity: true });
  const foreign = readFileSync(join(other.directory, 'token-keys.secret'));
  await other.stop();
  writeFileSync(file, foreign);
  await expect(startTestCloud({ realIdentity: true, config: { data_dir: first.test.directory } })).rejects.toThrow(
    'does not fit the signing keys',
  );
});

test('a controller without the key file of the others refuses to start and makes none', async () => {
  const token_key_file = join(first.test.directory, 'copied.secret');
  const start = () =>
    startTestCloud({ realIdentity: true, config: { data_dir: first.test.directory, token_key_file } });
  await expect(start()).rejects.toThrow(`there is no key file ${token_key_file}, but the database has signing keys`);
  expect(existsSync(token_key_file)).toBe(false);
  copyFileSync(join(first.test.directory, 'token-keys.secret'), token_key_file);
  chmodSync(token_key_file, 0o644);
  const third = await start();
  expect(statSync(token_key_file).mode & 0o777).toBe(0o600);
  expect((await third.call('GET', '/v3/auth/projects', { token: await token() })).status).toBe(200);
  await third.stop();
});

test('of two controllers with different key files that make a cloud at once, one begins and the other takes its file away', async () => {
  const made = await createTestDatabase();
  const db = await openDatabase(made.options);
  const directory = mkdtempSync(join(tmpdir(), 'cumulet-two-'));
  const open = (name: string) =>
    openSigningKeys({ db, clock: first.clock, keyFile: join(directory, name), lifetime: 1, verifyFor: 1 });
  const opened = await Promise.allSettled([open('one'), open('two')]);
  expect(opened.map(({ status }) => status).sort()).toEqual(['fulfilled', 'rejected']);
  const refused = opened.find((one) => one.status === 'rejected');
  // Which words depends on how far the first one was.
  expect(String(refused?.reason)).toMatch(/does not fit the signing keys|there is no key file/);
  expect(readdirSync(directory)).toHaveLength(1);
  await db.close();
  await made.drop();
  rmSync(directory, { recursive: true });
});

test('a damaged or missing bootstrap file is named', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'cumulet-bad-bootstrap-'));
  const file = join(directory, 'bootstrap.json');
  const start = () =>
    startTestCloud({ realIdentity: true, config: { bootstrap_file: file, data_dir: join(directory, 'data') } });
  await expect(start()).rejects.toThrow(`cannot read the bootstrap file ${file}`);
  writeFileSync(file, '{"admin_password": 5}');
  await expect(start()).rejects.toThrow('must hold {"admin_password"');
  expect(existsSync(join(directory, 'data'))).toBe(true);
  rmSync(directory, { recursive: true });
});

test('a new cloud is made once: a second start changes nothing, and a late bootstrap file makes the administrator', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'cumulet-late-'));
  const config = { data_dir: join(directory, 'data') };
  const without = await startTestCloud({ realIdentity: true, config });
  const login = (password: string) => ({
    auth: {
      identity: { methods: ['password'], password: { user: { name: 'admin', domain: { id: 'default' }, password } } },
    },
  });
  expect((await without.call('POST', '/v3/auth/tokens', { token: null, body: login('late') })).status).toBe(401);
  await without.stop();
  const file = join(directory, 'bootstrap.json');
  for (const password of ['late', 'later']) {
    writeFileSync(file, JSON.stringify({ admin_password: password }));
    const cloud = await startTestCloud({ realIdentity: true, config: { ...config, bootstrap_file: file } });
    expect((await cloud.call('POST', '/v3/auth/tokens', { token: null, body: login('late') })).status).toBe(201);
    await cloud.stop();
  }
  rmSync(directory, { recursive: true });
});
