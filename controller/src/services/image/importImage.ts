// Import: staged bytes become the data of their image. The steps can be repeated, so a crash between them is finished by the next controller
// that looks.
import { access } from 'node:fs/promises';
import { messageOf, newId } from '@cumulet/common';
import type { Cloud } from '../../cloud';
import { images, imageProperties, imageTasks, type Image, type ImageTask } from '../../db/entities/image';
import { ApiError, ConflictError } from '../../errors';
import type { Caller } from '../caller';
import { authorizedImage } from './access';
import { imageUsage, requireBytes, takeQuotaTurn } from './quota';
import { imagePath, placeFile, stagedPath, STORE_ID } from './store';
import { moveStatus } from './transition';
import { beginUpload, holding, lostUpload, removeFiles, stillHeld } from './uploadLease';
import { verifyFormat } from './verifyFormat';

/** Tells clients which store an import failed for. */
const FAILED_PROPERTY = 'os_glance_failed_import';

export interface ImportRequest {
  readonly requestId: string;
  /** The body of the request, kept for the task's record. */
  readonly input: unknown;
}

async function begin(cloud: Cloud, caller: Caller, id: string, request: ImportRequest): Promise<string> {
  return cloud.db.write(async (session) => {
    const image = await authorizedImage(session, cloud, caller, id, 'image:get_image');
    if (image.status === 'active') throw new ConflictError('Image with status active cannot be target for import');
    if (image.status !== 'uploading' || image.staged === null) {
      throw new ConflictError("Image needs to be staged before 'glance-direct' method can be used");
    }
    for (const key of ['container_format', 'disk_format'] as const) {
      if (image[key] === null) throw new ConflictError(`'${key}' needs to be set before import`);
    }
    cloud.policy.require(caller, 'image:modify_image', { project_id: image.owner });
    const now = cloud.clock.now();
    const task: ImageTask = {
      id: newId(),
      image_id: id,
      status: 'processing',
      message: '',
      input: request.input,
      owner: caller.projectId,
      user_id: caller.userId,
      request_id: request.requestId,
      created_at: now,
      updated_at: now,
    };
    await session.insert(imageTasks, task);
    await session.delete(imageProperties, { image_id: id, name: FAILED_PROPERTY });
    return beginUpload(session, cloud, image, 'importing', { staged: image.staged, size: image.size });
  });
}

async function exists(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}

/** Gives the bytes their final place and the image its data. Repeatable. @throws ApiError when they can't be its data. */
async function complete(cloud: Cloud, image: Image, uploadId: string, taskId: string | undefined): Promise<void> {
  const { id, owner, staged } = image;
  if (!staged) throw new ApiError(500, 'ImportFailed', `Image ${id} has no staged data.`);
  const from = stagedPath(cloud, id);
  const to = imagePath(cloud, id);
  const isStaged = await exists(from);
  const virtualSize = await verifyFormat(image, isStaged ? from : to);
  if (!(await stillHeld(cloud, id, uploadId))) throw await lostUpload(cloud, id);
  // Only a clean file gets the image's name; after a crash it may have it already.
  if (isStaged) await placeFile(cloud, from, to);
  const done = await cloud.db.write(async (session) => {
    if (owner !== null) {
      await takeQuotaTurn(session, owner);
      requireBytes(cloud.config.image, await imageUsage(session, owner), staged.size);
    }
    const now = cloud.clock.now();
    if (taskId !== undefined) await session.update(imageTasks, { id: taskId }, { status: 'success', updated_at: now });
    const set = {
      status: 'active' as const,
      size: staged.size,
      virtual_size: virtualSize,
      checksum: staged.checksum,
      os_hash_algo: 'sha512',
      os_hash_value: staged.digest,
      staged: null,
    };
    return moveStatus(session, id, 'importing', set, now, { upload_id: uploadId });
  });
  if (!done) throw await lostUpload(cloud, id);
}

async function fail(
  cloud: Cloud,
  id: string,
  uploadId: string,
  taskId: string | undefined,
  reason: string,
): Promise<void> {
  await removeFiles(cloud, id, uploadId, [stagedPath(cloud, id), imagePath(cloud, id)]);
  await cloud.db.write(async (session) => {
    const now = cloud.clock.now();
    // Whoever holds the image by now says how its import ends.
    if (!(await moveStatus(session, id, 'importing', { status: 'queued' }, now, { upload_id: uploadId }))) return;
    if (taskId !== undefined)
      await session.update(imageTasks, { id: taskId }, { status: 'failure', message: reason, updated_at: now });
    await session.delete(imageProperties, { image_id: id, name: FAILED_PROPERTY });
    await session.insert(imageProperties, { image_id: id, name: FAILED_PROPERTY, value: STORE_ID });
  });
}

/**
 * Brings an image in status importing, whose bytes `uploadId` holds, to its end: active, or queued again with the reason in its task.
 * Never throws for a bad image.
 */
export async function runImport(cloud: Cloud, id: string, uploadId: string): Promise<void> {
  const [image, tasks] = await cloud.db.read(async (session) => [
    await session.findOne(images, { id, status: 'importing', upload_id: uploadId }),
    await session.find(imageTasks, { where: { image_id: id, status: 'processing' } }),
  ]);
  if (!image) return;
  const taskId = tasks.at(-1)?.id;
  try {
    await holding(cloud, id, uploadId, () => complete(cloud, image, uploadId, taskId));
  } catch (error) {
    if (!(error instanceof ApiError)) cloud.log.error({ image_id: id, error: messageOf(error) }, 'image import failed');
    const reason = error instanceof ApiError ? error.message : 'The import failed because of an internal error.';
    await fail(cloud, id, uploadId, taskId, reason);
  }
}

/** Starts an import; it ends on its own. @throws NotFoundError, ForbiddenError, ConflictError (not staged, formats not set) */
export async function importImage(cloud: Cloud, caller: Caller, id: string, request: ImportRequest): Promise<void> {
  await runImport(cloud, id, await begin(cloud, caller, id, request));
}

/** The imports of an image. @throws NotFoundError */
export async function listImageTasks(cloud: Cloud, caller: Caller, id: string): Promise<ImageTask[]> {
  return cloud.db.read(async (session) => {
    await authorizedImage(session, cloud, caller, id, 'image:get_image');
    return session.find(imageTasks, { where: { image_id: id }, order: { created_at: 'ASC' } });
  });
}
