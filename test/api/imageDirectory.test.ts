// The directory of image bytes that controllers share: one that is not the cloud's is called so, never taken for one without images.
import { mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openDatabase } from '@cumulet/controller';
import { openImageStore } from '../../controller/src/services/image/directory';
import { openImageBytes } from '../../controller/src/services/image/store';
import { activeImage, createImage, imageFiles, startImageCloud, upload } from '../support/images';
import type { TestCloud } from '../support/testCloud';
import { createTestDatabase } from '../support/testDatabase';

const MARK = '.cumulet-images';
let base: string;
let cloud: TestCloud;
const started: TestCloud[] = [];
/** Another controller of the same cloud, with a directory of its own. */
async function start(dir: string): Promise<TestCloud> {
  const one = await startImageCloud({ dir }, { data_dir: join(base, 'data') });
  started.push(one);
  return one;
}
const shared = (): string => join(base, 'shared');
const show = async (at: TestCloud, id: string) => (await at.call('GET', `/image/v2/images/${id}`)).body;

beforeEach(async () => {
  base = mkdtempSync(join(tmpdir(), 'cumulet-image-directory-'));
  cloud = await start(shared());
});
afterEach(async () => {
  for (const one of started.splice(0)) await one.stop();
  rmSync(base, { recursive: true });
});

test('controllers with the same directory serve each other’s images', async () => {
  const image = await activeImage(cloud);
  const other = await start(shared());
  expect((await other.call('GET', `/image/v2/images/${image.id as string}/file`)).body).toBe('some bytes');
});

test('a controller with a directory of its own does not start, and says how to share', async () => {
  const image = await activeImage(cloud);
  await expect(start(join(base, 'own'))).rejects.toThrow(
    /own is not this cloud's directory of images: it has no file \.cumulet-images\. Mount the directory that the controllers share/,
  );
  expect(imageFiles(shared())).toEqual([image.id]);
  // What the words say helps after a restored backup.
  writeFileSync(join(base, 'own', MARK), readFileSync(join(shared(), MARK)));
  await start(join(base, 'own'));
});

test('another cloud’s directory is refused, and its images stay', async () => {
  const image = await activeImage(cloud);
  const made = await createTestDatabase();
  const db = await openDatabase(made.options);
  const stranger = (dir: string) => {
    const { config } = cloud.cloud;
    return openImageStore({ db, config: { ...config, image: { ...config.image, dir } } });
  };
  await expect(stranger(shared())).rejects.toThrow(/shared holds the images of another cloud/);
  expect(imageFiles(shared())).toEqual([image.id]);
  await stranger(join(base, 'strangers'));
  await expect(start(join(base, 'strangers'))).rejects.toThrow(/says that it is another cloud's/);
  // Without images it may be what a crash at the first start left.
  mkdirSync(join(base, 'empty'));
  writeFileSync(join(base, 'empty', MARK), 'some-id\n');
  const fresh = await createTestDatabase();
  const empty = await openDatabase(fresh.options);
  const { config } = cloud.cloud;
  await openImageStore({ db: empty, config: { ...config, image: { ...config.image, dir: join(base, 'empty') } } });
  for (const one of [db, empty]) await one.close();
  for (const one of [made, fresh]) await one.drop();
});

test('of two controllers that make a cloud at once with different directories one begins', async () => {
  const made = await createTestDatabase();
  const db = await openDatabase(made.options);
  const { config } = cloud.cloud;
  const begin = (dir: string) => openImageStore({ db, config: { ...config, image: { ...config.image, dir } } });
  const outcomes = await Promise.allSettled([begin(join(base, 'one')), begin(join(base, 'two'))]);
  expect(outcomes.map(({ status }) => status).sort()).toEqual(['fulfilled', 'rejected']);
  await db.close();
  await made.drop();
});

test('while the directory is not mounted, data is not reached instead of lost, and nothing is written beside it', async () => {
  const image = await activeImage(cloud);
  const waiting = await createImage(cloud);
  renameSync(shared(), join(base, 'unmounted'));
  mkdirSync(shared());
  const download = await cloud.call('GET', `/image/v2/images/${image.id as string}/file`);
  expect([download.status, JSON.stringify(download.body)]).toEqual([
    503,
    expect.stringContaining('can not be reached'),
  ]);
  expect((await upload(cloud, waiting.id, 'bytes')).status).toBe(503);
  await expect(openImageBytes(cloud.cloud, image.os_hash_value)).rejects.toMatchObject({ code: 'ImageStoreAway' });
  expect(imageFiles(shared())).toEqual([]);
  rmSync(shared(), { recursive: true });
  renameSync(join(base, 'unmounted'), shared());
  expect((await show(cloud, waiting.id)).status).toBe('queued');
  expect((await upload(cloud, waiting.id, 'bytes')).status).toBe(204);
  expect((await cloud.call('GET', `/image/v2/images/${image.id as string}/file`)).body).toBe('some bytes');
});

test('a mark that can not be read is a directory that can not be used', async () => {
  const waiting = await createImage(cloud);
  const mark = join(shared(), MARK);
  const id = readFileSync(mark);
  rmSync(mark);
  mkdirSync(mark);
  await expect(start(shared())).rejects.toThrow(/EISDIR/);
  expect((await upload(cloud, waiting.id, 'bytes')).status).toBe(503);
  rmSync(mark, { recursive: true });
  writeFileSync(mark, id);
  expect((await upload(cloud, waiting.id, 'bytes')).status).toBe(204);
});

test('bytes that are lost from the right directory are an error of the server, and the log knows', async () => {
  const image = await activeImage(cloud);
  rmSync(join(shared(), image.id));
  expect((await cloud.call('GET', `/image/v2/images/${image.id as string}/file`)).status).toBe(500);
  await expect(openImageBytes(cloud.cloud, image.os_hash_value)).rejects.toThrow('No image has the content');
});
