// Changes an image's attributes, custom properties and tags, all of one request or none.
import type { Cloud } from '../../cloud';
import type { WriteSession } from '../../db';
import { imageProperties, images, imageTags, type Image } from '../../db/entities/image';
import { ConflictError, ForbiddenError } from '../../errors';
import type { Caller } from '../caller';
import { authorizedImage } from './access';
import { requireDetailQuota, requireVisibility, saveDetails, type Visibility } from './create';
import type { ImageRecord } from './record';

/** One change of one attribute or property. */
export interface ImageChange {
  readonly op: 'add' | 'replace' | 'remove';
  readonly name: string;
  /** Absent for `remove`; its type has been checked. */
  readonly value?: unknown;
  /** The oldest patch format: adding what is there already is a conflict. */
  readonly addOnlyNew?: boolean;
}

const ATTRIBUTES = [
  'name',
  'visibility',
  'os_hidden',
  'protected',
  'owner',
  'container_format',
  'disk_format',
  'min_disk',
  'min_ram',
] as const;
type Attribute = (typeof ATTRIBUTES)[number];

interface Draft {
  readonly attributes: Pick<Image, Attribute>;
  properties: Record<string, string>;
  tags: readonly string[];
}

function isAttribute(name: string): name is Attribute {
  return (ATTRIBUTES as readonly string[]).includes(name);
}

/** Rights and states beyond "may modify" that some attributes need. */
function requireAttribute(cloud: Cloud, caller: Caller, image: ImageRecord, name: Attribute, value: unknown): void {
  if (name === 'owner' && !caller.isAdmin) throw new ForbiddenError("Owner can't be updated by non admin.");
  if (name === 'visibility') requireVisibility(cloud, caller, value as Visibility, image.owner);
  const isFormat = name === 'disk_format' || name === 'container_format';
  if (isFormat && image.status !== 'queued') {
    throw new ForbiddenError(`Attribute ${name} can be only replaced for a queued image.`);
  }
}

function applyRemove(draft: Draft, name: string): void {
  if (isAttribute(name) || name === 'tags') throw new ForbiddenError(`Property ${name} may not be removed.`);
  if (!Object.hasOwn(draft.properties, name)) throw new ConflictError(`Property ${name} does not exist.`);
  draft.properties = Object.fromEntries(Object.entries(draft.properties).filter(([key]) => key !== name));
}

/** Applies one change to a draft. @throws ConflictError (409), ForbiddenError (403) */
function applyChange(draft: Draft, change: ImageChange): void {
  const { op, name, value } = change;
  if (op === 'remove') return applyRemove(draft, name);
  const isBase = isAttribute(name) || name === 'tags';
  const exists = isBase || Object.hasOwn(draft.properties, name);
  if (op === 'replace' && !exists) throw new ConflictError(`Property ${name} does not exist.`);
  if (op === 'add' && exists && change.addOnlyNew) throw new ConflictError(`Property ${name} already present.`);
  if (name === 'tags') draft.tags = [...new Set(value as string[])];
  else if (isAttribute(name)) Object.assign(draft.attributes, { [name]: value });
  else draft.properties = { ...draft.properties, [name]: String(value) };
}

async function save(session: WriteSession, id: string, draft: Draft, now: number): Promise<void> {
  await session.update(images, { id }, { ...draft.attributes, updated_at: now });
  await session.delete(imageProperties, { image_id: id });
  await session.delete(imageTags, { image_id: id });
  await saveDetails(session, id, draft.properties, draft.tags);
}

/**
 * Applies changes in order and returns the image as it is then.
 * @throws NotFoundError, ForbiddenError (not the caller's, or an attribute it may not set), ConflictError (no such property),
 * TooLargeError (too many properties or tags)
 */
export async function updateImage(
  cloud: Cloud,
  caller: Caller,
  id: string,
  changes: readonly ImageChange[],
): Promise<ImageRecord> {
  const rule = changes.length > 0 ? 'image:modify_image' : 'image:get_image';
  return cloud.db.write(async (session) => {
    const image = await authorizedImage(session, cloud, caller, id, rule);
    if (changes.length === 0) return image;
    const { name, visibility, os_hidden, owner, container_format, disk_format, min_disk, min_ram } = image;
    const draft: Draft = {
      attributes: {
        name,
        visibility,
        os_hidden,
        protected: image.protected,
        owner,
        container_format,
        disk_format,
        min_disk,
        min_ram,
      },
      properties: { ...image.properties },
      tags: image.tags,
    };
    for (const change of changes) {
      if (change.op !== 'remove' && isAttribute(change.name)) {
        requireAttribute(cloud, caller, image, change.name, change.value);
      }
      applyChange(draft, change);
    }
    requireDetailQuota(cloud, Object.keys(draft.properties).length, draft.tags.length);
    const now = cloud.clock.now();
    await save(session, id, draft, now);
    return {
      ...image,
      ...draft.attributes,
      properties: draft.properties,
      tags: [...draft.tags].sort(),
      updated_at: now,
    };
  });
}
