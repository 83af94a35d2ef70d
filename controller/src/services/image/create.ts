// Creates an image record, queued until its bytes come.
import { newId } from '@cumulet/common';
import type { Cloud } from '../../cloud';
import { isDuplicate, type WriteSession } from '../../db';
import { deletedImages, imageProperties, images, imageTags } from '../../db/entities/image';
import { ConflictError, ForbiddenError, TooLargeError } from '../../errors';
import type { Caller } from '../caller';
import { requireImageQuota } from './quota';
import { visibleImage, type ImageRecord } from './record';
import { imageNotFound } from './access';

export type Visibility = 'private' | 'shared' | 'community' | 'public';

/** What a caller may choose when it creates an image; everything may be left out. */
export interface NewImage {
  readonly id?: string;
  readonly name?: string | null;
  readonly visibility?: Visibility;
  readonly os_hidden?: boolean;
  readonly protected?: boolean;
  readonly owner?: string | null;
  readonly container_format?: string | null;
  readonly disk_format?: string | null;
  readonly min_disk?: number;
  readonly min_ram?: number;
  readonly tags?: readonly string[];
  readonly properties: Readonly<Record<string, string>>;
}

/** Checks the right to give an image a visibility. @throws ForbiddenError */
export function requireVisibility(
  cloud: Pick<Cloud, 'policy'>,
  caller: Caller,
  visibility: Visibility,
  owner: string | null,
): void {
  const target = { project_id: owner, owner, visibility };
  if (visibility === 'public') cloud.policy.require(caller, 'image:publicize_image', target);
  if (visibility === 'community') cloud.policy.require(caller, 'image:communitize_image', target);
}

/** @throws TooLargeError (413) when an image has more properties or tags than allowed. */
export function requireDetailQuota(cloud: Pick<Cloud, 'config'>, properties: number, tags: number): void {
  const { max_properties, max_tags } = cloud.config.image;
  const over = (what: string, attempted: number, maximum: number): TooLargeError =>
    new TooLargeError(
      `The limit has been exceeded on the number of allowed image ${what}. Attempted: ${attempted}, Maximum: ${maximum}`,
    );
  if (max_properties >= 0 && properties > max_properties) throw over('properties', properties, max_properties);
  if (max_tags >= 0 && tags > max_tags) throw over('tags', tags, max_tags);
}

async function insertImage(session: WriteSession, image: ImageRecord): Promise<void> {
  const { properties, tags, memberId: _memberId, ...row } = image;
  await session.insert(images, row);
  await saveDetails(session, image.id, properties, tags);
}

/** Writes properties and tags of an image that has none. */
export async function saveDetails(
  session: WriteSession,
  image_id: string,
  properties: Readonly<Record<string, string>>,
  tags: readonly string[],
): Promise<void> {
  const rows = Object.entries(properties).map(([name, value]) => ({ image_id, name, value }));
  if (rows.length > 0) await session.insert(imageProperties, rows);
  if (tags.length > 0)
    await session.insert(
      imageTags,
      [...new Set(tags)].map((value) => ({ image_id, value })),
    );
}

function fresh(wanted: NewImage, owner: string | null, now: number): ImageRecord {
  return {
    id: wanted.id?.toLowerCase() ?? newId(),
    name: wanted.name ?? null,
    status: 'queued',
    visibility: wanted.visibility ?? 'shared',
    os_hidden: wanted.os_hidden ?? false,
    protected: wanted.protected ?? false,
    owner,
    container_format: wanted.container_format ?? null,
    disk_format: wanted.disk_format ?? null,
    min_disk: wanted.min_disk ?? 0,
    min_ram: wanted.min_ram ?? 0,
    size: null,
    virtual_size: null,
    checksum: null,
    os_hash_algo: null,
    os_hash_value: null,
    staged: null,
    upload_id: null,
    upload_until: null,
    created_at: now,
    updated_at: now,
    properties: wanted.properties,
    tags: wanted.tags ?? [],
    memberId: null,
  };
}

/**
 * Adds an image in status queued in the caller's transaction.
 * @throws ForbiddenError (owner or visibility not allowed), ConflictError (the id was used before), TooLargeError (quota)
 */
export async function addImage(
  session: WriteSession,
  cloud: Cloud,
  caller: Caller,
  wanted: NewImage,
): Promise<ImageRecord> {
  const owner = wanted.owner === undefined ? caller.projectId : wanted.owner;
  if (!cloud.policy.allows(caller, 'image:add_image', { project_id: owner, owner })) {
    if (owner !== caller.projectId)
      throw new ForbiddenError(`You are not permitted to create images owned by '${owner ?? ''}'.`);
    cloud.policy.require(caller, 'image:add_image', { project_id: owner, owner });
  }
  const image = fresh(wanted, owner, cloud.clock.now());
  requireVisibility(cloud, caller, wanted.visibility ?? 'shared', owner);
  requireDetailQuota(cloud, Object.keys(image.properties).length, new Set(image.tags).size);
  if (owner !== null) await requireImageQuota(session, cloud.config.image, owner);
  if (await session.findOne(deletedImages, { id: image.id })) throw usedBefore(image.id);
  try {
    await insertImage(session, image);
  } catch (error) {
    throw isDuplicate(error) ? usedBefore(image.id) : error;
  }
  const made = await visibleImage(session, caller, image.id);
  if (!made) throw imageNotFound(image.id);
  return made;
}

/** The same in a transaction of its own. */
export const createImage = (cloud: Cloud, caller: Caller, wanted: NewImage): Promise<ImageRecord> =>
  cloud.db.write((session) => addImage(session, cloud, caller, wanted));

function usedBefore(id: string): ConflictError {
  return new ConflictError(`Image ID ${id} already exists!`, 'Duplicate');
}
