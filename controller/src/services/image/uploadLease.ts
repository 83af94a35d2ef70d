// Who works on the bytes of an image: an upload, a staging or an import holds a lease, which a controller that died does not renew.
// What loses it leaves the image's files alone from then on.
import { rm } from 'node:fs/promises';
import { messageOf, newId } from '@cumulet/common';
import type { Cloud } from '../../cloud';
import { IsNull, type WriteSession } from '../../db';
import { images, type Image } from '../../db/entities/image';
import { ApiError, ConflictError } from '../../errors';
import { moveStatus, requireTransition, type ImageStatus } from './transition';

/** How long a lease lasts without renewal, and when it is renewed. */
const LEASE_MS = 15_000;
const RENEW_MS = 5_000;

type Lease = Pick<Image, 'upload_id' | 'upload_until'>;

const leaseOf = (uploadId: string, now: number): Lease => ({ upload_id: uploadId, upload_until: now + LEASE_MS });

/** Moves an image on to work on its bytes. Returns the id of this work. @throws ConflictError when somebody was faster */
export async function beginUpload(
  session: WriteSession,
  cloud: Cloud,
  image: Image,
  to: ImageStatus,
  set: Partial<Image> = {},
): Promise<string> {
  requireTransition(image.status, to);
  const now = cloud.clock.now();
  const uploadId = newId();
  const change = { ...set, status: to, ...leaseOf(uploadId, now) };
  if (await moveStatus(session, image.id, image.status as ImageStatus, change, now)) return uploadId;
  throw new ConflictError(`Image ${image.id} has been changed meanwhile; look at its status.`);
}

/** Takes over work whose lease ran out. Undefined when it did not, or somebody else was faster. */
export async function takeOver(cloud: Cloud, image: Image): Promise<string | undefined> {
  const { id, status, upload_id, upload_until } = image;
  const uploadId = newId();
  const as = { id, status, upload_id: upload_id ?? IsNull(), upload_until: upload_until ?? IsNull() };
  const change = leaseOf(uploadId, cloud.clock.now());
  const taken = await cloud.db.write((session) => session.update(images, as, change));
  return taken === 1 ? uploadId : undefined;
}

/** Whether the work still holds its image; prolongs the lease. */
export async function stillHeld(cloud: Cloud, imageId: string, uploadId: string): Promise<boolean> {
  const held = { id: imageId, upload_id: uploadId };
  const lease = leaseOf(uploadId, cloud.clock.now());
  return (await cloud.db.write((session) => session.update(images, held, lease))) === 1;
}

/** The lease is over because the image was deleted, or because this controller did not renew it for too long. */
export async function lostUpload(cloud: Cloud, imageId: string): Promise<ApiError> {
  const image = await cloud.db.read((session) => session.findOne(images, { id: imageId }));
  if (image) return new ConflictError(`The upload of image ${imageId} was given up; repeat it.`, 'UploadLost');
  return new ApiError(
    410,
    'ImageGone',
    `Image ${imageId} could not be found after upload. It was deleted during the upload; the uploaded bytes were removed.`,
  );
}

/** Removes the files that failed work has placed. What lost its lease removes nothing, unless the image is gone. @returns whether it held */
export async function removeFiles(
  cloud: Cloud,
  imageId: string,
  uploadId: string,
  files: readonly string[],
): Promise<boolean> {
  const isHeld = await stillHeld(cloud, imageId, uploadId);
  if (!isHeld && (await cloud.db.read((session) => session.findOne(images, { id: imageId })))) return false;
  for (const file of files) await rm(file, { force: true });
  return isHeld;
}

/** Ends failed work: its files are removed and the image is queued again. @returns whether it held the image until now */
export async function giveBack(
  cloud: Cloud,
  imageId: string,
  uploadId: string,
  from: ImageStatus,
  files: readonly string[],
): Promise<boolean> {
  if (!(await removeFiles(cloud, imageId, uploadId, files))) return false;
  const queued = { status: 'queued' as const };
  return cloud.db.write((session) =>
    moveStatus(session, imageId, from, queued, cloud.clock.now(), { upload_id: uploadId }),
  );
}

/** Renews the lease as long as the work takes. */
export async function holding<T>(cloud: Cloud, imageId: string, uploadId: string, work: () => Promise<T>): Promise<T> {
  const timer = setInterval(() => {
    stillHeld(cloud, imageId, uploadId).catch((error: unknown) =>
      cloud.log.warn({ image_id: imageId, error: messageOf(error) }, 'the lease of an upload was not renewed'),
    );
  }, RENEW_MS);
  try {
    return await work();
  } finally {
    clearInterval(timer);
  }
}
