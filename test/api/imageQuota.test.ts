// Limits of images: number, bytes, staged bytes, uploads at a time, largest image; and the usage that is told.
import { request as httpRequest } from 'node:http';
import { join } from 'node:path';
import { activeImage, createImage, imageFiles, startImageCloud, upload } from '../support/images';
import type { TestCloud } from '../support/testCloud';

const MIB = 1024 * 1024;
let cloud: TestCloud;
afterEach(() => cloud.stop());

const stage = (id: string, bytes: Buffer, token = 'demo') =>
  cloud.call('PUT', `/image/v2/images/${id}/stage`, {
    token,
    body: bytes,
    headers: { 'content-type': 'application/octet-stream' },
  });
const files = (): string[] => imageFiles(join(cloud.directory, 'images'));

test('the number of images is limited per project', async () => {
  cloud = await startImageCloud({ max_images: 2 });
  const first = await createImage(cloud);
  await createImage(cloud);
  const refused = await cloud.call('POST', '/image/v2/images', { body: {} });
  expect(refused.status).toBe(413);
  expect(refused.body.message).toContain('image_count_total would be 3 of at most 2');
  await createImage(cloud, {}, 'other');
  await cloud.call('DELETE', `/image/v2/images/${first.id as string}`);
  await createImage(cloud);
});

test('parallel creates do not pass the limit together', async () => {
  cloud = await startImageCloud({ max_images: 3 });
  const answers = await Promise.all(
    Array.from({ length: 8 }, () => cloud.call('POST', '/image/v2/images', { body: {} })),
  );
  expect(answers.map((answer) => answer.status).sort()).toEqual([201, 201, 201, 413, 413, 413, 413, 413]);
});

test('bytes are limited, whether announced or not, and a refused upload leaves nothing', async () => {
  cloud = await startImageCloud({ max_total_mib: 2 });
  await activeImage(cloud, {}, 'demo', Buffer.alloc(MIB));
  const { id } = await createImage(cloud);
  const announced = await upload(cloud, id, Buffer.alloc(MIB + 1));
  expect(announced.status).toBe(413);
  expect(announced.body.message).toContain('image_size_total');
  const piped = await new Promise<number>((resolve, reject) => {
    const request = httpRequest(`${cloud.url}/image/v2/images/${id as string}/file`, {
      method: 'PUT',
      headers: { 'x-auth-token': 'demo', 'content-type': 'application/octet-stream' },
    });
    request.on('response', (response) => resolve(response.resume().statusCode ?? 0)).on('error', reject);
    request.write(Buffer.alloc(MIB));
    request.end(Buffer.alloc(MIB));
  });
  expect(piped).toBe(413);
  expect(files()).toHaveLength(1);
  expect((await cloud.call('GET', `/image/v2/images/${id as string}`)).body.status).toBe('queued');
  expect((await upload(cloud, id, Buffer.alloc(MIB))).status).toBe(204);
});

test('two uploads that fit alone do not fit together', async () => {
  cloud = await startImageCloud({ max_total_mib: 1 });
  const images = [await createImage(cloud), await createImage(cloud)];
  const answers = await Promise.all(images.map((image) => upload(cloud, image.id, Buffer.alloc(MIB))));
  expect(answers.map((answer) => answer.status).sort()).toEqual([204, 413]);
  expect(files()).toHaveLength(1);
});

test('an image has a largest size', async () => {
  cloud = await startImageCloud({ max_image_mib: 1 });
  const { id } = await createImage(cloud);
  const answer = await upload(cloud, id, Buffer.alloc(MIB + 1));
  expect(answer.status).toBe(413);
  expect(answer.body.message).toContain('The incoming image is too large');
});

test('staged bytes are limited, and an import counts with the data', async () => {
  cloud = await startImageCloud({ max_staged_mib: 1, max_total_mib: 0 });
  const { id } = await createImage(cloud);
  expect((await stage(id, Buffer.alloc(MIB + 1))).status).toBe(413);
  expect((await cloud.call('GET', `/image/v2/images/${id as string}`)).body.status).toBe('queued');
  expect((await stage(id, Buffer.alloc(MIB))).status).toBe(204);
  await cloud.call('POST', `/image/v2/images/${id as string}/import`, { body: { method: { name: 'glance-direct' } } });
  expect((await cloud.call('GET', `/image/v2/images/${id as string}`)).body.status).toBe('queued');
  const { tasks } = (await cloud.call('GET', `/image/v2/images/${id as string}/tasks`)).body;
  expect(tasks[0].message).toContain('image_size_total');
  expect(files()).toEqual([]);
});

test('uploads at a time are limited', async () => {
  cloud = await startImageCloud({ max_uploads: 1 });
  const [one, two] = [await createImage(cloud), await createImage(cloud)];
  await stage(one.id, Buffer.alloc(1));
  const refused = await upload(cloud, two.id, 'x');
  expect(refused.status).toBe(413);
  expect(refused.body.message).toContain('image_count_uploading');
  expect((await stage(two.id, Buffer.alloc(1))).status).toBe(413);
  await cloud.call('DELETE', `/image/v2/images/${one.id as string}`);
  expect((await upload(cloud, two.id, 'x')).status).toBe(204);
});

test('-1 is no limit', async () => {
  cloud = await startImageCloud({
    max_images: -1,
    max_total_mib: -1,
    max_uploads: -1,
    max_tags: -1,
    max_properties: -1,
  });
  await activeImage(cloud, { tags: ['a'], a: 'b' });
});

test('space is kept free on the disk', async () => {
  cloud = await startImageCloud({ keep_free_mib: 2 ** 40 });
  const { id } = await createImage(cloud);
  const answer = await upload(cloud, id, 'x');
  expect(answer.status).toBe(413);
  expect(answer.body.message).toContain('Image storage media is full');
  expect(files()).toEqual([]);
});

test('an image of no project is staged without a limit, and counts for nobody', async () => {
  cloud = await startImageCloud({ max_staged_mib: 1 });
  const { id, owner } = await createImage(cloud, {}, 'system');
  expect(owner).toBeNull();
  expect((await stage(id, Buffer.alloc(2 * MIB), 'system')).status).toBe(204);
  const { usage } = (await cloud.call('GET', '/image/v2/info/usage', { token: 'system' })).body;
  expect([usage.image_stage_total, usage.image_count_total.usage]).toEqual([{ usage: 0, limit: 1 }, 0]);
});

test('usage is told with its limits', async () => {
  cloud = await startImageCloud({ max_images: 10, max_total_mib: 20, max_staged_mib: 30, max_uploads: 4 });
  await activeImage(cloud, {}, 'demo', Buffer.alloc(2 * MIB));
  const { id } = await createImage(cloud);
  await stage(id, Buffer.alloc(3 * MIB));
  await createImage(cloud, {}, 'other');
  expect((await cloud.call('GET', '/image/v2/info/usage')).body).toEqual({
    usage: {
      image_size_total: { usage: 2, limit: 20 },
      image_stage_total: { usage: 3, limit: 30 },
      image_count_total: { usage: 2, limit: 10 },
      image_count_uploading: { usage: 1, limit: 4 },
    },
  });
});
