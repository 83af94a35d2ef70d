// Uploads to a disk that is really full, and to one that can't be written: a clear answer and nothing left.
import { execFileSync } from 'node:child_process';
import { closeSync, copyFileSync, mkdirSync, mkdtempSync, openSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { childCoverage } from '../support/childCoverage';
import { qcow2Header } from '../support/diskHeaders';
import { createImage, imageFiles, startImageCloud, upload } from '../support/images';
import { startTestCloud, type TestCloud } from '../support/testCloud';

const MIB = 1024 * 1024;
let directory: string;
let images: string;
let cloud: TestCloud;

beforeEach(async () => {
  directory = mkdtempSync(join(tmpdir(), 'cumulet-full-'));
  images = join(directory, 'images');
  mkdirSync(images);
  execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=8m', 'cumulet-test', images]);
  cloud = await startImageCloud({}, { data_dir: directory });
});
afterEach(async () => {
  await cloud.stop();
  execFileSync('umount', [images]);
  rmSync(directory, { recursive: true, force: true });
});

const show = async (id: string) => (await cloud.call('GET', `/image/v2/images/${id}`)).body;
const stream = (id: string, size: number, kind: string) =>
  fetch(`${cloud.url}/image/v2/images/${id}/${kind}`, {
    method: 'PUT',
    headers: { 'x-auth-token': 'demo', 'content-type': 'application/octet-stream' },
    body: new Blob([Buffer.alloc(size, 1)]).stream(),
    duplex: 'half',
  });

test.each(['file', 'stage'])(
  'a disk that fills up during a PUT of the %s answers 413 and keeps nothing',
  async (kind) => {
    const { id } = await createImage(cloud);
    const answer = await stream(id, 20 * MIB, kind);
    expect(answer.status).toBe(413);
    expect(await answer.json()).toMatchObject({ message: expect.stringContaining('storage media is full') as string });
    expect(imageFiles(images)).toEqual([]);
    expect(await show(id)).toMatchObject({ status: 'queued', size: null });
    expect((await upload(cloud, id, Buffer.alloc(2 * MIB))).status).toBe(204);
  },
);

test('an announced size that does not fit is refused before anything is written', async () => {
  const { id } = await createImage(cloud);
  expect((await upload(cloud, id, Buffer.alloc(20 * MIB))).status).toBe(413);
  expect(imageFiles(images)).toEqual([]);
});

test('a disk that can not be written answers 503 with the reason', async () => {
  const { id } = await createImage(cloud);
  execFileSync('mount', ['-o', 'remount,ro', images]);
  const answer = await upload(cloud, id, 'x');
  expect(answer.status).toBe(503);
  expect(answer.body.message).toContain('Insufficient permissions on image storage media');
  expect((await show(id)).status).toBe('queued');
});

test('a key file on a disk that can not be written is used as it is', async () => {
  const key = join(images, 'key');
  copyFileSync(join(directory, 'token-keys.secret'), key);
  execFileSync('mount', ['-o', 'remount,ro', images]);
  const other = join(directory, 'other');
  const second = await startTestCloud({ realIdentity: true, config: { data_dir: other, token_key_file: key } });
  await second.stop();
  rmSync(other, { recursive: true });
});

test('headers are parsed by a process that is nobody, also of files that only we may read', () => {
  const path = join(images, 'private');
  writeFileSync(path, qcow2Header({}), { mode: 0o600 });
  const program = require.resolve('@cumulet/controller/dist/services/image/inspector/child.js');
  const stdin = openSync(path, 'r');
  const answer = execFileSync(process.execPath, [program], {
    env: { ...process.env, ...childCoverage() },
    stdio: [stdin, 'pipe', 'inherit'],
  }).toString();
  closeSync(stdin);
  expect(JSON.parse(answer)).toMatchObject({ format: 'qcow2', uid: 65534 });
});
