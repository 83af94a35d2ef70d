// Image bytes over HTTP: upload, download, ranges, and what is left when something fails.
import { createHash, randomBytes } from 'node:crypto';
import { rmSync, symlinkSync } from 'node:fs';
import { request as httpRequest, type IncomingMessage } from 'node:http';
import { join } from 'node:path';
import { PassThrough } from 'node:stream';
import { qcow2Header, vmdkHeader } from '../support/diskHeaders';
import type { Caller } from '@cumulet/controller';
import { discardBody } from '../../controller/src/api/image/discardBody';
import { images } from '../../controller/src/db/entities/image';
import { findBootableImage } from '../../controller/src/services/image/boot';
import { openImageBytes } from '../../controller/src/services/image/store';
import { activeImage, createImage, imageFiles, patch, startImageCloud, upload } from '../support/images';
import { testCallers, type TestCloud } from '../support/testCloud';

let cloud: TestCloud;
beforeAll(async () => {
  cloud = await startImageCloud();
});
afterAll(() => cloud.stop());

const files = (): string[] => imageFiles(join(cloud.directory, 'images'));

test('uploaded bytes come back with both digests and the size', async () => {
  const bytes = randomBytes(300_000);
  const image = await createImage(cloud);
  expect(image).toMatchObject({ status: 'queued', size: null, checksum: null, os_hash_value: null });
  expect((await upload(cloud, image.id, bytes)).status).toBe(204);
  const shown = (await cloud.call('GET', `/image/v2/images/${image.id}`)).body;
  const checksum = createHash('md5').update(bytes).digest('hex');
  expect(shown).toMatchObject({
    status: 'active',
    size: 300_000,
    virtual_size: 300_000,
    checksum,
    os_hash_algo: 'sha512',
    os_hash_value: createHash('sha512').update(bytes).digest('hex'),
    stores: 'file',
  });
  const response = await fetch(`${cloud.url}/image/v2/images/${image.id}/file`, {
    headers: { 'x-auth-token': 'demo' },
  });
  expect(response.status).toBe(200);
  expect(response.headers.get('content-md5')).toBe(checksum);
  expect(response.headers.get('content-length')).toBe('300000');
  expect(response.headers.get('content-type')).toBe('application/octet-stream');
  expect(Buffer.from(await response.arrayBuffer()).equals(bytes)).toBe(true);
});

test('bytes that are not what the image says are refused and leave nothing', async () => {
  for (const [disk_format, bytes, reason] of [
    ['qcow2', qcow2Header({ backing: '/etc/shadow' }), 'backing file'],
    ['qcow2', Buffer.alloc(1000), 'does not match stream data raw'],
    ['raw', qcow2Header({}), 'does not match stream data qcow2'],
    ['vmdk', vmdkHeader({ descriptor: 'createType="monolithicFlat"\n' }), 'monolithicFlat'],
  ] as const) {
    const image = await createImage(cloud, { disk_format });
    const answer = await upload(cloud, image.id, bytes);
    expect(answer.status).toBe(415);
    expect(answer.body.message).toContain(reason);
    const shown = (await cloud.call('GET', `/image/v2/images/${image.id}`)).body;
    expect(shown).toMatchObject({ status: 'queued', size: null, checksum: null });
    expect(files().filter((name) => name.startsWith(image.id))).toEqual([]);
  }
});

test('the virtual size of a qcow2 is that of its disk', async () => {
  const image = await activeImage(cloud, { disk_format: 'qcow2' }, 'demo', qcow2Header({ size: 5n * 1024n ** 3n }));
  expect(image).toMatchObject({ size: 65536, virtual_size: 5 * 1024 ** 3 });
});

test('what is in another container than bare is not looked at', async () => {
  const body = { disk_format: 'vmdk', container_format: 'ova' };
  expect(await activeImage(cloud, body, 'demo', 'a tar file')).toMatchObject({ size: 10, virtual_size: null });
});

const fileUrl = (id: string): string => `/image/v2/images/${id}/file`;
const leftovers = (id: string): string[] => files().filter((name) => name.startsWith(id));
const show = async (id: string) => (await cloud.call('GET', `/image/v2/images/${id}`)).body;

