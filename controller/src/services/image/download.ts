// Downloads: the bytes of an image for a caller who may have them.
import type { Readable } from 'node:stream';
import type { Cloud } from '../../cloud';
import { ForbiddenError } from '../../errors';
import type { Caller } from '../caller';
import { authorizedImage } from './access';
import { requireImageStore } from './directory';
import type { ImageRecord } from './record';
import { imagePath, openImageFile } from './store';

interface Range {
  readonly start: number;
  readonly end: number;
}

export interface Download {
  readonly image: ImageRecord;
  /** Bytes of the whole image. */
  readonly size: number;
  readonly range: Range | undefined;
  readonly stream: Readable;
}

/**
 * Opens an image for reading; undefined when it has no data yet.
 * @param pick chooses the bytes once the size is known, or throws.
 * @throws NotFoundError, ForbiddenError (not allowed, or deactivated), ApiError 503 when the data can't be reached
 */
export async function downloadImage(
  cloud: Cloud,
  caller: Caller,
  id: string,
  pick: (size: number) => Range | undefined,
): Promise<Download | undefined> {
  const image = await cloud.db.read((session) => authorizedImage(session, cloud, caller, id, 'image:get_image'));
  if (image.status === 'deactivated' && !caller.isAdmin) {
    throw new ForbiddenError('The requested image has been deactivated. Image data download is forbidden.');
  }
  await cloud.db.read((session) => authorizedImage(session, cloud, caller, id, 'image:download_image'));
  if (image.size === null || (image.status !== 'active' && image.status !== 'deactivated')) return undefined;
  const range = pick(image.size);
  const { stream } = await openImageFile(imagePath(cloud, id), range).catch(async (error: unknown) => {
    await requireImageStore(cloud);
    throw error;
  });
  return { image, size: image.size, range, stream };
}
