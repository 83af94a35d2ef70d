// The disks of a simulated host: revisions in memory that are made, found, adopted, copied into images and removed as files are.
import { createHash } from 'node:crypto';
import { Readable } from 'node:stream';
import {
  CumuletError,
  HostError,
  type AgentApi,
  type CommandHandlers,
  type DiskBytes,
  type DiskEnsure,
  type HostApi,
} from '@cumulet/common';
import { qcow2Header } from './qcow2';
import type { SharedPool } from './simulatedHost';

export interface SimulatedDisks {
  readonly handlers: CommandHandlers;
  /** @throws HostError disk_missing when the path is not one of a disk that is there */
  require(path: string): void;
  /** The server whose disk was copied so, or whose copy is made. */
  readonly snapshots: Map<string, string>;
  open(serverId: string, revision: number): Promise<DiskBytes>;
  /** An image that was fetched. */
  openImage: HostApi['openImage'];
}

export interface SimulatedDiskParts {
  readonly name: string;
  readonly api: Pick<AgentApi, 'openDisk' | 'openImage' | 'storeImage'>;
  /** Whether all images count as fetched. */
  readonly isStocked: () => boolean;
  readonly disks: Map<string, Set<number>>;
  readonly pool: SharedPool | undefined;
  readonly before: (kind: string) => Promise<void> | void;
  /** Whether a domain of this host, or of one with the same disks, has the server. */
  readonly isDefined: (serverId: string) => boolean;
  readonly isAwake: (serverId: string) => boolean;
}

const DIGEST_BYTES = 64;
const pathOf = (serverId: string, revision: number): string => `/disks/${serverId}/disk-r${revision}.qcow2`;
const fault = (code: string, message: string, retryable: boolean): HostError =>
  new HostError(code, message, { retryable });
const sha512 = (bytes: Buffer): Buffer => createHash('sha512').update(bytes).digest();

