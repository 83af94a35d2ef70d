// Takes the bytes of an upload into a file: constant memory, both digests on the way, nothing left when it fails.
import { open, rm, statfs, type FileHandle } from 'node:fs/promises';
import type { Readable } from 'node:stream';
import { messageOf } from '@cumulet/common';
import type { Cloud } from '../../cloud';
import { ApiError, InvalidError, TooLargeError } from '../../errors';
import { createByteWriter, type ByteWriter } from './byteWriter';
import { requireImageStore } from './directory';
import type { Digests } from './hasher';
import { MIB } from './quota';
import { partPath } from './store';

export interface ReceivedBytes extends Digests {
  /** The complete file under its temporary name, already on the disk. */
  readonly path: string;
  readonly size: number;
}

export interface ReceiveOptions {
  readonly uploadId: string;
  /** What the caller announced, in bytes; undefined when it did not. */
  readonly declared: number | undefined;
  /** Throws when that many bytes are not allowed; called with the announced size and as the bytes come. */
  readonly check: (size: number) => void;
}

/** How often the free space is looked at, in bytes received. */
const SPACE_INTERVAL = 64 * MIB;
const FULL = 'Image storage media is full: There is not enough disk space on the image storage media.';

/** Looks whether `more` bytes fit and leave free what must stay free. @throws TooLargeError (413) */
async function requireSpace(directory: string, more: number, keepFree: number): Promise<void> {
  const { bavail, bsize } = await statfs(directory);
  if (bavail * bsize - more < keepFree) throw new TooLargeError(FULL);
}

/** Says in words why the bytes could not be taken. */
function storageError(error: unknown, size: number): unknown {
  if (error instanceof ApiError) return error;
  const code = (error as NodeJS.ErrnoException).code ?? '';
  if (['ENOSPC', 'EDQUOT', 'EFBIG'].includes(code)) return new TooLargeError(FULL);
  if (['EACCES', 'EPERM', 'EROFS'].includes(code)) {
    return new ApiError(
      503,
      'StorageWriteDenied',
      `Insufficient permissions on image storage media: ${messageOf(error)}`,
    );
  }
  if (['ECONNRESET', 'ERR_STREAM_PREMATURE_CLOSE', 'EPIPE'].includes(code)) {
    return new InvalidError(`The upload was cut off: the connection ended after ${size} bytes.`, 'UploadAborted');
  }
  return error;
}

/** Takes all bytes of a stream. */
async function pump(
  writer: ByteWriter,
  stream: Readable,
  onSize: (size: number) => Promise<void>,
): Promise<Omit<ReceivedBytes, 'path'>> {
  let size = 0;
  try {
    // A refused stream is not destroyed: the caller still has to hear why.
    for await (const chunk of stream.iterator({ destroyOnReturn: false })) {
      const bytes = chunk as Buffer;
      size += bytes.length;
      await onSize(size);
      await writer.add(bytes);
    }
    return { size, ...(await writer.finish()) };
  } catch (error) {
    throw storageError(error, size);
  } finally {
    await writer.close();
  }
}

/**
 * Receives a stream into a new file of the image store and syncs it. Remove or place the file afterwards.
 * @throws ApiError: 413 over a limit or the disk full, 400 cut off, 503 not writable or not there; the file is gone then.
 */
export async function receiveBytes(
  cloud: Pick<Cloud, 'config' | 'db' | 'log'>,
  imageId: string,
  stream: Readable,
  options: ReceiveOptions,
): Promise<ReceivedBytes> {
  const keepFree = cloud.config.image.keep_free_mib * MIB;
  let path: string | undefined;
  let file: FileHandle | undefined;
  try {
    const directory = await requireImageStore(cloud);
    options.check(options.declared ?? 0);
    await requireSpace(directory, options.declared ?? 0, keepFree);
    path = partPath(cloud, imageId, options.uploadId);
    file = await open(path, 'wx', 0o600);
    let nextLook = SPACE_INTERVAL;
    const received = await pump(createByteWriter(file, options.declared), stream, async (size) => {
      options.check(size);
      if (size < nextLook) return;
      nextLook = size + SPACE_INTERVAL;
      await requireSpace(directory, 0, keepFree);
    });
    await file.sync();
    await file.close();
    return { path, ...received };
  } catch (error) {
    await file?.close();
    if (path !== undefined) await rm(path, { force: true });
    throw storageError(error, 0);
  }
}
