// Keypairs: import and generation, whose they are, and what each microversion shows.
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { startTestCloud, testCallers, type TestCloud } from '../support/testCloud';

const KEY = 'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIHcwakfcpZDofzOkskYTFBRMBwSJDMkl5BamIYrsJ3Th someone@somewhere';
let cloud: TestCloud;
beforeAll(async () => void (cloud = await startTestCloud()));
afterAll(() => cloud.stop());

const at = (version: string) => ({ 'x-openstack-nova-api-version': version });
const add = (keypair: object, version = '2.1', token = 'demo') =>
  cloud.call('POST', '/compute/v2.1/os-keypairs', { body: { keypair }, headers: at(version), token });
const get = (path: string, version = '2.1', token = 'demo') =>
  cloud.call('GET', `/compute/v2.1/os-keypairs${path}`, { headers: at(version), token });

test('an imported key comes back at 2.1 with exactly its keys and no private part', async () => {
  const answer = await add({ name: 'imported', public_key: KEY });
  expect(answer.status).toBe(200);
  expect(answer.body.keypair).toEqual({
    name: 'imported',
    public_key: KEY,
    fingerprint: expect.stringMatching(/^([0-9a-f]{2}:){15}[0-9a-f]{2}$/),
    user_id: testCallers['demo']?.userId,
  });
});

test('status and type change with 2.2', async () => {
  const answer = await add({ name: 'typed', public_key: KEY, type: 'ssh' }, '2.2');
  expect([answer.status, answer.body.keypair.type]).toEqual([201, 'ssh']);
  expect((await add({ name: 'early', public_key: KEY, type: 'ssh' }, '2.1')).status).toBe(400);
  expect((await add({ name: 'cert', type: 'x509' }, '2.2')).body.notImplemented.code).toBe(501);
});

test('a generated key is one that ssh accepts and that fits its public half', async () => {
  const answer = await add({ name: 'generated' }, '2.10');
  const { private_key, public_key, fingerprint } = answer.body.keypair;
  const directory = mkdtempSync(join(tmpdir(), 'cumulet-key-'));
  try {
    writeFileSync(join(directory, 'id'), private_key, { mode: 0o600 });
    writeFileSync(join(directory, 'id.pub'), public_key);
    const derived = execFileSync('ssh-keygen', ['-y', '-f', join(directory, 'id')], { encoding: 'utf8' });
    expect(derived.split(' ')[1]?.trim()).toBe(public_key.split(' ')[1]);
    const printed = execFileSync('ssh-keygen', ['-l', '-E', 'md5', '-f', join(directory, 'id.pub')], {
      encoding: 'utf8',
    });
    expect(printed).toContain(`MD5:${fingerprint}`);
  } finally {
    rmSync(directory, { recursive: true });
  }
  expect((await get('/generated')).body.keypair).not.toHaveProperty('private_key');
});

test('show has the old columns too, in the way clients parse them', async () => {
  const shown = (await get('/imported')).body.keypair;
  expect(Object.keys(shown).sort()).toEqual(
    [
      ...['created_at', 'deleted', 'deleted_at', 'fingerprint', 'id', 'name'],
      ...['public_key', 'updated_at', 'user_id'],
    ].sort(),
  );
  expect(shown).toMatchObject({ deleted: false, deleted_at: null, updated_at: null });
  expect(shown.created_at).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}$/);
  expect(Number.isInteger(shown.id)).toBe(true);
  expect((await get('/imported', '2.2')).body.keypair.type).toBe('ssh');
});

test.each([
  ['a damaged key', { name: 'bad', public_key: 'ssh-ed25519 AAAA x' }],
  ['a key of another type than it says', { name: 'bad', public_key: KEY.replace('ssh-ed25519', 'ssh-rsa') }],
  ['two lines', { name: 'bad', public_key: `${KEY}\n${KEY}` }],
  ['not base64', { name: 'bad', public_key: 'ssh-rsa {}' }],
  ['words', { name: 'bad', public_key: 'hello there' }],
  ['an odd name', { name: 'a/b', public_key: KEY }],
  ['an empty name', { name: '', public_key: KEY }],
  ['no name', { public_key: KEY }],
  ['an unknown key', { name: 'bad', colour: 'red' }],
])('%s is a bad request', async (_what, keypair) => {
  expect((await add(keypair, '2.10')).body.badRequest?.code).toBe(400);
});

