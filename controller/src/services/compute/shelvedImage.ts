// The image that a shelved server's disk is kept in: what it says of the disk, and its end.
import type { Cloud } from '../../cloud';
import type { ReadSession } from '../../db';
import { shelvedServers, type ServerImage } from '../../db/entities/compute';
import { images } from '../../db/entities/image';
import { removeImage } from '../image/delete';

/** The bytes that a disk can be made of. */
export type DiskSource = Pick<ServerImage, 'digest' | 'format' | 'size' | 'virtual_size'>;

/** What a server's disk can be made of when it is unshelved; undefined once somebody deleted or deactivated the image. */
export async function shelvedDisk(session: ReadSession, serverId: string): Promise<DiskSource | undefined> {
  const shelved = await session.findOne(shelvedServers, { server_id: serverId });
  const image = shelved && (await session.findOne(images, { id: shelved.image_id, status: 'active' }));
  if (!image || image.size === null || image.os_hash_value === null || image.disk_format === null) return undefined;
  const { os_hash_value: digest, disk_format: format, size, virtual_size } = image;
  return { digest, format, size, virtual_size: virtual_size ?? size };
}

/** Deletes the image of a server that needs it no more, unless its owner protected it. Twice is once. */
export async function removeShelvedImage(cloud: Cloud, serverId: string): Promise<void> {
  const spare = await cloud.db.read(async (session) => {
    const shelved = await session.findOne(shelvedServers, { server_id: serverId });
    const image = shelved && (await session.findOne(images, { id: shelved.image_id }));
    return image && !image.protected ? image.id : undefined;
  });
  if (spare !== undefined) await removeImage(cloud, spare, ['queued', 'saving', 'active', 'deactivated']);
}
