// What the rest of the cloud needs of an image: whether a server can boot from it, and what it asks for.
import type { ReadSession } from '../../db';
import { InvalidError } from '../../errors';
import type { Caller } from '../caller';
import { imageNotFound } from './access';
import { visibleForBoot } from './record';

/** Formats that hosts boot from. */
const BOOTABLE = ['qcow2', 'raw'] as const;

export interface BootableImage {
  readonly id: string;
  readonly name: string | null;
  readonly status: string;
  /** SHA-512 of the bytes, hexadecimal: what hosts fetch and check them by. */
  readonly digest: string;
  readonly container_format: string;
  readonly disk_format: (typeof BOOTABLE)[number];
  /** Bytes of the file, and of the disk it describes. */
  readonly size: number;
  readonly virtual_size: number;
  /** GiB and MiB. */
  readonly min_disk: number;
  readonly min_ram: number;
  readonly properties: Readonly<Record<string, string>>;
  readonly owner: string | null;
  readonly visibility: string;
}

/**
 * An image that the caller may see and a server can boot from.
 * @throws NotFoundError (unknown or hidden), InvalidError (not active, or not a disk that hosts boot)
 */
export async function findBootableImage(session: ReadSession, caller: Caller, imageId: string): Promise<BootableImage> {
  const image = await visibleForBoot(session, caller, imageId);
  if (!image) throw imageNotFound(imageId);
  const { id, name, status, size, os_hash_value, container_format, disk_format } = image;
  if (status !== 'active' || size === null || os_hash_value === null) {
    throw new InvalidError(`Image ${id} is not active.`, 'ImageNotActive', { image_id: id, status });
  }
  const format = BOOTABLE.find((one) => one === disk_format);
  if (!format || container_format !== 'bare') {
    throw new InvalidError(
      `Image ${id} is unacceptable: servers boot from disk formats qcow2 and raw in container format bare, ` +
        `not from ${String(disk_format)} in ${String(container_format)}.`,
      'ImageUnacceptable',
      { image_id: id },
    );
  }
  return {
    id,
    name,
    status,
    digest: os_hash_value,
    container_format,
    disk_format: format,
    size,
    virtual_size: image.virtual_size ?? size,
    min_disk: image.min_disk,
    min_ram: image.min_ram,
    properties: image.properties,
    owner: image.owner,
    visibility: image.visibility,
  };
}
