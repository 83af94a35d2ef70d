// Uploads: a queued image takes its bytes and becomes active, or goes back to queued with nothing left.
import { rm } from 'node:fs/promises';
import type { Readable } from 'node:stream';
import type { Cloud } from '../../cloud';
import type { WriteSession } from '../../db';
import type { Image } from '../../db/entities/image';
import { TooLargeError } from '../../errors';
import type { Caller } from '../caller';
import { authorizedImage } from './access';
import { imageUsage, MIB, requireBytes, requireWithin, takeQuotaTurn, toBytes } from './quota';
import { receiveBytes, type ReceivedBytes } from './receive';
import { imagePath, placeFile } from './store';
import { moveStatus, requireFormats, requireTransition } from './transition';
import { beginUpload, giveBack, holding, lostUpload, stillHeld } from './uploadLease';
import { verifyFormat } from './verifyFormat';

export interface Upload {
  readonly stream: Readable;
  /** Announced bytes; undefined when the caller does not know them. */
  readonly declared: number | undefined;
}

/** Checks sizes against the limits of one image and of the project. */
export function sizeCheck(cloud: Cloud, limit: number, used: number, what: string): (size: number) => void {
  const largest = cloud.config.image.max_image_mib * MIB;
  return (size) => {
    if (size > largest) {
      throw new TooLargeError(`The incoming image is too large: at most ${largest} bytes are allowed.`);
    }
    requireWithin(limit, used, size, what);
  };
}

type Find = (session: WriteSession) => Promise<Image>;

interface Begun {
  readonly image: Image;
  readonly used: number;
  readonly uploadId: string;
}

async function begin(cloud: Cloud, find: Find): Promise<Begun> {
  return cloud.db.write(async (session) => {
    const image = await find(session);
    requireTransition(image.status, 'saving');
    requireFormats(image);
    let used = 0;
    if (image.owner !== null) {
      await takeQuotaTurn(session, image.owner);
      const usage = await imageUsage(session, image.owner);
      requireWithin(cloud.config.image.max_uploads, usage.uploads, 1, 'image_count_uploading');
      used = usage.bytes;
    }
    return { image, used, uploadId: await beginUpload(session, cloud, image, 'saving') };
  });
}

async function finish(
  cloud: Cloud,
  { image, uploadId }: Begun,
  received: ReceivedBytes,
  virtualSize: number | null,
): Promise<void> {
  if (!(await stillHeld(cloud, image.id, uploadId))) throw await lostUpload(cloud, image.id);
  await placeFile(cloud, received.path, imagePath(cloud, image.id));
  const isKept = await cloud.db.write(async (session) => {
    if (image.owner !== null) {
      await takeQuotaTurn(session, image.owner);
      requireBytes(cloud.config.image, await imageUsage(session, image.owner), received.size);
    }
    const set = {
      status: 'active' as const,
      size: received.size,
      virtual_size: virtualSize,
      checksum: received.checksum,
      os_hash_algo: 'sha512',
      os_hash_value: received.digest,
    };
    return moveStatus(session, image.id, 'saving', set, cloud.clock.now(), { upload_id: uploadId });
  });
  if (!isKept) throw await lostUpload(cloud, image.id);
}

/**
 * Takes the bytes of a queued image.
 * @throws NotFoundError, ForbiddenError, ConflictError 409 (not queued), TooLargeError 413 (quota, size, disk full),
 * InvalidError 400 (formats not set, cut off), ApiError 415 (bytes are not what the image says), 410 (deleted meanwhile), 503
 */
export const uploadImage = (cloud: Cloud, caller: Caller, id: string, upload: Upload): Promise<void> =>
  takeUpload(cloud, upload, (session) => authorizedImage(session, cloud, caller, id, 'image:upload_image'));

/** The same for an image that `find` answers for: who may upload is decided there. */
export async function takeUpload(cloud: Cloud, upload: Upload, find: Find): Promise<void> {
  const begun = await begin(cloud, find);
  const { image, used, uploadId } = begun;
  const { id } = image;
  const limit = image.owner === null ? -1 : toBytes(cloud.config.image.max_total_mib);
  const check = sizeCheck(cloud, limit, used, 'image_size_total in bytes');
  await holding(cloud, id, uploadId, async () => {
    let received: ReceivedBytes | undefined;
    try {
      received = await receiveBytes(cloud, id, upload.stream, { declared: upload.declared, check, uploadId });
      await finish(cloud, begun, received, await verifyFormat(image, received.path));
    } catch (error) {
      if (received) await rm(received.path, { force: true });
      const wasHeld = await giveBack(cloud, id, uploadId, 'saving', [imagePath(cloud, id)]);
      throw wasHeld ? error : await lostUpload(cloud, id);
    }
  });
}
