// What a project's images use and may use. Usage is counted from the images themselves, so it can't drift from them.
import type { ControllerConfig } from '../../config';
import { countRows, sumRows, type Condition, type ReadSession, type WriteSession } from '../../db';
import { imageQuotaTurns, images } from '../../db/entities/image';
import { TooLargeError } from '../../errors';

export const MIB = 1024 * 1024;

export interface ImageUsage {
  readonly images: number;
  /** Bytes of complete images. */
  readonly bytes: number;
  /** Bytes staged for import. */
  readonly stagedBytes: number;
  readonly uploads: number;
}

type Conditions = Condition<typeof images>[];

/** Counts what a project has. */
export async function imageUsage(session: ReadSession, projectId: string): Promise<ImageUsage> {
  const where = (...more: Conditions): Conditions => [{ column: 'owner', op: '=', value: projectId }, ...more];
  const status = (...names: string[]): Condition<typeof images> => ({ column: 'status', op: 'in', value: names });
  return {
    images: await countRows(session, images, where()),
    bytes: await sumRows(session, images, 'size', where(status('active', 'deactivated'))),
    stagedBytes: await sumRows(session, images, 'size', where(status('uploading', 'importing'))),
    uploads: await countRows(session, images, where(status('saving', 'uploading', 'importing'))),
  };
}

/** Makes this transaction and others that count the same project run one after the other. Call before counting. */
export async function takeQuotaTurn(session: WriteSession, projectId: string): Promise<void> {
  const row = await session.findOne(imageQuotaTurns, { id: projectId }, 'exclusive');
  if (!row) await session.insert(imageQuotaTurns, { id: projectId, turn: 1 });
  else await session.update(imageQuotaTurns, { id: projectId }, { turn: row.turn + 1 });
}

/** @throws TooLargeError (413) when `used` and `more` together are over the limit; -1 is no limit. */
export function requireWithin(limit: number, used: number, more: number, what: string): void {
  if (limit >= 0 && used + more > limit) {
    throw new TooLargeError(
      `The project is over its quota: ${what} would be ${used + more} of at most ${limit} (${used} in use).`,
    );
  }
}

type Limits = ControllerConfig['image'];

/** Room for one more image. @throws TooLargeError */
export async function requireImageQuota(session: WriteSession, limits: Limits, projectId: string): Promise<void> {
  await takeQuotaTurn(session, projectId);
  const { images: count } = await imageUsage(session, projectId);
  requireWithin(limits.max_images, count, 1, 'image_count_total');
}

/** Room for `size` more bytes of complete images. @throws TooLargeError */
export function requireBytes(limits: Limits, usage: ImageUsage, size: number): void {
  requireWithin(toBytes(limits.max_total_mib), usage.bytes, size, 'image_size_total in bytes');
}

/** A limit in MiB as bytes; -1 stays -1. */
export function toBytes(mib: number): number {
  return mib < 0 ? -1 : mib * MIB;
}
