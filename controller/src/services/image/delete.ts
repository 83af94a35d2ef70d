// Deletes an image: the record in one transaction, then its files. Hosts keep what they have cached.
import type { Cloud } from '../../cloud';
import type { WriteSession } from '../../db';
import { deletedImages, imageMembers, imageProperties, images, imageTags, imageTasks } from '../../db/entities/image';
import { ForbiddenError } from '../../errors';
import type { Caller } from '../caller';
import { authorizedImage } from './access';
import { removeImageFiles } from './store';

async function deleteRows(session: WriteSession, id: string, now: number): Promise<void> {
  for (const table of [imageProperties, imageTags, imageMembers, imageTasks]) {
    await session.delete(table, { image_id: id });
  }
  await session.delete(images, { id });
  await session.insert(deletedImages, { id, deleted_at: now });
}

/**
 * Deletes an image on nobody's behalf if it is in one of these statuses: what a failed snapshot left, a backup that is one too many.
 * Twice is once.
 */
export async function removeImage(cloud: Cloud, id: string, statuses: readonly string[]): Promise<void> {
  const removed = await cloud.db.write(async (session) => {
    const image = await session.findOne(images, { id });
    if (!image || !statuses.includes(image.status)) return !image;
    await deleteRows(session, id, cloud.clock.now());
    return true;
  });
  if (removed) await removeImageFiles(cloud, id);
}

/** @throws NotFoundError, ForbiddenError (not the caller's, or protected) */
export async function deleteImage(cloud: Cloud, caller: Caller, id: string): Promise<void> {
  await cloud.db.write(async (session) => {
    const image = await authorizedImage(session, cloud, caller, id, 'image:delete_image');
    if (image.protected) {
      throw new ForbiddenError(`Image ${id} is protected and cannot be deleted.`, 'ProtectedImageDelete');
    }
    await deleteRows(session, id, cloud.clock.now());
  });
  // A crash here leaves files without a row, which the next start removes.
  await removeImageFiles(cloud, id);
}
