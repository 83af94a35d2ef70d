// Images on this host by the digest of their bytes: fetched once, verified while they stream in, dropped when nothing uses them.
import { createHash, randomUUID } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { open, mkdir, readdir, rename, rm, stat, statfs, utimes, type FileHandle } from 'node:fs/promises';
import { basename, join } from 'node:path';
import type { Readable } from 'node:stream';
import { HostError, messageOf, type AgentApi, type Clock, type DiskEnsure, type Logger } from '@cumulet/common';
import { evictionPlan, type CachedImage, type EvictionLimits } from './evictionPlan';
import { diskFull, fileFault } from './faults';
import { imagePath, imagesDirectory, isDigest } from './layout';
import { readQcow2Header } from './qcow2Header';

export type WantedImage = DiskEnsure['image'];

export interface ImageCache {
  /**
   * The path of an image's verified bytes; fetches them when they are not here. Waits for a fetch that runs already.
   * @param progress - called every few seconds with the bytes received so far
   * @throws HostError image_unavailable, image_damaged, image_refused, disk_full; whatever aborted the signal
   */
  ensure(image: WantedImage, signal: AbortSignal, progress: (received: number) => Promise<void>): Promise<string>;
  /** The bytes of an image that is here, from `start` on. @throws HostError bad_digest, image_missing */
  open(digest: string, start: number): Promise<{ readonly size: number; readonly stream: Readable }>;
  /** Removes images that no disk stands on, by age and free space. @returns their digests */
  collect(): Promise<readonly string[]>;
  /** Removes what broken fetches left. */
  clean(): Promise<void>;
  /** Ends what is being fetched. */
  stop(): Promise<void>;
}

export interface ImageCacheOptions {
  readonly dir: string;
  readonly host: string;
  readonly api: Pick<AgentApi, 'openImage'>;
  readonly clock: Clock;
  readonly log: Logger;
  readonly limits: EvictionLimits;
}

interface Fetch {
  readonly done: Promise<string>;
  readonly abort: AbortController;
  received: number;
}

