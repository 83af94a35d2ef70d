// What a controller finds when it starts after it was killed: cut-off uploads, interrupted imports, files of no image.
import { spawn, type ChildProcess } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { request as httpRequest } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Logger } from '@cumulet/common';
import type { Database } from '@cumulet/controller';
import { images, imageTasks, type Image } from '../../controller/src/db/entities/image';
import { beginUpload, holding } from '../../controller/src/services/image/uploadLease';
import { recoverUploads } from '../../controller/src/services/image/recover';
import { runImport } from '../../controller/src/services/image/importImage';
import { until } from '../support/engineTasks';
import { activeImage, createImage, imageFiles, startImageCloud, upload } from '../support/images';
import type { TestCloud } from '../support/testCloud';
import { databaseIn } from '../support/testDatabase';

// Each test starts several controllers.
let directory: string;
let child: ChildProcess | undefined;
let cloud: TestCloud;
beforeEach(async () => {
  directory = mkdtempSync(join(tmpdir(), 'cumulet-images-'));
  cloud = await startImageCloud({}, { data_dir: directory });
});
afterEach(async () => {
  child?.kill('SIGKILL');
  child = undefined;
  await cloud.stop();
  rmSync(directory, { recursive: true, force: true });
});

const file = (name: string): string => join(directory, 'images', name);
const files = (): string[] => imageFiles(join(directory, 'images'));
const set = (id: string, values: Partial<Image>) =>
  cloud.cloud.db.write((session) => session.update(images, { id }, values));
const show = async (id: string) => (await cloud.call('GET', `/image/v2/images/${id}`)).body;

async function restart(): Promise<void> {
  await cloud.stop();
  cloud = await startImageCloud({}, { data_dir: directory });
}

const staged = (bytes: string) => ({
  size: bytes.length,
  checksum: createHash('md5').update(bytes).digest('hex'),
  digest: createHash('sha512').update(bytes).digest('hex'),
});

/** An image as it is when the process dies in the middle of an import. */
async function importing(bytes: string, at: 'staged' | 'placed' | 'lost'): Promise<string> {
  const { id } = await createImage(cloud);
  mkdirSync(join(directory, 'images'), { recursive: true });
  await set(id, { status: 'importing', size: bytes.length, staged: staged(bytes) });
  if (at !== 'lost') writeFileSync(file(`${id as string}.staged`), bytes);
  if (at === 'placed') renameSync(file(`${id as string}.staged`), file(id));
  await cloud.cloud.db.write((session) =>
    session.insert(imageTasks, {
      id: `task-${id as string}`,
      image_id: id,
      status: 'processing',
      message: '',
      input: {},
      owner: 'demo-project',
      user_id: 'demo-user',
      request_id: 'req-1',
      created_at: 1,
      updated_at: 1,
    }),
  );
  return id as string;
}

test('uploads that were cut off are queued again, with nothing left, and can be repeated', async () => {
  const saving = await createImage(cloud);
  const placed = await createImage(cloud);
  const staging = await createImage(cloud);
  mkdirSync(join(directory, 'images'), { recursive: true });
  writeFileSync(file(`${saving.id as string}.1234.part`), 'half');
  // Died between the rename and the commit.
  writeFileSync(file(placed.id), 'whole');
  writeFileSync(file(`${staging.id as string}.5678.part`), 'half');
  await set(saving.id, { status: 'saving' });
  await set(placed.id, { status: 'saving' });
  await set(staging.id, { status: 'uploading' });
  await restart();
  expect(files()).toEqual([]);
  for (const { id } of [saving, placed, staging]) {
    expect((await show(id)).status).toBe('queued');
    expect((await upload(cloud, id, 'again')).status).toBe(204);
  }
});

test('data and staged bytes stay; files of no image and of queued ones go; others are not ours', async () => {
  const active = await activeImage(cloud);
  const deactivated = await activeImage(cloud);
  await cloud.call('POST', `/image/v2/images/${deactivated.id as string}/actions/deactivate`);
  const waiting = await createImage(cloud);
  await cloud.call('PUT', `/image/v2/images/${waiting.id as string}/stage`, {
    body: 'staged',
    headers: { 'content-type': 'application/octet-stream' },
  });
  const queued = await createImage(cloud);
  writeFileSync(file(queued.id), 'x');
  writeFileSync(
    file('6f1a2b3c-0000-4000-8000-000000000000'),
    'deleted, but the process died before its file was removed',
  );
  writeFileSync(file(`${active.id as string}.staged`), 'x');
  writeFileSync(file('README'), 'not ours');
  await restart();
  expect(files()).toEqual([active.id, deactivated.id, `${waiting.id as string}.staged`, 'README'].sort());
  expect((await cloud.call('GET', `/image/v2/images/${active.id as string}/file`)).body).toBe('some bytes');
});

test.each(['staged', 'placed'] as const)(
  'an import that was interrupted when the bytes were %s is finished',
  async (at) => {
    const id = await importing('staged bytes', at);
    await restart();
    expect(await show(id)).toMatchObject({
      status: 'active',
      ...{ size: 12, checksum: staged('staged bytes').checksum },
    });
    expect((await cloud.call('GET', `/image/v2/images/${id}/file`)).body).toBe('staged bytes');
    expect((await cloud.call('GET', `/image/v2/images/${id}/tasks`)).body.tasks[0].status).toBe('success');
  },
);

test('an import whose bytes are lost ends with a failure, not with a stuck image', async () => {
  const id = await importing('staged bytes', 'lost');
  await restart();
  expect((await show(id)).status).toBe('queued');
  const [task] = (await cloud.call('GET', `/image/v2/images/${id}/tasks`)).body.tasks;
  expect(task).toMatchObject({ status: 'failure', message: expect.stringMatching(/./) as string });
});