/** An upload that sends its bytes when told to. */
function slowUpload(id: string, headers: Record<string, string> = {}, path = fileUrl(id)) {
  const request = httpRequest(cloud.url + path, {
    method: 'PUT',
    headers: { 'x-auth-token': 'demo', 'content-type': 'application/octet-stream', ...headers },
  });
  const status = new Promise<number>((resolve, reject) => {
    request.on('response', (response) => {
      response.resume();
      resolve(response.statusCode ?? 0);
    });
    request.on('error', reject);
  });
  return { request, status };
}

async function until(condition: () => Promise<boolean> | boolean): Promise<void> {
  while (!(await condition())) await new Promise((resolve) => setTimeout(resolve, 10));
}

describe('ranges', () => {
  const bytes = Buffer.from('0123456789');
  let id: string;
  beforeAll(async () => {
    ({ id } = await activeImage(cloud, {}, 'demo', bytes));
  });

  test.each([
    ['range', 'bytes=0-3', '0123', 'bytes 0-3/10'],
    ['range', 'bytes=4-', '456789', 'bytes 4-9/10'],
    ['range', 'bytes=-3', '789', 'bytes 7-9/10'],
    ['range', 'bytes=-30', '0123456789', 'bytes 0-9/10'],
    ['range', 'bytes=8-99', '89', 'bytes 8-9/10'],
    ['range', 'Bytes = 9-9', '9', 'bytes 9-9/10'],
    ['content-range', 'bytes 2-4/*', '234', 'bytes 2-4/10'],
    ['content-range', 'bytes 2-4/10', '234', 'bytes 2-4/10'],
  ])('%s: %s', async (name, value, expected, contentRange) => {
    const answer = await cloud.call('GET', fileUrl(id), { headers: { [name]: value } });
    expect(answer.status).toBe(206);
    expect(answer.body).toBe(expected);
    expect(answer.headers.get('content-range')).toBe(contentRange);
    expect(answer.headers.get('content-length')).toBe(String(expected.length));
  });

  test.each([
    ['range', 'bytes=10-', 416],
    ['range', 'bytes=5-4', 416],
    ['range', 'bytes=-0', 416],
    ['range', 'bytes=-', 416],
    ['range', 'lines=1-2', 416],
    ['range', 'bytes=0-1,3-4', 400],
    ['content-range', 'bytes 4-10/*', 416],
    ['content-range', 'bytes 4-2/*', 416],
    ['content-range', 'bytes 0-1/11', 416],
    ['content-range', 'bytes', 416],
  ])('%s: %s is refused', async (name, value, status) => {
    const answer = await cloud.call('GET', fileUrl(id), { headers: { [name]: value } });
    expect(answer.status).toBe(status);
    if (status === 416) expect(answer.headers.get('content-range')).toBe('bytes */10');
  });
});

test('an image without data has nothing to download', async () => {
  const { id } = await createImage(cloud);
  const answer = await cloud.call('GET', fileUrl(id));
  expect([answer.status, answer.body]).toEqual([204, '']);
});

test('an empty upload is an empty image', async () => {
  const { id } = await createImage(cloud);
  expect((await upload(cloud, id, '')).status).toBe(204);
  expect(await show(id)).toMatchObject({ status: 'active', size: 0, checksum: 'd41d8cd98f00b204e9800998ecf8427e' });
  expect((await cloud.call('GET', fileUrl(id))).body).toBe('');
});

test('data of a pipe comes in pieces without a length', async () => {
  const { id } = await createImage(cloud);
  const { request, status } = slowUpload(id);
  request.write('one ');
  request.end('two');
  expect(await status).toBe(204);
  expect((await cloud.call('GET', fileUrl(id))).body).toBe('one two');
});

test.each([
  ['no content type', {}, 415],
  ['another content type', { 'content-type': 'application/json' }, 415],
  ['an impossible size', { 'content-type': 'application/octet-stream', 'x-openstack-image-size': 'x' }, 400],
  ['an unknown store', { 'content-type': 'application/octet-stream', 'x-image-meta-store': 'tape' }, 400],
])('an upload with %s is refused', async (_name, headers, status) => {
  const { id } = await createImage(cloud);
  const answer = await cloud.call('PUT', fileUrl(id), { body: Buffer.from('x'), headers });
  expect(answer.status).toBe(status);
  expect((await show(id)).status).toBe('queued');
});