export function createSimulatedDisks(parts: SimulatedDiskParts): SimulatedDisks {
  const { name, api, disks, pool, before, isAwake, isDefined, isStocked } = parts;
  const snapshots = new Map<string, string>();
  /** By digest. */
  const images = new Map<string, Buffer>();
  const has = (id: string, revision: number): boolean => disks.get(id)?.has(revision) ?? false;
  const isElsewhere = (id: string, generation: number): boolean => (pool?.generations.get(id) ?? 0) > generation;
  const take = (id: string, generation: number): void => {
    if (isElsewhere(id, generation))
      throw fault('disk_elsewhere', 'another host has the disk of the server by now', false);
    pool?.generations.set(id, generation);
  };
  const diskOf = (id: string, revision: number, format: DiskEnsure['image']['format']): Record<string, unknown> => ({
    path: pathOf(id, revision),
    format: 'qcow2',
    backing: { path: `/disks/${id}/base-r${revision}`, format },
    ...(pool ? { shared: true } : {}),
  });
  const add = (id: string, revision: number): void => void disks.set(id, new Set([...(disks.get(id) ?? []), revision]));

  /** Has the image here, whose bytes come once. */
  const ensureImage = async ({ digest }: DiskEnsure['image']): Promise<void> => {
    if (images.has(digest) || isStocked()) return;
    let bytes: Buffer;
    try {
      const { stream } = await api.openImage(name, digest);
      bytes = Buffer.concat((await stream.toArray()) as Buffer[]);
    } catch (error) {
      const words = 'the image could not be fetched from the image service';
      throw new HostError('image_unavailable', words, { retryable: true, cause: error });
    }
    if (sha512(bytes).toString('hex') !== digest)
      throw fault('image_damaged', "the image's bytes arrived damaged: their digest is not the image's", true);
    images.set(digest, bytes);
  };

  /** What another host sends, as far as it is what that host has read. */
  const fetch = async (id: string): Promise<void> => {
    const { stream } = await api.openDisk(name, id);
    const bytes = Buffer.concat((await stream.toArray()) as Buffer[]);
    const data = bytes.subarray(0, -DIGEST_BYTES);
    if (!sha512(data).equals(bytes.subarray(-DIGEST_BYTES)))
      throw fault('disk_damaged', "the server's disk arrived damaged from the host that it leaves", true);
  };

  const handlers: CommandHandlers = {
    'disk.ensure': async ({ body, generation }) => {
      await before('disk.ensure');
      const { server_id: id, revision, image, size } = body;
      take(id, generation);
      await ensureImage(image);
      if (!has(id, revision) && image.format === 'raw' && image.size > size)
        throw fault('disk_too_small', `the image needs a disk of ${image.size} bytes, the server's has ${size}`, false);
      const kept = [...(disks.get(id) ?? [])].filter((one) => body.keep?.includes(one));
      disks.set(id, new Set([revision, ...kept]));
      return diskOf(id, revision, image.format);
    },
    'disk.find': async ({ body, generation }) => {
      await before('disk.find');
      if (!pool || pool.cards.get(body.from.host) !== body.from.card)
        throw fault('disks_not_shared', `the disks of ${body.from.host} are not seen here`, false);
      if (!has(body.server_id, body.revision))
        throw fault('disk_missing', "the server's disk is not in the directory that hosts share", false);
      if (body.take) take(body.server_id, generation);
      return diskOf(body.server_id, body.revision, body.base_format);
    },
    'disk.adopt': async ({ body, generation }) => {
      await before('disk.adopt');
      const { server_id: id, revision, from } = body;
      take(id, generation);
      await ensureImage(body.image);
      if (has(id, revision)) return {};
      if (from.elsewhere) await fetch(id);
      else if (!has(id, from.revision)) throw fault('disk_failed', "the server's disk could not be copied", true);
      add(id, revision);
      return {};
    },
    'disk.remove': async ({ body, generation }) => {
      await before('disk.remove');
      const { server_id: id, revision } = body;
      if (isElsewhere(id, generation)) return {};
      if (revision !== undefined) {
        disks.get(id)?.delete(revision);
        return {};
      }
      // A real host would take the disk from under its guest: here a controller is found out that forgets the order.
      if (isDefined(id)) throw new Error('the disk is in use');
      disks.delete(id);
      for (const [image, server] of snapshots) if (server === id) snapshots.delete(image);
      return {};
    },
    'snapshot.prepare': async ({ body }) => {
      await before('snapshot.prepare');
      if (!has(body.server_id, body.revision))
        throw fault('snapshot_failed', "the snapshot of the server's disk could not be made", true);
      return { path: body.image_id };
    },
    'snapshot.flatten': async ({ body }) => {
      await before('snapshot.flatten');
      if (snapshots.has(body.image_id)) return {};
      // A disk that a guest writes to is locked.
      if (!has(body.server_id, body.revision) || isAwake(body.server_id))
        throw fault('snapshot_failed', "the snapshot of the server's disk could not be made", true);
      snapshots.set(body.image_id, body.server_id);
      return {};
    },
    'snapshot.upload': async ({ body }) => {
      await before('snapshot.upload');
      const words = 'the snapshot could not be handed to the image service';
      if (!snapshots.has(body.image_id)) throw fault('upload_failed', words, true);
      const bytes = qcow2Header();
      try {
        await api.storeImage(name, body.image_id, { size: bytes.length, stream: Readable.from([bytes]) });
      } catch (error) {
        if (error instanceof CumuletError && error.code === 'image_refused')
          throw new HostError('image_refused', error.message, { retryable: false, cause: error });
        throw new HostError('upload_failed', words, { retryable: true, cause: error });
      }
      return {};
    },
    'snapshot.remove': async ({ body }) => {
      await before('snapshot.remove');
      snapshots.delete(body.image_id);
      return {};
    },
  };

  return {
    handlers,
    snapshots,
    require(path) {
      const [, id = '', revision = ''] = /^\/disks\/([^/]+)\/disk-r(\d+)\.qcow2$/.exec(path) ?? [];
      if (!has(id, Number(revision))) throw fault('disk_missing', "the server's disk is not on the host", true);
    },
    open(id, revision) {
      if (!has(id, revision))
        return Promise.reject(fault('disk_missing', "the server's disk is not on the host", true));
      // A real host would send what changes meanwhile: here a controller is found out that does not wait.
      if (isAwake(id)) return Promise.reject(new Error('the disk does not stand still'));
      const data = Buffer.from(`${id} ${revision}`);
      const bytes = Buffer.concat([data, sha512(data)]);
      return Promise.resolve({ size: bytes.length, stream: Readable.from([bytes]) });
    },
    openImage(digest, start) {
      const bytes = images.get(digest);
      if (!bytes) return Promise.reject(fault('image_missing', 'the image is not on the host', true));
      return Promise.resolve({ size: bytes.length, stream: Readable.from([bytes.subarray(start)]) });
    },
  };
}
