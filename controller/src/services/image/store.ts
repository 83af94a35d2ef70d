// The file store: where the bytes of images are. A file has its final name only when it is complete and on the disk.
import { createReadStream } from 'node:fs';
import { open, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import type { Cloud } from '../../cloud';
import { In } from '../../db';
import { images } from '../../db/entities/image';
import { NotFoundError } from '../../errors';
import { imageDirectory, requireImageStore } from './directory';
import { DATA_STATUSES } from './record';

/** The one store, as clients see it. */
export const STORE_ID = 'file';
/** The end of the name of bytes that wait for an import, and of those that are just coming in. */
export const STAGED_SUFFIX = '.staged';
const PART_SUFFIX = '.part';
/** Large reads: fewer turns through the thread pool per MiB. */
const READ_CHUNK = 1024 * 1024;

type Place = Pick<Cloud, 'config'>;

/** The file of an image's bytes. */
export function imagePath(cloud: Place, imageId: string): string {
  return join(imageDirectory(cloud), imageId);
}

/** The file of bytes that were staged for an image. */
export function stagedPath(cloud: Place, imageId: string): string {
  return imagePath(cloud, imageId) + STAGED_SUFFIX;
}

/** The file that an upload writes to. */
export function partPath(cloud: Place, imageId: string, uploadId: string): string {
  return `${imagePath(cloud, imageId)}.${uploadId}${PART_SUFFIX}`;
}

/** Gives a complete file its final name, durably: after this returns a power failure does not lose it. */
export async function placeFile(cloud: Place, from: string, to: string): Promise<void> {
  await rename(from, to);
  const directory = await open(imageDirectory(cloud), 'r');
  try {
    await directory.sync();
  } finally {
    await directory.close();
  }
}

/** Removes every file of an image; nothing happens when there is none. */
export async function removeImageFiles(cloud: Place, imageId: string): Promise<void> {
  await rm(imagePath(cloud, imageId), { force: true });
  await rm(stagedPath(cloud, imageId), { force: true });
}

export interface ImageBytes {
  /** Bytes of the whole image. */
  readonly size: number;
  readonly stream: Readable;
  readonly path: string;
}

/**
 * Opens an image's file for reading, from `start` to `end` (both inclusive). The stream goes on when the image is deleted meanwhile.
 * @throws the system's error when the file is not there.
 */
export async function openImageFile(path: string, range?: { start: number; end: number }): Promise<ImageBytes> {
  const file = await open(path, 'r');
  const { size } = await file.stat();
  // The stream owns the handle and closes it at its end, or when it is destroyed.
  const stream = createReadStream(path, { fd: file, highWaterMark: READ_CHUNK, ...range });
  return { size, stream, path };
}

/** The bytes of an image by the SHA-512 of its content, from `start` on, for hosts that boot it. @throws NotFoundError, ApiError 503 */
export async function openImageBytes(
  cloud: Pick<Cloud, 'config' | 'db' | 'log'>,
  digest: string,
  start = 0,
): Promise<ImageBytes> {
  const rows = await cloud.db.read((session) =>
    session.find(images, { where: { os_hash_value: digest, status: In([...DATA_STATUSES]) } }),
  );
  for (const row of rows) {
    try {
      return await openImageFile(imagePath(cloud, row.id), { start, end: Infinity });
    } catch (error) {
      // Deleted since it was looked up: another image with the same content may still be there.
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
    }
  }
  await requireImageStore(cloud);
  throw new NotFoundError(`No image has the content ${digest.slice(0, 16)}... any more.`, 'ImageNotFound', { digest });
}
