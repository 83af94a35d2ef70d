// Uploads and imports at one of several controllers: others leave them alone while their leases last, and take them over afterwards.
import { createHash } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { request as httpRequest, type ClientRequest } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { images } from '../../controller/src/db/entities/image';
import { recoverImages, recoverUploads } from '../../controller/src/services/image/recover';
import { until } from '../support/engineTasks';
import { createImage, imageFiles, startImageCloud, upload } from '../support/images';
import type { TestCloud } from '../support/testCloud';

let directory: string;
let first: TestCloud;
let second: TestCloud;
beforeEach(async () => {
  directory = mkdtempSync(join(tmpdir(), 'cumulet-images-'));
  first = await startImageCloud({}, { data_dir: directory });
  second = await startImageCloud({}, { data_dir: directory });
});
afterEach(async () => {
  await second.stop();
  await first.stop();
  rmSync(directory, { recursive: true, force: true });
});

const files = (): string[] => imageFiles(join(directory, 'images'));
const status = async (id: string): Promise<string> =>
  (await second.call('GET', `/image/v2/images/${id}`)).body.status as string;
const bytesOf = async (at: TestCloud, id: string) =>
  (await at.call('GET', `/image/v2/images/${id}/file`)).body as string;
/** As if the controller that works on it had been silent for long. */
const runOut = (id: string) => first.cloud.db.write((session) => session.update(images, { id }, { upload_until: 1 }));

/** An upload at the first controller of which only the beginning was sent. */
async function beginUpload(
  id: string,
  what: 'file' | 'stage',
): Promise<{ request: ClientRequest; status: Promise<number> }> {
  const headers = { 'x-auth-token': 'demo', 'content-type': 'application/octet-stream' };
  const request = httpRequest(`${first.url}/image/v2/images/${id}/${what}`, { method: 'PUT', headers });
  const answered = new Promise<number>((resolve, reject) => {
    request.on('response', (response) => (response.resume(), resolve(response.statusCode ?? 0)));
    request.on('error', reject);
  });
  request.write('first half, ');
  await until('the beginning of the file', () => files().some((name) => name.startsWith(id)));
  return { request, status: answered };
}

test.each(['file', 'stage'] as const)('an upload (%s) goes on when another controller starts', async (what) => {
  const { id } = await createImage(first);
  const running = await beginUpload(id, what);
  await recoverImages(second.cloud);
  running.request.end('second half');
  expect(await running.status).toBe(204);
  if (what === 'file') expect(await bytesOf(second, id)).toBe('first half, second half');
  await recoverImages(second.cloud);
  expect(files()).toEqual([what === 'file' ? id : `${id as string}.staged`]);
});

test.each(['file', 'stage'] as const)(
  'an upload (%s) whose lease ran out is given up, and leaves the next one alone',
  async (what) => {
    const { id } = await createImage(first);
    const running = await beginUpload(id, what);
    await runOut(id);
    await recoverUploads(second.cloud);
    expect([await status(id), files()]).toEqual(['queued', []]);
    expect((await upload(second, id, 'the next one')).status).toBe(204);
    running.request.end('second half');
    expect(await running.status).toBe(409);
    expect([await bytesOf(second, id), files()]).toEqual(['the next one', [id]]);
  },
);

test('an upload of an image that is deleted at another controller is told so, and leaves nothing', async () => {
  const { id } = await createImage(first);
  const running = await beginUpload(id, 'file');
  expect((await second.call('DELETE', `/image/v2/images/${id as string}`)).status).toBe(204);
  running.request.end('second half');
  expect(await running.status).toBe(410);
  expect(files()).toEqual([]);
});

test('of two uploads of an image at two controllers one is refused', async () => {
  const { id } = await createImage(first);
  const answers = await Promise.all([upload(first, id, 'one'), upload(second, id, 'two')]);
  expect(answers.map((answer) => answer.status).sort()).toEqual([204, 409]);
  expect(await bytesOf(first, id)).toBe(answers[0]?.status === 204 ? 'one' : 'two');
});

test('an import belongs to the controller that runs it until its lease runs out; then another one ends it', async () => {
  const { id } = await createImage(first);
  writeFileSync(join(directory, 'images', `${id as string}.staged`), 'staged');
  const digest = (name: string): string => createHash(name).update('staged').digest('hex');
  const running = {
    status: 'importing',
    size: 6,
    staged: { size: 6, checksum: digest('md5'), digest: digest('sha512') },
    upload_id: 'an-import',
    upload_until: Date.now() + 600_000,
  };
  await first.cloud.db.write((session) => session.update(images, { id }, running));
  await recoverImages(second.cloud);
  expect([await status(id), files()]).toEqual(['importing', [`${id as string}.staged`]]);
  await runOut(id);
  await Promise.all([recoverUploads(first.cloud), recoverUploads(second.cloud)]);
  expect([await status(id), await bytesOf(first, id)]).toEqual(['active', 'staged']);
});