test('an upload needs both formats', async () => {
  const { id } = await createImage(cloud, { disk_format: null, container_format: null });
  const answer = await upload(cloud, id, 'x');
  expect(answer.status).toBe(400);
  expect(answer.body.message).toBe('Properties disk_format, container_format must be set prior to saving data.');
  const other = await createImage(cloud, { container_format: null });
  expect((await upload(cloud, other.id, 'x')).body.message).toBe(
    'Property container_format must be set prior to saving data.',
  );
});

test('CVE-2015-5251, CVE-2016-0757: the data of an active image never changes', async () => {
  const { id, checksum } = await activeImage(cloud);
  expect((await upload(cloud, id, 'other bytes')).status).toBe(409);
  const stage = await cloud.call('PUT', `/image/v2/images/${id as string}/stage`, {
    body: Buffer.from('other bytes'),
    headers: { 'content-type': 'application/octet-stream' },
  });
  expect(stage.status).toBe(409);
  for (const value of ['queued', 'saving']) {
    expect((await patch(cloud, id, [{ op: 'replace', path: '/status', value }])).status).toBe(403);
  }
  expect((await patch(cloud, id, [{ op: 'replace', path: '/locations', value: [] }])).status).toBe(403);
  await cloud.call('POST', `/image/v2/images/${id as string}/actions/deactivate`);
  expect((await upload(cloud, id, 'other bytes')).status).toBe(409);
  await cloud.call('POST', `/image/v2/images/${id as string}/actions/reactivate`);
  expect(await show(id)).toMatchObject({ status: 'active', checksum });
  expect((await cloud.call('GET', fileUrl(id))).body).toBe('some bytes');
});

test('of two uploads to one image one wins, the other is told', async () => {
  const { id } = await createImage(cloud);
  const first = slowUpload(id);
  first.request.write('first');
  await until(async () => (await show(id)).status === 'saving');
  const second = await upload(cloud, id, 'second');
  expect(second.status).toBe(409);
  expect(second.body.message).toBe('Image status transition from saving to saving is not allowed');
  first.request.end();
  expect(await first.status).toBe(204);
  expect((await cloud.call('GET', fileUrl(id))).body).toBe('first');
});

test('an upload cut off in the middle leaves nothing, and the image can be uploaded again', async () => {
  const { id } = await createImage(cloud);
  const { request, status } = slowUpload(id, { 'content-length': '1000000' });
  request.write(Buffer.alloc(300_000));
  await until(() => leftovers(id).length > 0);
  request.destroy();
  await expect(status).rejects.toThrow();
  await until(async () => (await show(id)).status === 'queued');
  expect(leftovers(id)).toEqual([]);
  expect((await upload(cloud, id, 'again')).status).toBe(204);
});

test.each(['file', 'stage'])('an image deleted while its %s is uploaded takes the bytes with it', async (what) => {
  const { id } = await createImage(cloud);
  const { request, status } = slowUpload(id, {}, `/image/v2/images/${id as string}/${what}`);
  request.write('half');
  await until(() => leftovers(id).length > 0);
  expect((await cloud.call('DELETE', `/image/v2/images/${id as string}`)).status).toBe(204);
  request.end();
  expect(await status).toBe(410);
  expect(leftovers(id)).toEqual([]);
});

test('the rest of a refused upload is read for a while only, and not at all when it is announced to be huge', async () => {
  const body = (headers: object) =>
    Object.assign(new PassThrough(), { headers }) as unknown as IncomingMessage & PassThrough;
  const endless = body({});
  const discarded = discardBody(endless);
  const chunk = Buffer.alloc(64 * 1024 * 1024);
  for (let at = 0; at < 9; at++) endless.write(chunk);
  await discarded;
  expect([endless.writableEnded, endless.listenerCount('data')]).toEqual([false, 0]);
  const huge = body({ 'content-length': String(2 ** 40) });
  await discardBody(huge);
  expect(huge.readableFlowing).toBeNull();
});

test('a download goes on when the image is deleted meanwhile', async () => {
  const bytes = randomBytes(8_000_000);
  const { id } = await activeImage(cloud, {}, 'demo', bytes);
  const response = await fetch(cloud.url + fileUrl(id), { headers: { 'x-auth-token': 'demo' } });
  expect((await cloud.call('DELETE', `/image/v2/images/${id as string}`)).status).toBe(204);
  expect(leftovers(id)).toEqual([]);
  expect(Buffer.from(await response.arrayBuffer()).equals(bytes)).toBe(true);
});

