// Image bytes over HTTP: upload, download, ranges, and what is left when something fails.
import { createHash, randomBytes } from 'node:crypto';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { qcow2Header, vmdkHeader } from '../support/diskHeaders';
import { activeImage, createImage, startImageCloud, upload } from '../support/images';
import type { TestCloud } from '../support/testCloud';

let cloud: TestCloud;
beforeAll(async () => {
  cloud = await startImageCloud();
});
afterAll(() => cloud.stop());

const files = (): string[] => readdirSync(join(cloud.directory, 'images'));

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
