// Staging: bytes are kept beside a queued image until an import makes them its data.
import { rm } from 'node:fs/promises';
import type { Cloud } from '../../cloud';
import type { Caller } from '../caller';
import { authorizedImage } from './access';
import { imageUsage, requireWithin, takeQuotaTurn, toBytes } from './quota';
import { receiveBytes, type ReceivedBytes } from './receive';
import { placeFile, stagedPath } from './store';
import { moveStatus, requireTransition } from './transition';
import { sizeCheck, type Upload } from './upload';
import { beginUpload, giveBack, holding, lostUpload, stillHeld } from './uploadLease';

interface Begun {
  readonly owner: string | null;
  readonly used: number;
  readonly uploadId: string;
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
    return { owner: image.owner, used, uploadId: await beginUpload(session, cloud, image, 'uploading') };
  });
}

async function finish(cloud: Cloud, id: string, uploadId: string, received: ReceivedBytes): Promise<void> {
  if (!(await stillHeld(cloud, id, uploadId))) throw await lostUpload(cloud, id);
  await placeFile(cloud, received.path, stagedPath(cloud, id));
  const { size, checksum, digest } = received;
  const set = { status: 'uploading' as const, size, staged: { size, checksum, digest } };
  const isKept = await cloud.db.write((session) =>
    moveStatus(session, id, 'uploading', set, cloud.clock.now(), { upload_id: uploadId }),
  );
  if (!isKept) throw await lostUpload(cloud, id);
}

/**
 * Stages bytes for a queued image, which is "uploading" from then on.
 * @throws NotFoundError, ForbiddenError, ConflictError 409 (not queued), TooLargeError 413, InvalidError 400 (cut off), ApiError 503
 */
export async function stageImage(cloud: Cloud, caller: Caller, id: string, upload: Upload): Promise<void> {
  const { owner, used, uploadId } = await begin(cloud, caller, id);
  const limit = owner === null ? -1 : toBytes(cloud.config.image.max_staged_mib);
  const check = sizeCheck(cloud, limit, used, 'image_stage_total in bytes');
  await holding(cloud, id, uploadId, async () => {
    let received: ReceivedBytes | undefined;
    try {
      received = await receiveBytes(cloud, id, upload.stream, { declared: upload.declared, check, uploadId });
      await finish(cloud, id, uploadId, received);
    } catch (error) {
      if (received) await rm(received.path, { force: true });
      const wasHeld = await giveBack(cloud, id, uploadId, 'uploading', [stagedPath(cloud, id)]);
      throw wasHeld ? error : await lostUpload(cloud, id);
    }
  });
}
