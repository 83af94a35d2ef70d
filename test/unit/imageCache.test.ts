// The image cache on real files: verified, fetched once, refused when damaged or dangerous, evicted when unused.
import {
  existsSync,
  linkSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { setTimeout as delay } from 'node:timers/promises';
import { silentLogger, systemClock, type Clock } from '@cumulet/common';
import { createImageCache, type WantedImage } from '../../storage-agent/src/imageCache';
import { fakeAgentApi, sha512 } from '../support/fakeAgentApi';
import { qcow2Header } from '../support/qcow2';

let dir: string;
beforeEach(() => (dir = mkdtempSync(join(tmpdir(), 'cumulet-cache-'))));
afterEach(() => rmSync(dir, { recursive: true, force: true }));

const never = (): AbortSignal => new AbortController().signal;
const silent = (): Promise<void> => Promise.resolve();

function scene(clock: Clock = systemClock, limits = { keepMs: 3_600_000, minFreeBytes: 0 }) {
  const api = fakeAgentApi();
  const cache = createImageCache({ dir, host: 'h', api, clock, log: silentLogger, limits });
  const add = (bytes: Buffer, format: WantedImage['format'] = 'raw'): WantedImage => {
    api.images.set(sha512(bytes), bytes);
    return { id: 'i', digest: sha512(bytes), format, size: bytes.length };
  };
  return { api, cache, add };
}
const files = (): string[] => readdirSync(join(dir, 'images'));

test('an image is fetched once, also when several ask at the same time, and readable by QEMU', async () => {
  const { api, cache, add } = scene();
  const bytes = Buffer.alloc(300_000, 7);
  const image = add(bytes);
  const paths = await Promise.all([cache.ensure(image, never(), silent), cache.ensure(image, never(), silent)]);
  expect(await cache.ensure(image, never(), silent)).toBe(paths[0]);
  expect(api.opened).toEqual([image.digest]);
  expect(readFileSync(paths[0] ?? '').equals(bytes)).toBe(true);
  expect(statSync(paths[0] ?? '').mode & 0o777).toBe(0o444);
  expect(files()).toEqual([image.digest]);
});

test('bytes with another digest are refused and leave nothing', async () => {
  const { api, cache, add } = scene();
  const image = add(Buffer.from('right'));
  api.images.set(image.digest, Buffer.from('wrong'));
  await expect(cache.ensure(image, never(), silent)).rejects.toMatchObject({ code: 'image_damaged', retryable: true });
  expect(files()).toEqual([]);
});

test('a file of another size is not believed', async () => {
  const { cache, add } = scene();
  const image = add(Buffer.from('all of it'));
  mkdirSync(join(dir, 'images'));
  writeFileSync(join(dir, 'images', image.digest), 'half');
  expect(readFileSync(await cache.ensure(image, never(), silent), 'utf8')).toBe('all of it');
});

test.each([
  ['an external data file', qcow2Header({ features: 4n }), 'image_refused'],
  ['no qcow2 header', Buffer.from('just text'), 'image_refused'],
])('a qcow2 image with %s never becomes a base', async (_, bytes, code) => {
  const { cache, add } = scene();
  await expect(cache.ensure(add(bytes, 'qcow2'), never(), silent)).rejects.toMatchObject({ code, retryable: false });
  expect(files()).toEqual([]);
});

test('an image that the controller does not have, and a stream that breaks, are explained', async () => {
  const { api, cache, add } = scene();
  const image = add(Buffer.from('x'));
  api.images.clear();
  const fault = { code: 'image_unavailable', message: 'the image could not be fetched from the image service' };
  await expect(cache.ensure(image, never(), silent)).rejects.toMatchObject(fault);
  api.openImage = () =>
    Promise.resolve({
      size: 1,
      stream: Readable.from(
        (function* () {
          throw new Error('reset');
        })(),
      ),
    });
  await expect(cache.ensure(image, never(), silent)).rejects.toMatchObject(fault);
  expect(files()).toEqual([]);
});

test('an image that does not fit is refused before its bytes come, with both numbers', async () => {
  const { api, cache, add } = scene();
  const image = { ...add(Buffer.from('x')), size: 2 ** 60 };
  await expect(cache.ensure(image, never(), silent)).rejects.toMatchObject({
    code: 'disk_full',
    message: expect.stringMatching(
      /^there is not enough space on the host for the image: 1099511627776 MiB are needed and \d+ MiB are free$/,
    ),
  });
  expect(api.opened).toEqual([]);
});

test('who gives up stops waiting, the fetch goes on for others; progress is told', async () => {
  const ticks: (() => void)[] = [];
  const clock: Clock = {
    ...systemClock,
    sleep: (_ms, signal) =>
      new Promise((resolve) => {
        ticks.push(resolve);
        signal?.addEventListener('abort', () => resolve());
      }),
  };
  const { api, cache, add } = scene(clock);
  const image = add(Buffer.from('slow bytes'));
  let release: () => void = () => undefined;
  const held = new Promise<void>((resolve) => (release = resolve));
  api.openImage = () =>
    Promise.resolve({
      size: image.size,
      stream: Readable.from(
        (async function* () {
          yield Buffer.from('slow');
          await held;
          yield Buffer.from(' bytes');
        })(),
      ),
    });
  const abort = new AbortController();
  const received: number[] = [];
  const first = cache.ensure(image, abort.signal, silent);
  const second = cache.ensure(image, never(), (bytes) => Promise.resolve(void received.push(bytes)));
  while (ticks.length < 2) await delay(5);
  // Who waits first is not known, nor when the first bytes are on the disk.
  while (received.at(-1) !== 4) {
    for (const tick of ticks.splice(0)) tick();
    await delay(5);
  }
  abort.abort();
  await expect(first).rejects.toMatchObject({ code: 'aborted' });
  // Being fetched, it neither counts as a broken fetch nor as unused.
  await cache.clean();
  expect(await cache.collect()).toEqual([]);
  expect(received.at(-1)).toBe(4);
  release();
  await expect(second).resolves.toContain(image.digest);
});

test('stop ends a fetch and leaves nothing', async () => {
  const { api, cache, add } = scene();
  const image = add(Buffer.from('never comes'));
  api.openImage = () => Promise.resolve({ size: image.size, stream: new Readable({ read: () => undefined }) });
  const waiting = cache.ensure(image, never(), silent);
  const outcome = expect(waiting).rejects.toMatchObject({ code: 'image_unavailable' });
  await delay(30);
  await cache.stop();
  await outcome;
  expect(files()).toEqual([]);
});

test('unused old images and broken fetches go; used ones stay', async () => {
  const { cache, add } = scene();
  expect(await cache.collect()).toEqual([]);
  await cache.clean();
  const used = add(Buffer.from('used'));
  const old = add(Buffer.from('old'));
  const young = add(Buffer.from('young'));
  for (const image of [used, old, young]) await cache.ensure(image, never(), silent);
  linkSync(join(dir, 'images', used.digest), join(dir, 'base-r1'));
  for (const { digest } of [used, old]) utimesSync(join(dir, 'images', digest), 0, 0);
  writeFileSync(join(dir, 'images', `${old.digest}.part-x`), '');
  writeFileSync(join(dir, 'images', 'of somebody else'), '');
  await cache.clean();
  expect(await cache.collect()).toEqual([old.digest]);
  expect(files().sort()).toEqual([used.digest, young.digest, 'of somebody else'].sort());
  expect(existsSync(join(dir, 'base-r1'))).toBe(true);
});
