// The life of an image: which status may follow which, and what must be known before bytes are taken.
import type { WriteSession } from '../../db';
import { images, type Image } from '../../db/entities/image';
import { ConflictError, InvalidError } from '../../errors';

export type ImageStatus =
  'queued' | 'saving' | 'uploading' | 'importing' | 'active' | 'deactivated' | 'killed' | 'deleted' | 'pending_delete';

const NEXT: Readonly<Record<ImageStatus, readonly ImageStatus[]>> = {
  queued: ['saving', 'uploading', 'importing', 'active', 'deleted'],
  saving: ['active', 'killed', 'deleted', 'queued'],
  uploading: ['importing', 'queued', 'deleted'],
  importing: ['active', 'deleted', 'queued'],
  active: ['pending_delete', 'deleted', 'deactivated'],
  killed: ['deleted'],
  pending_delete: ['deleted', 'active'],
  deleted: [],
  deactivated: ['active', 'deleted'],
};

/** @throws ConflictError (409) when the status may not follow. */
export function requireTransition(from: string, to: ImageStatus): void {
  if (!NEXT[from as ImageStatus].includes(to)) {
    throw new ConflictError(
      `Image status transition from ${from} to ${to} is not allowed`,
      'InvalidImageStatusTransition',
    );
  }
}

/** @throws InvalidError (400) unless both formats are set. */
export function requireFormats(image: Pick<Image, 'disk_format' | 'container_format'>): void {
  const missing = (['disk_format', 'container_format'] as const).filter((key) => image[key] === null);
  if (missing.length > 0) {
    const noun = missing.length === 1 ? 'Property' : 'Properties';
    throw new InvalidError(`${noun} ${missing.join(', ')} must be set prior to saving data.`);
  }
}

/**
 * Changes the status if it is still `from`, and if `held` names the work that holds the image's bytes; false when it is not (deleted
 * or changed meanwhile). Work on the bytes ends with it, unless `set` begins another.
 */
export async function moveStatus(
  session: WriteSession,
  id: string,
  from: ImageStatus,
  set: Partial<Image> & { status: ImageStatus },
  now: number,
  held: { readonly upload_id?: string } = {},
): Promise<boolean> {
  const cleared = set.status === 'queued' ? { size: null, virtual_size: null, staged: null } : {};
  const change = { upload_id: null, upload_until: null, ...cleared, ...set, updated_at: now };
  return (await session.update(images, { id, status: from, ...held }, change)) === 1;
}
