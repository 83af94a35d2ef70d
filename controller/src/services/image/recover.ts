// Cleans up after controllers that died: uploads that were cut off, imports that were interrupted, files of no image. What another
// controller works on is known by its lease and left alone.
import { readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { isUuid } from '@cumulet/common';
import type { Cloud } from '../../cloud';
import { In, IsNull, LessThan, Not, type Where } from '../../db';
import { images, type Image } from '../../db/entities/image';
import { imageDirectory, openImageStore } from './directory';
import { runImport } from './importImage';
import { imagePath, partPath, stagedPath, STAGED_SUFFIX } from './store';
import { giveBack, takeOver } from './uploadLease';

/** Ids that one statement looks up. */
const LOOKUP_SIZE = 500;
/** What is in work without a lease, as before there were any. */
const UNLEASED: Where<typeof images> = [
  { status: In(['saving', 'importing']), upload_id: IsNull() },
  { status: 'uploading', staged: IsNull(), upload_id: IsNull() },
];

/** An upload whose connection ended with its controller is queued again with nothing left; an import goes on. */
async function goOn(cloud: Cloud, image: Image): Promise<void> {
  const { id, status, upload_id } = image;
  const uploadId = await takeOver(cloud, image);
  if (uploadId === undefined) return;
  if (status === 'importing') return runImport(cloud, id, uploadId);
  const from = status === 'saving' ? 'saving' : 'uploading';
  const part = upload_id === null ? [] : [partPath(cloud, id, upload_id)];
  await giveBack(cloud, id, uploadId, from, [imagePath(cloud, id), stagedPath(cloud, id), ...part]);
  cloud.log.warn({ image_id: id }, 'an upload was cut off; the image is queued again');
}

async function goOnWith(cloud: Cloud, where: Where<typeof images>): Promise<void> {
  for (const image of await cloud.db.read((session) => session.find(images, { where }))) await goOn(cloud, image);
}

/** Takes over the uploads and imports of controllers that died: their leases ran out. */
export const recoverUploads = (cloud: Cloud): Promise<void> =>
  goOnWith(cloud, { upload_until: LessThan(cloud.clock.now()) });

/** The same at a start: with SQLite nobody else can be at work, whatever the leases say. */
async function recoverAtStart(cloud: Cloud): Promise<void> {
  await goOnWith(cloud, UNLEASED);
  if (cloud.db.engine === 'sqlite') await goOnWith(cloud, { upload_id: Not(IsNull()) });
  else await recoverUploads(cloud);
}

/** The image a file belongs to; undefined for files that are not ours. */
function imageOfFile(name: string): string | undefined {
  const id = name.split('.')[0] ?? '';
  return isUuid(id) ? id : undefined;
}

/** The files that an image may have in its status. Whoever works on one has names of its own. */
function isExpected(name: string, image: Image, now: number): boolean {
  if (image.upload_until !== null && image.upload_until >= now) return true;
  if (image.status === 'active' || image.status === 'deactivated') return name === image.id;
  return image.status === 'uploading' && name === image.id + STAGED_SUFFIX;
}

/** Removes half-received files, and files of images that do not exist or have no data. */
async function removeLeftovers(cloud: Cloud): Promise<void> {
  const directory = imageDirectory(cloud);
  const names = (await readdir(directory)).filter((name) => imageOfFile(name) !== undefined);
  const ids = [...new Set(names.map((name) => imageOfFile(name) ?? ''))];
  const known = new Map<string, Image>();
  for (let at = 0; at < ids.length; at += LOOKUP_SIZE) {
    const id = In(ids.slice(at, at + LOOKUP_SIZE));
    for (const row of await cloud.db.read((session) => session.find(images, { where: { id } }))) known.set(row.id, row);
  }
  const now = cloud.clock.now();
  for (const name of names) {
    const image = known.get(imageOfFile(name) ?? '');
    if (image && isExpected(name, image, now)) continue;
    await rm(join(directory, name), { force: true });
    cloud.log.warn({ file: name }, 'removed an image file that belongs to no image');
  }
}

/** Run once before the API listens. @throws ConfigError when the directory is not the one that the cloud's controllers share */
export async function recoverImages(cloud: Cloud): Promise<void> {
  await openImageStore(cloud);
  await recoverAtStart(cloud);
  await removeLeftovers(cloud);
}