test('a name is taken once per user', async () => {
  expect((await add({ name: 'twice', public_key: KEY })).status).toBe(200);
  expect((await add({ name: 'twice', public_key: KEY })).body.conflictingRequest.message).toContain('twice');
  expect((await add({ name: 'twice', public_key: KEY }, '2.1', 'other')).status).toBe(200);
});

test('users see and remove their own keys only; administrators name a user from 2.10 on', async () => {
  await add({ name: 'mine', public_key: KEY });
  const demo = testCallers['demo']?.userId ?? '';
  expect((await get('/mine', '2.10', 'other')).status).toBe(404);
  expect((await get(`/mine?user_id=${demo}`, '2.10', 'other')).status).toBe(403);
  expect((await get(`?user_id=${demo}`, '2.10', 'other')).status).toBe(403);
  expect((await get(`/mine?user_id=${demo}`, '2.10', 'admin')).status).toBe(200);
  expect((await get(`/mine?user_id=${demo}`, '2.9', 'admin')).status).toBe(404);
  expect((await add({ name: 'gift', public_key: KEY, user_id: demo }, '2.10', 'other')).status).toBe(403);
  expect((await add({ name: 'gift', public_key: KEY, user_id: demo }, '2.10', 'admin')).status).toBe(201);
  expect((await get('/gift')).status).toBe(200);
  const remove = (path: string, version: string, token = 'demo') =>
    cloud.call('DELETE', `/compute/v2.1/os-keypairs${path}`, { headers: at(version), token });
  expect((await remove(`/mine?user_id=${demo}`, '2.10', 'other')).status).toBe(403);
  expect((await remove('/mine', '2.1')).status).toBe(202);
  expect((await remove('/mine', '2.1')).status).toBe(404);
  expect((await remove('/gift', '2.2')).status).toBe(204);
});

test('lists are by name and page from 2.35 on', async () => {
  for (const name of ['k3', 'k1', 'k2']) await add({ name, public_key: KEY }, '2.1', 'other');
  const names = (answer: Awaited<ReturnType<typeof get>>) =>
    answer.body.keypairs.map((one: { keypair: { name: string } }) => one.keypair.name);
  const all = await get('', '2.1', 'other');
  expect(names(all)).toEqual(['k1', 'k2', 'k3', 'twice']);
  expect(Object.keys(all.body.keypairs[0].keypair).sort()).toEqual(['fingerprint', 'name', 'public_key']);
  expect(names(await get('?limit=2', '2.34', 'other'))).toHaveLength(4);
  const page = await get('?limit=2', '2.35', 'other');
  expect(names(page)).toEqual(['k1', 'k2']);
  const next = new URL(page.body.keypairs_links[0].href);
  expect(names(await get(next.search, '2.35', 'other'))).toEqual(['k3', 'twice']);
  expect((await get('?marker=nobody', '2.35', 'other')).status).toBe(400);
  expect(names(await get('?limit=0', '2.35', 'other'))).toEqual([]);
  expect((await get('?colour=red', '2.75', 'other')).status).toBe(400);
});

test('a user has at most as many keys as the quota allows', async () => {
  const limit = { quota_set: { key_pairs: 0 } };
  await cloud.call('PUT', '/compute/v2.1/os-quota-sets/reader-project', { token: 'admin', body: limit });
  await cloud.call('PUT', '/compute/v2.1/os-quota-sets/admin-project', { token: 'admin', body: limit });
  const answer = await add({ name: 'one-more', public_key: KEY }, '2.2', 'admin');
  expect([answer.status, Object.keys(answer.body)]).toEqual([403, ['forbidden']]);
});

test('belong to a user, who needs no project for them', async () => {
  expect((await add({ name: 'k', public_key: KEY }, '2.2', 'system')).status).toBe(201);
  expect((await get('/k', '2.1', 'system')).body.keypair.user_id).toBe('system-user');
});

test('from 2.92 keys are only imported, under names with more characters', async () => {
  expect((await add({ name: 'me@host.lab', public_key: KEY }, '2.91', 'other')).status).toBe(400);
  expect((await add({ name: 'me@host.lab', public_key: KEY }, '2.92', 'other')).status).toBe(201);
  expect((await add({ name: 'generated' }, '2.92', 'other')).status).toBe(400);
});
