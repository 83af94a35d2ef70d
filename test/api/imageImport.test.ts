// Import from staging over HTTP: stage, import, and what becomes of an import that fails.
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { qcow2Header } from '../support/diskHeaders';
import { activeImage, createImage, patch, startImageCloud, upload } from '../support/images';
import type { TestCloud } from '../support/testCloud';

let cloud: TestCloud;
beforeAll(async () => {
  cloud = await startImageCloud();
});
afterAll(() => cloud.stop());

const url = (id: string, more = ''): string => `/image/v2/images/${id}${more}`;
const show = async (id: string) => (await cloud.call('GET', url(id))).body;
const stage = (id: string, bytes: Buffer | string, token = 'demo') =>
  cloud.call('PUT', url(id, '/stage'), { token, body: bytes, headers: { 'content-type': 'application/octet-stream' } });
const direct = { method: { name: 'glance-direct' } };
const start = (id: string, ...bodies: unknown[]) =>
  cloud.call('POST', url(id, '/import'), { body: bodies.length > 0 ? bodies[0] : direct });
const leftovers = (id: string): string[] =>
  readdirSync(join(cloud.directory, 'images')).filter((name) => name.startsWith(id));

test('staged bytes become the data of the image', async () => {
  const { id } = await createImage(cloud);
  expect((await stage(id, 'staged bytes')).status).toBe(204);
  expect(await show(id)).toMatchObject({ status: 'uploading', size: 12, checksum: null, os_hash_value: null });
  expect((await cloud.call('GET', url(id, '/file'))).status).toBe(204);
  const answer = await start(id);
  expect([answer.status, answer.body]).toEqual([202, '']);
  const shown = await show(id);
  expect(shown).toMatchObject({ status: 'active', size: 12, virtual_size: 12, stores: 'file' });
  expect(shown.checksum).toMatch(/^[0-9a-f]{32}$/);
  expect((await cloud.call('GET', url(id, '/file'))).body).toBe('staged bytes');
  expect(leftovers(id)).toEqual([id]);
  const { tasks } = (await cloud.call('GET', url(id, '/tasks'))).body;
  expect(tasks).toEqual([
    expect.objectContaining({
      type: 'api_image_import',
      status: 'success',
      image_id: id,
      message: '',
      owner: 'demo-project',
      user_id: 'demo-user',
      result: { image_id: id },
      request_id: answer.headers.get('x-openstack-request-id'),
    }),
  ]);
});

test('the formats must be set before the import, and before staging', async () => {
  for (const missing of ['container_format', 'disk_format']) {
    const { id } = await createImage(cloud, { [missing]: null });
    expect((await stage(id, 'x')).status).toBe(204);
    const answer = await start(id);
    expect([answer.status, answer.body.message]).toEqual([409, `'${missing}' needs to be set before import`]);
    expect((await patch(cloud, id, [{ op: 'replace', path: `/${missing}`, value: 'ami' }])).status).toBe(403);
  }
});

test('a hostile image is not imported: queued again, nothing left, the reason in its task', async () => {
  const { id } = await createImage(cloud, { disk_format: 'qcow2' });
  await stage(id, qcow2Header({ backing: '/etc/shadow' }));
  expect((await start(id)).status).toBe(202);
  expect(await show(id)).toMatchObject({ status: 'queued', size: null, os_glance_failed_import: 'file' });
  expect(leftovers(id)).toEqual([]);
  const { tasks } = (await cloud.call('GET', url(id, '/tasks'))).body;
  expect(tasks[0]).toMatchObject({ status: 'failure', result: null });
  expect(tasks[0].message).toContain('backing file');
  await stage(id, qcow2Header({}));
  expect((await start(id)).status).toBe(202);
  const shown = await show(id);
  expect(shown.status).toBe('active');
  expect(shown).not.toHaveProperty('os_glance_failed_import');
});

test.each([
  ['no body', undefined, 400],
  ['no method', {}, 400],
  ['no name', { method: {} }, 400],
  ['a method that is a text', { method: 'glance-direct' }, 400],
  ['web-download', { method: { name: 'web-download', uri: 'http://169.254.169.254/' } }, 400],
  ['a name that is no text', { method: { name: ['glance-direct'] } }, 400],
  ['a flag that is a text', { ...direct, all_stores: 'yes' }, 400],
  ['stores that are no list', { ...direct, stores: 'file' }, 400],
  ['an unknown store', { ...direct, stores: ['file', 'tape'] }, 409],
])('an import with %s is refused', async (_name, body, status) => {
  const { id } = await createImage(cloud);
  await stage(id, 'x');
  expect((await start(id, body)).status).toBe(status);
  expect((await show(id)).status).toBe('uploading');
});

test('only staged images can be imported, only queued ones staged', async () => {
  const queued = await createImage(cloud);
  const answer = await start(queued.id);
  expect([answer.status, answer.body.message]).toEqual([
    409,
    "Image needs to be staged before 'glance-direct' method can be used",
  ]);
  const active = await activeImage(cloud);
  expect((await start(active.id)).body.message).toBe('Image with status active cannot be target for import');
  expect((await stage(active.id, 'x')).status).toBe(409);
  await stage(queued.id, 'x');
  expect((await stage(queued.id, 'y')).status).toBe(409);
  expect((await upload(cloud, queued.id, 'y')).status).toBe(409);
  expect((await start('6f1a2b3c-0000-4000-8000-000000000000')).status).toBe(404);
});

test('staging wants bytes and the right to them', async () => {
  const { id } = await createImage(cloud);
  expect((await cloud.call('PUT', url(id, '/stage'), { body: {} })).status).toBe(415);
  expect((await stage(id, 'x', 'reader')).status).toBe(403);
  expect((await stage(id, 'x', 'other')).status).toBe(404);
  expect((await show(id)).status).toBe('queued');
});

test('deleting a staged image removes its bytes', async () => {
  const { id } = await createImage(cloud);
  await stage(id, 'x');
  expect(leftovers(id)).toEqual([`${id as string}.staged`]);
  expect((await cloud.call('DELETE', url(id))).status).toBe(204);
  expect(leftovers(id)).toEqual([]);
});
