// Staging: bytes are kept beside a queued image until an import makes them its data.
import { rm } from 'node:fs/promises';
import type { Cloud } from '../../cloud';
import { ApiError } from '../../errors';
import type { Caller } from '../caller';
import { authorizedImage } from './access';
import { imageUsage, requireWithin, takeQuotaTurn, toBytes } from './quota';
import { receiveBytes, type ReceivedBytes } from './receive';
import { placeFile, stagedPath } from './store';
import { moveStatus, requireTransition } from './transition';
import { sizeCheck, type Upload } from './upload';

interface Begun {
  readonly owner: string | null;
  readonly used: number;
}

async function begin(cloud: Cloud, caller: Caller, id: string): Promise<Begun> {
  return cloud.db.write(async (session) => {
    const image = await authorizedImage(session, cloud, caller, id, 'image:modify_image');
    requireTransition(image.status, 'uploading');
    let used = 0;
    if (image.owner !== null) {
      await takeQuotaTurn(session, image.owner);
      const usage = await imageUsage(session, image.owner);
      requireWithin(cloud.config.image.max_uploads, usage.uploads, 1, 'image_count_uploading');
      used = usage.stagedBytes;
    }
    await moveStatus(session, id, 'queued', { status: 'uploading' }, cloud.clock.now());
    return { owner: image.owner, used };
  });
}

async function finish(cloud: Cloud, id: string, received: ReceivedBytes): Promise<void> {
  await placeFile(cloud, received.path, stagedPath(cloud, id));
  const { size, checksum, digest } = received;
  const kept = await cloud.db.write((session) =>
    moveStatus(
      session,
      id,
      'uploading',
      { status: 'uploading', size, staged: { size, checksum, digest } },
      cloud.clock.now(),
    ),
  );
  if (!kept) throw new ApiError(410, 'ImageGone', `Image ${id} was deleted during the upload.`);
}

/**
 * Stages bytes for a queued image, which is "uploading" from then on.
 * @throws NotFoundError, ForbiddenError, ConflictError 409 (not queued), TooLargeError 413, InvalidError 400 (cut off)
 */
export async function stageImage(cloud: Cloud, caller: Caller, id: string, upload: Upload): Promise<void> {
  const { owner, used } = await begin(cloud, caller, id);
  let received: ReceivedBytes | undefined;
  try {
    const limit = owner === null ? -1 : toBytes(cloud.config.image.max_staged_mib);
    const check = sizeCheck(cloud, limit, used, 'image_stage_total in bytes');
    received = await receiveBytes(cloud, id, upload.stream, { declared: upload.declared, check });
    await finish(cloud, id, received);
  } catch (error) {
    if (received) await rm(received.path, { force: true });
    await rm(stagedPath(cloud, id), { force: true });
    await cloud.db.write((session) => moveStatus(session, id, 'uploading', { status: 'queued' }, cloud.clock.now()));
    throw error;
  }
}
