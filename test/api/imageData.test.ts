// Image bytes over HTTP: upload, download, ranges, and what is left when something fails.
import { createHash, randomBytes } from 'node:crypto';
import { createImage, startImageCloud, upload } from '../support/images';
import type { TestCloud } from '../support/testCloud';

let cloud: TestCloud;
beforeAll(async () => {
  cloud = await startImageCloud();
});
afterAll(() => cloud.stop());

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
