// The image a server is made from, as the server keeps it, and whether it fits a flavor.
import type { ReadSession } from '../../db';
import type { Server, ServerImage } from '../../db/entities/compute';
import { InvalidError, NotFoundError } from '../../errors';
import type { Caller } from '../caller';
import { findBootableImage } from '../image/boot';

const GIB = 1024 ** 3;

/** Bytes of a root disk: the flavor's size, or the image's where the flavor names none. */
export const rootDiskBytes = ({ flavor, image }: Pick<Server, 'flavor' | 'image'>): number =>
  flavor.disk === 0 ? (image?.virtual_size ?? 0) : flavor.disk * GIB;

/** @throws InvalidError when there is no such image for this caller, or none that boots */
export async function findServerImage(
  session: ReadSession,
  caller: Caller,
  imageId: string,
  missing = 'Can not find requested image',
): Promise<ServerImage> {
  try {
    const image = await findBootableImage(session, caller, imageId);
    return {
      id: image.id,
      name: image.name,
      digest: image.digest,
      format: image.disk_format,
      size: image.size,
      virtual_size: image.virtual_size,
      min_disk: image.min_disk,
      min_ram: image.min_ram,
      properties: image.properties,
    };
  } catch (error) {
    if (error instanceof NotFoundError) throw new InvalidError(missing, 'ImageNotFound');
    throw error;
  }
}

/**
 * Memory and root disk must be large enough; a flavor without a disk size takes the image's.
 * @throws InvalidError with the sizes
 */
export function requireImageFits(
  image: Pick<ServerImage, 'min_disk' | 'min_ram' | 'virtual_size'>,
  flavor: { readonly ram: number; readonly disk: number },
): void {
  if (flavor.ram < image.min_ram)
    throw new InvalidError(
      `Flavor's memory is too small for requested image. Flavor memory is ${flavor.ram} MiB, minimum is ${image.min_ram} MiB.`,
      'FlavorMemoryTooSmall',
    );
  if (flavor.disk === 0) return;
  const bytes = flavor.disk * GIB;
  if (bytes < image.virtual_size) {
    throw new InvalidError(
      `Flavor's disk is too small for requested image. Flavor disk is ${bytes} bytes, image is ${image.virtual_size} bytes.`,
      'FlavorDiskSmallerThanImage',
    );
  }
  if (flavor.disk < image.min_disk) {
    throw new InvalidError(
      `Flavor's disk is smaller than the minimum size specified in image metadata. Flavor disk is ${bytes} bytes, minimum size is ${image.min_disk * GIB} bytes.`,
      'FlavorDiskSmallerThanMinDisk',
    );
  }
}
