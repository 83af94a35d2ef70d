// Adds and removes one tag of an image.
import type { Cloud } from '../../cloud';
import { images, imageTags } from '../../db/entities/image';
import { NotFoundError } from '../../errors';
import type { Caller } from '../caller';
import { authorizedImage } from './access';
import { requireDetailQuota } from './create';

/** Adds a tag; nothing changes when it is there already. @throws NotFoundError, ForbiddenError, TooLargeError */
export async function addTag(cloud: Cloud, caller: Caller, id: string, value: string): Promise<void> {
  await cloud.db.write(async (session) => {
    const image = await authorizedImage(session, cloud, caller, id, 'image:modify_image');
    if (image.tags.includes(value)) return;
    requireDetailQuota(cloud, 0, image.tags.length + 1);
    await session.insert(imageTags, { image_id: id, value });
    await session.update(images, { id }, { updated_at: cloud.clock.now() });
  });
}

/** @throws NotFoundError (no such image or tag), ForbiddenError */
export async function removeTag(cloud: Cloud, caller: Caller, id: string, value: string): Promise<void> {
  await cloud.db.write(async (session) => {
    await authorizedImage(session, cloud, caller, id, 'image:modify_image');
    if ((await session.delete(imageTags, { image_id: id, value })) === 0) {
      throw new NotFoundError(`Image ${id} has no tag ${value}.`);
    }
    await session.update(images, { id }, { updated_at: cloud.clock.now() });
  });
}
