// Takes the bytes of a snapshot from the host that makes it. Which image a host may fill is what its running tasks say.
import type { Readable } from 'node:stream';
import { CumuletError } from '@cumulet/common';
import type { Cloud } from '../cloud';
import { In, type ReadSession } from '../db';
import { servers } from '../db/entities/compute';
import { images, type Image } from '../db/entities/image';
import { tasks } from '../db/entities/tasks';
import { ApiError, ForbiddenError } from '../errors';
import { imageNotFound } from '../services/image/access';
import { takeUpload } from '../services/image/upload';

const KINDS = ['server.createImage', 'server.createBackup', 'server.shelve'];

/** @throws ForbiddenError, NotFoundError when it was deleted meanwhile */
async function imageOfHost(session: ReadSession, host: string, imageId: string): Promise<Image> {
  const running = await session.find(tasks, { where: { kind: In(KINDS), active: 1 } });
  const task = running.find(({ params }) => params['image_id'] === imageId);
  const server = task && (await session.findOne(servers, { id: task.resource_id }));
  if (server?.host !== host) throw new ForbiddenError('This host makes no such image.');
  const image = await session.findOne(images, { id: imageId });
  if (!image) throw imageNotFound(imageId);
  return image;
}

/** What another try would not change: too large, not allowed, deleted, not a disk. */
const isFinal = (error: unknown): error is ApiError =>
  error instanceof ApiError && error.status < 500 && error.status !== 409 && error.code !== 'UploadAborted';

/** @throws CumuletError image_refused when the image will never take them */
export async function storeSnapshot(
  cloud: Cloud,
  host: string,
  imageId: string,
  { size, stream }: { readonly size: number; readonly stream: Readable },
): Promise<void> {
  // It may break before it is read; whoever reads it hears of that then.
  stream.on('error', () => undefined);
  try {
    const { status } = await cloud.db.read((session) => imageOfHost(session, host, imageId));
    if (status === 'active') return;
    await takeUpload(cloud, { stream, declared: size }, (session) => imageOfHost(session, host, imageId));
  } catch (error) {
    throw isFinal(error) ? new CumuletError('image_refused', error.message, error.facts, error) : error;
  }
}