const PROGRESS_MS = 5_000;
const PARTIAL = '.part-';
/** What follows: whose fetch it is. */
const HOST_AND_UUID = /^(.+)-[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

async function freeBytes(dir: string): Promise<number> {
  const { bavail, bsize } = await statfs(dir);
  return bavail * bsize;
}

/** Refuses a base that would make QEMU open other files: the controller checked it, this is the second lock. */
async function assertHarmless(path: string, { format }: WantedImage): Promise<void> {
  if (format !== 'qcow2') return;
  const header = await readQcow2Header(path);
  const problem = header ? header.danger : 'it is not a qcow2 image';
  if (problem === undefined) return;
  throw new HostError('image_refused', `the image can't be used: ${problem}`, { retryable: false });
}

export function createImageCache(options: ImageCacheOptions): ImageCache {
  const { dir, host, api, clock, log, limits } = options;
  const images = imagesDirectory(dir);
  const fetches = new Map<string, Fetch>();

  const makeRoom = async (size: number): Promise<void> => {
    if ((await freeBytes(images)) >= size) return;
    await collect(size);
    const free = await freeBytes(images);
    if (free < size) throw diskFull('the image', undefined, { needed: size, free });
  };

  const write = async (file: FileHandle, source: Readable, fetch: Fetch, image: WantedImage): Promise<void> => {
    const hash = createHash('sha512');
    const end = (): void => void source.destroy(new Error('the fetch was given up'));
    fetch.abort.signal.addEventListener('abort', end);
    if (fetch.abort.signal.aborted) end();
    for await (const chunk of source as AsyncIterable<Buffer>) {
      hash.update(chunk);
      await file.appendFile(chunk);
      fetch.received += chunk.length;
    }
    // Only what survives a power cut may get the name that says "verified".
    await file.sync();
    if (hash.digest('hex') === image.digest) return;
    throw new HostError('image_damaged', "the image's bytes arrived damaged: their digest is not the image's", {
      retryable: true,
      facts: { digest: image.digest, received: fetch.received },
    });
  };

  const fetchInto = async (image: WantedImage, fetch: Fetch): Promise<string> => {
    const path = imagePath(dir, image.digest);
    const partial = `${path}${PARTIAL}${host}-${randomUUID()}`;
    await mkdir(images, { recursive: true, mode: 0o711 });
    await makeRoom(image.size);
    const { stream } = await api.openImage(host, image.digest);
    try {
      const file = await open(partial, 'wx', 0o444);
      try {
        await write(file, stream, fetch, image);
      } finally {
        await file.close();
      }
      await assertHarmless(partial, image);
      await rename(partial, path);
      log.info({ digest: image.digest, bytes: fetch.received }, 'image fetched');
      return path;
    } catch (error) {
      stream.destroy();
      await rm(partial, { force: true });
      throw error;
    }
  };

  const startFetch = (image: WantedImage): Fetch => {
    const abort = new AbortController();
    const fetch: Fetch = { received: 0, abort, done: Promise.resolve().then(() => fetchInto(image, fetch)) };
    fetches.set(image.digest, fetch);
    const forget = (): boolean => fetches.delete(image.digest);
    fetch.done.then(forget, forget);
    return fetch;
  };

  /** The path when the bytes are here; using them makes them young again. */
  const cached = async (image: WantedImage): Promise<string | undefined> => {
    const path = imagePath(dir, image.digest);
    try {
      if ((await stat(path)).size !== image.size) return undefined;
      const now = clock.now() / 1000;
      await utimes(path, now, now);
      return path;
    } catch {
      // Not here, or evicted this moment: fetching tells what is wrong, if anything is.
      return undefined;
    }
  };

  const waitFor = async (fetch: Fetch, signal: AbortSignal, progress: (received: number) => Promise<void>) => {
    const given = new AbortController();
    const done = fetch.done.finally(() => given.abort());
    done.catch(() => undefined);
    signal.addEventListener('abort', () => given.abort(), { once: true });
    for (;;) {
      await Promise.race([done, clock.sleep(PROGRESS_MS, given.signal)]);
      if (signal.aborted) throw new HostError('aborted', 'waiting for the image was given up', { retryable: true });
      if (given.signal.aborted) return done;
      await progress(fetch.received);
    }
  };

  async function collect(needed = 0): Promise<readonly string[]> {
    const found: CachedImage[] = [];
    for (const name of await readdir(images).catch(() => [])) {
      if (!isDigest(name) || fetches.has(name)) continue;
      const { size, mtimeMs, nlink } = await stat(join(images, name));
      found.push({ digest: name, size, usedAt: mtimeMs, inUse: nlink > 1 });
    }
    const free = found.length > 0 ? await freeBytes(images) : 0;
    const plan = evictionPlan(found, { free, now: clock.now(), needed }, limits);
    for (const digest of plan) await rm(imagePath(dir, digest), { force: true });
    if (plan.length > 0) log.info({ digests: plan }, 'unused images removed');
    return plan;
  }

  return {
    async ensure(image, signal, progress) {
      const path = await cached(image);
      if (path !== undefined && !fetches.has(image.digest)) return path;
      try {
        return await waitFor(fetches.get(image.digest) ?? startFetch(image), signal, progress);
      } catch (error) {
        throw fileFault(
          'image_unavailable',
          'the image',
          'the image could not be fetched from the image service',
          error,
        );
      }
    },
    async open(digest, start) {
      const path = imagePath(dir, digest);
      try {
        const { size } = await stat(path);
        return { size, stream: createReadStream(path, { start }) };
      } catch (error) {
        throw fileFault('image_missing', 'the image', 'the image is not on the host', error);
      }
    },
    collect: () => collect(),
    async clean() {
      for (const name of await readdir(images).catch(() => [])) {
        const [digest = '', fetcher] = name.split(PARTIAL);
        // Other hosts fetch too where the directory is shared.
        const other = HOST_AND_UUID.exec(fetcher ?? '')?.[1] ?? host;
        if (fetcher === undefined || other !== host || fetches.has(digest)) continue;
        await rm(join(images, basename(name)), { force: true });
        log.info({ name }, 'a broken image fetch removed');
      }
    },
    async stop() {
      const running = [...fetches.values()];
      for (const fetch of running) fetch.abort.abort();
      for (const { done } of running) await done.catch((error: unknown) => log.info(messageOf(error)));
    },
  };
}
