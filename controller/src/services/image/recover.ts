// Cleans up at the start of a controller: uploads that a crash cut off, imports that it interrupted, files of no image.
import { readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { isUuid } from '@cumulet/common';
import type { Cloud } from '../../cloud';
import { In, IsNull } from '../../db';
import { images, type Image } from '../../db/entities/image';
import { runImport } from './importImage';
import { ensureImageDirectory, removeImageFiles, STAGED_SUFFIX } from './store';
import { moveStatus } from './transition';

/** Ids that one statement looks up. */
const LOOKUP_SIZE = 500;

/** Uploads whose connection ended with the last process: queued again, with nothing left. */
async function resetUploads(cloud: Cloud): Promise<void> {
  const cut = await cloud.db.read((session) =>
    session.find(images, { where: [{ status: 'saving' }, { status: 'uploading', staged: IsNull() }] }),
  );
  for (const { id, status } of cut) {
    await removeImageFiles(cloud, id);
    const from = status === 'saving' ? 'saving' : 'uploading';
    await cloud.db.write((session) => moveStatus(session, id, from, { status: 'queued' }, cloud.clock.now()));
    cloud.log.warn({ image_id: id }, 'an upload was cut off by the last stop; the image is queued again');
  }
}

/** The image a file belongs to; undefined for files that are not ours. */
function imageOfFile(name: string): string | undefined {
  const id = name.split('.')[0] ?? '';
  return isUuid(id) ? id : undefined;
}

/** The files that an image may have in its status. */
function expectedFiles(image: Image): string[] {
  if (image.status === 'active' || image.status === 'deactivated') return [image.id];
  return image.status === 'uploading' ? [image.id + STAGED_SUFFIX] : [];
}

/** Removes half-received files, and files of images that do not exist or have no data. */
async function removeLeftovers(cloud: Cloud): Promise<void> {
  const directory = await ensureImageDirectory(cloud);
  const names = (await readdir(directory)).filter((name) => imageOfFile(name) !== undefined);
  const ids = [...new Set(names.map((name) => imageOfFile(name) ?? ''))];
  const expected = new Set<string>();
  for (let at = 0; at < ids.length; at += LOOKUP_SIZE) {
    const id = In(ids.slice(at, at + LOOKUP_SIZE));
    const rows = await cloud.db.read((session) => session.find(images, { where: { id } }));
    for (const name of rows.flatMap(expectedFiles)) expected.add(name);
  }
  for (const name of names.filter((one) => !expected.has(one))) {
    await rm(join(directory, name), { force: true });
    cloud.log.warn({ file: name }, 'removed an image file that belongs to no image');
  }
}

/** Run once before the API listens. */
export async function recoverImages(cloud: Cloud): Promise<void> {
  await resetUploads(cloud);
  const importing = await cloud.db.read((session) => session.find(images, { where: { status: 'importing' } }));
  for (const { id } of importing) await runImport(cloud, id);
  await removeLeftovers(cloud);
}