describe('the lease of an upload', () => {
  const row = async (id: string): Promise<Image> => {
    const found = await cloud.cloud.db.read((session) => session.findOne(images, { id }));
    if (!found) throw new Error('no such image');
    return found;
  };
  const begin = (image: Image): Promise<string> =>
    cloud.cloud.db.write((session) => beginUpload(session, cloud.cloud, image, 'saving'));

  test('begins once: who read the image before is refused', async () => {
    const image = await row((await createImage(cloud)).id as string);
    await begin(image);
    await expect(begin(image)).rejects.toMatchObject({ status: 409 });
  });

  test.each([
    ['to another controller', (id: string) => set(id, { upload_id: 'another' }), ['importing', true]],
    [
      'because the image was deleted',
      (id: string) => cloud.cloud.db.write((session) => session.delete(images, { id })),
      [undefined, false],
    ],
  ])('that an import lost %s: it ends nothing that is not its own', async (_why, lose, left) => {
    const id = await importing('staged bytes', 'staged');
    await set(id, { upload_id: 'mine', upload_until: Date.now() + 60_000 });
    let isLost = false;
    const db: Database = {
      ...cloud.cloud.db,
      write: async (work) => {
        if (!isLost) await lose(id);
        isLost = true;
        return cloud.cloud.db.write(work);
      },
    };
    await runImport({ ...cloud.cloud, db }, id, 'mine');
    expect([(await show(id)).status, existsSync(file(`${id}.staged`))]).toEqual(left);
    const [task] = await cloud.cloud.db.read((session) => session.find(imageTasks, { where: { image_id: id } }));
    expect(task?.status).toBe('processing');
  });

  test('is renewed while the work lasts; a failure is logged, and the next renewal comes anyway', async () => {
    const { id } = await createImage(cloud);
    const uploadId = await begin(await row(id as string));
    const renewals: (() => void)[] = [];
    const timer = jest
      .spyOn(globalThis, 'setInterval')
      .mockImplementation((renew) => (renewals.push(renew), setTimeout(() => undefined)));
    const warned: string[] = [];
    const log = { warn: (_facts: object, words: string) => void warned.push(words) } as unknown as Logger;
    let broken = true;
    const db: Database = {
      ...cloud.cloud.db,
      write: (work) => (broken ? Promise.reject(new Error('away')) : cloud.cloud.db.write(work)),
    };
    await holding({ ...cloud.cloud, db, log }, id as string, uploadId, async () => {
      timer.mockRestore();
      await set(id as string, { upload_until: 1 });
      renewals[0]?.();
      await until('the warning', () => warned.length === 1);
      expect((await row(id as string)).upload_until).toBe(1);
      broken = false;
      renewals[0]?.();
      await until('the renewal', async () => Number((await row(id as string)).upload_until) > 1);
    });
    expect(warned).toEqual(['the lease of an upload was not renewed']);
  });
});

test('an import of an image that was deleted meanwhile does nothing', async () => {
  const { id } = await createImage(cloud);
  await runImport(cloud.cloud, id, 'an-upload');
  expect((await show(id)).status).toBe('queued');
  expect(existsSync(file(id))).toBe(false);
});

test('kill -9 in the middle of an upload and of a download costs only these', async () => {
  await cloud.stop();
  const database = JSON.stringify((await databaseIn(directory)).config);
  const killed = spawn(process.execPath, [join(__dirname, '../support/imageController.js'), directory, database]);
  child = killed;
  const port = await new Promise<string>((resolve) =>
    killed.stdout.once('data', (data) => resolve(String(data).trim())),
  );
  const url = `http://127.0.0.1:${port}/image/v2/images`;
  const create = async (): Promise<string> => {
    const headers = { 'x-auth-token': 'any', 'content-type': 'application/json' };
    const body = JSON.stringify({ disk_format: 'raw', container_format: 'bare' });
    return ((await (await fetch(url, { method: 'POST', headers, body })).json()) as { id: string }).id;
  };
  const headers = { 'x-auth-token': 'any', 'content-type': 'application/octet-stream' };
  const whole = await create();
  const bytes = Buffer.alloc(20_000_000, 'whole');
  expect((await fetch(`${url}/${whole}/file`, { method: 'PUT', headers, body: bytes })).status).toBe(204);
  const half = await create();
  const cutOff = httpRequest(`${url}/${half}/file`, { method: 'PUT', headers });
  cutOff.on('error', () => undefined);
  cutOff.write(Buffer.alloc(2_000_000));
  const download = await fetch(`${url}/${whole}/file`, { headers });
  while (!files().some((name) => name.startsWith(half))) await new Promise((resolve) => setTimeout(resolve, 10));
  killed.kill('SIGKILL');
  await expect(download.arrayBuffer()).rejects.toThrow();
  await new Promise((resolve) => ((killed.exitCode ?? killed.signalCode) ? resolve(0) : killed.once('exit', resolve)));
  cloud = await startImageCloud({}, { data_dir: directory });
  // With SQLite at once; with MariaDB another controller could be at work until the upload's lease ends.
  for (const end = Date.now() + 30_000; (await show(half)).status !== 'queued' && Date.now() < end;) {
    await recoverUploads(cloud.cloud);
    await new Promise((resolve) => setTimeout(resolve, 200));
  }
  expect((await show(half)).status).toBe('queued');
  expect(files()).toEqual([whole]);
  expect(await show(whole)).toMatchObject({
    status: 'active',
    checksum: createHash('md5').update(bytes).digest('hex'),
  });
  expect((await upload(cloud, half, 'again')).status).toBe(204);
});
