// Where the files are: <dir>/images/<digest> and <dir>/disks/<server id>/disk-r<revision>.qcow2.
import { join } from 'node:path';
import { HostError, isUuid } from '@cumulet/common';

const DIGEST = /^[0-9a-f]{128}$/;

/** Whether a text is a SHA-512 in hexadecimal; nothing else becomes a file name. */
export const isDigest = (text: string): boolean => DIGEST.test(text);

export const imagesDirectory = (dir: string): string => join(dir, 'images');
export const disksDirectory = (dir: string): string => join(dir, 'disks');

/** The cached copy of an image. @throws HostError bad_digest */
export function imagePath(dir: string, digest: string): string {
  if (isDigest(digest)) return join(imagesDirectory(dir), digest);
  throw new HostError('bad_digest', "the image's digest is not a SHA-512", { retryable: false, facts: { digest } });
}

/** The directory of a server's disks. @throws HostError bad_server_id */
export function serverDirectory(dir: string, serverId: string): string {
  if (isUuid(serverId)) return join(disksDirectory(dir), serverId);
  throw new HostError('bad_server_id', "the server's id is not a UUID", { retryable: false, facts: { serverId } });
}

export const diskName = (revision: number): string => `disk-r${revision}.qcow2`;
/** A hard link to the cached image that a disk stands on: while it exists, the image is in use. */
export const baseName = (revision: number): string => `base-r${revision}`;

/** The flat copy of a server's disk on its way into an image; it has this name only when it is whole. */
export function snapshotPath(dir: string, serverId: string, imageId: string): string {
  if (isUuid(imageId)) return join(serverDirectory(dir, serverId), `snapshot-${imageId}.qcow2`);
  throw new HostError('bad_image_id', "the image's id is not a UUID", { retryable: false, facts: { imageId } });
}

/** The revision that a file of a server's directory belongs to, and what it is; undefined for a leftover. */
export function parseName(name: string): { readonly kind: 'disk' | 'base'; readonly revision: number } | undefined {
  const found = /^(?:disk-r(\d+)\.qcow2|base-r(\d+))$/.exec(name);
  if (!found) return undefined;
  const [, disk, base] = found;
  return disk === undefined ? { kind: 'base', revision: Number(base) } : { kind: 'disk', revision: Number(disk) };
}
