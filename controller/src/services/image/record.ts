// An image as services and views see it: its row with its custom properties and tags, and whether the caller is a member.
import { imageMembers, imageProperties, images, imageTags, type Image } from '../../db/entities/image';
import { In, type Lock, type ReadSession } from '../../db';
import type { Caller } from '../caller';

export interface ImageRecord extends Image {
  readonly properties: Readonly<Record<string, string>>;
  readonly tags: readonly string[];
  /** The caller's project when the image is shared with it, else null. */
  readonly memberId: string | null;
}

/** Statuses in which the bytes are complete. */
export const DATA_STATUSES = ['active', 'deactivated'] as const;

/** Custom properties by image, in one query. */
async function propertiesOf(
  session: ReadSession,
  ids: readonly string[],
): Promise<Map<string, Record<string, string>>> {
  const properties = new Map<string, Record<string, string>>();
  for (const one of await session.find(imageProperties, { where: { image_id: In([...ids]) } })) {
    const known = properties.get(one.image_id) ?? {};
    known[one.name] = one.value;
    properties.set(one.image_id, known);
  }
  return properties;
}

/** Adds properties and tags to rows: two queries, however many rows. Membership is left open. */
export async function withDetails(session: ReadSession, rows: readonly Image[]): Promise<ImageRecord[]> {
  const ids = rows.map((row) => row.id);
  const image_id = In(ids);
  const properties = await propertiesOf(session, ids);
  const tags = new Map<string, string[]>();
  for (const one of await session.find(imageTags, { where: { image_id }, order: { value: 'ASC' } })) {
    const known = tags.get(one.image_id) ?? [];
    known.push(one.value);
    tags.set(one.image_id, known);
  }
  return rows.map((row) => ({
    ...row,
    properties: properties.get(row.id) ?? {},
    tags: tags.get(row.id) ?? [],
    memberId: null,
  }));
}

/** Whether a project is a member of a shared image, whatever its answer was. */
async function isMember(session: ReadSession, image: Image, projectId: string): Promise<boolean> {
  if (image.visibility !== 'shared') return false;
  return (await session.findOne(imageMembers, { image_id: image.id, member_id: projectId })) !== undefined;
}

/** The row of an image that the caller may know of, and whether the caller's project is a member. */
async function visibleRow(
  session: ReadSession,
  caller: Caller,
  id: string,
  lock: Lock,
): Promise<{ readonly row: Image; readonly member: boolean } | undefined> {
  const row = await session.findOne(images, { id }, lock);
  if (!row) return undefined;
  const owns = caller.projectId !== null && row.owner === caller.projectId;
  const member = !owns && caller.projectId !== null && (await isMember(session, row, caller.projectId));
  const open = row.visibility === 'public' || row.visibility === 'community';
  if (!owns && !member && !open && !caller.isAdmin) return undefined;
  return { row, member };
}

/**
 * An image that the caller may know of; undefined when there is none or it is hidden from the caller. A transaction holds it,
 * `exclusive` when it changes what was read.
 */
export async function visibleImage(
  session: ReadSession,
  caller: Caller,
  id: string,
  lock: Lock = 'shared',
): Promise<ImageRecord | undefined> {
  const found = await visibleRow(session, caller, id, lock);
  const [record] = found ? await withDetails(session, [found.row]) : [];
  return record && { ...record, memberId: found?.member ? caller.projectId : null };
}

/** The same without tags, which booting from it does not look at. */
export async function visibleForBoot(
  session: ReadSession,
  caller: Caller,
  id: string,
): Promise<Omit<ImageRecord, 'tags' | 'memberId'> | undefined> {
  const found = await visibleRow(session, caller, id, 'shared');
  return found && { ...found.row, properties: (await propertiesOf(session, [id])).get(id) ?? {} };
}