test('300 MB go up and down in constant memory', async () => {
  const piece = Buffer.alloc(1024 * 1024, 7);
  const { id } = await createImage(cloud);
  const rss = (): number => process.memoryUsage().rss / 1024 / 1024;
  let peak = 0;
  const { request, status } = slowUpload(id);
  const before = rss();
  for (let at = 0; at < 300; at++) {
    if (!request.write(piece)) await new Promise((resolve) => request.once('drain', resolve));
    peak = Math.max(peak, rss());
  }
  request.end();
  expect(await status).toBe(204);
  const response = await fetch(cloud.url + fileUrl(id), { headers: { 'x-auth-token': 'demo' } });
  let size = 0;
  for await (const chunk of response.body ?? []) {
    size += (chunk as Uint8Array).length;
    peak = Math.max(peak, rss());
  }
  expect(size).toBe(300 * 1024 * 1024);
  expect(peak - before).toBeLessThan(150);
  await cloud.call('DELETE', `/image/v2/images/${id as string}`);
});

describe('for the rest of the cloud', () => {
  const read = (caller: string, id: string) =>
    cloud.cloud.db.read((session) => findBootableImage(session, testCallers[caller] as Caller, id));

  test('an active image is found with what a server needs, and its bytes by their digest', async () => {
    const changes = { min_ram: 64, min_disk: 1, hw_disk_bus: 'virtio' };
    const image = await activeImage(cloud, changes, 'demo', 'bytes only of this image');
    expect(await read('demo', image.id)).toEqual({
      id: image.id,
      name: 'test',
      status: 'active',
      digest: image.os_hash_value,
      container_format: 'bare',
      disk_format: 'raw',
      size: 24,
      virtual_size: 24,
      min_disk: 1,
      min_ram: 64,
      properties: { hw_disk_bus: 'virtio' },
      owner: 'demo-project',
      visibility: 'shared',
    });
    const { size, stream, path } = await openImageBytes(cloud.cloud, image.os_hash_value);
    expect([size, path]).toEqual([24, join(cloud.directory, 'images', image.id)]);
    expect((await stream.toArray()).join('')).toBe('bytes only of this image');
    // A file that is there but can't be opened is no deleted image.
    rmSync(path);
    symlinkSync(path, path);
    await expect(openImageBytes(cloud.cloud, image.os_hash_value)).rejects.toMatchObject({ code: 'ELOOP' });
  });

  test('an image whose disk nobody measured counts as large as its file', async () => {
    const { id } = await activeImage(cloud);
    await cloud.cloud.db.write((session) => session.update(images, { id }, { virtual_size: null }));
    const { size, virtual_size } = await read('demo', id);
    expect(virtual_size).toBe(size);
  });

  test('the digest finds another image with the same bytes when one is gone', async () => {
    const [one, two] = [await activeImage(cloud, {}, 'demo', 'twice'), await activeImage(cloud, {}, 'other', 'twice')];
    rmSync(join(cloud.directory, 'images', one.id));
    const { stream, path } = await openImageBytes(cloud.cloud, one.os_hash_value);
    stream.destroy();
    expect(path).toContain(two.id);
    rmSync(path);
    await expect(openImageBytes(cloud.cloud, one.os_hash_value)).rejects.toThrow('No image has the content');
  });

  test('a foreign, queued, deactivated or other kind of image is no image to boot from', async () => {
    const active = await activeImage(cloud, { visibility: 'private' });
    await expect(read('other', active.id)).rejects.toThrow('No image found');
    await expect(read('demo', 'nothing')).rejects.toThrow('No image found');
    await expect(read('demo', (await createImage(cloud)).id)).rejects.toThrow('is not active');
    await cloud.call('POST', `/image/v2/images/${active.id as string}/actions/deactivate`);
    await expect(read('demo', active.id)).rejects.toThrow('is not active');
    const ova = await activeImage(cloud, { disk_format: 'vmdk', container_format: 'ova' });
    await expect(read('demo', ova.id)).rejects.toThrow('servers boot from disk formats qcow2 and raw');
  });
});
