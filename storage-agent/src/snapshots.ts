// Snapshots: a server's root disk as one flat qcow2 file, handed to the image service and then removed.
import { createReadStream } from 'node:fs';
import { access, chmod, rename, rm, stat, statfs } from 'node:fs/promises';
import { join } from 'node:path';
import { CumuletError, HostError, type AgentApi, type Exec, type Snapshot } from '@cumulet/common';
import { diskFull, fileFault } from './faults';
import { baseName, diskName, serverDirectory, snapshotPath } from './layout';
import { limited } from './limits';
import { readQcow2Header } from './qcow2Header';

export interface Snapshots {
  /** Looks for room. @returns where the snapshot belongs. @throws HostError disk_full, disk_failed */
  prepare(snapshot: Snapshot): Promise<{ readonly path: string }>;
  /** Makes the file of a server that is off, unless it is there. @throws HostError */
  flatten(snapshot: Snapshot, signal: AbortSignal): Promise<void>;
  /** Streams the file into the image. @throws HostError image_refused, upload_failed */
  upload(snapshot: Snapshot, signal: AbortSignal): Promise<void>;
  remove(snapshot: Snapshot): Promise<void>;
}

export interface SnapshotOptions {
  readonly dir: string;
  readonly host: string;
  readonly api: Pick<AgentApi, 'storeImage'>;
  readonly exec: Exec;
}

/** Every byte of a disk is copied, so the time is for its size: its headers are ours, and the base was looked at. */
const COPY_SECONDS = 3600;
const READ_CHUNK = 1024 * 1024;

/** The disk with all that it stands on, named with formats: what the overlay's header says about its base is not looked at. */
export function diskSource(disk: string, base: string, baseFormat: Snapshot['base_format']): string {
  const file = (filename: string): object => ({ driver: 'file', filename });
  const end = baseFormat === 'qcow2' ? { backing: null } : {};
  const backing = { driver: baseFormat, file: file(base), ...end };
  return `json:${JSON.stringify({ driver: 'qcow2', file: file(disk), backing })}`;
}

const exists = (path: string): Promise<boolean> =>
  access(path).then(
    () => true,
    () => false,
  );

/** Bytes that a file takes on the disk. */
const allocated = async (path: string): Promise<number> => (await stat(path)).blocks * 512;

/** Whatever made it: what leaves the host depends on no other file. @throws HostError */
async function assertFlat(path: string): Promise<void> {
  const header = await readQcow2Header(path);
  if (header && header.danger === undefined) return;
  throw new HostError('snapshot_damaged', "the copy of the server's disk is not what it must be", {
    retryable: false,
    facts: { danger: header?.danger ?? 'no header' },
  });
}

export function createSnapshots({ dir, host, api, exec }: SnapshotOptions): Snapshots {
  const pathOf = (snapshot: Snapshot): string => snapshotPath(dir, snapshot.server_id, snapshot.image_id);
  const filesOf = ({ server_id, revision }: Snapshot): { disk: string; base: string } => ({
    disk: join(serverDirectory(dir, server_id), diskName(revision)),
    base: join(serverDirectory(dir, server_id), baseName(revision)),
  });
  const failed = (error: unknown): HostError =>
    fileFault('snapshot_failed', 'the snapshot', "the snapshot of the server's disk could not be made", error);

  return {
    async prepare(snapshot) {
      try {
        const { disk, base } = filesOf(snapshot);
        const needed = (await allocated(disk)) + (await stat(base)).size;
        const { bavail, bsize } = await statfs(dir);
        if (bavail * bsize < needed) throw diskFull('the snapshot', undefined, { needed, free: bavail * bsize });
        return { path: pathOf(snapshot) };
      } catch (error) {
        throw failed(error);
      }
    },
    async flatten(snapshot, signal) {
      const path = pathOf(snapshot);
      try {
        if (!(await exists(path))) {
          const { disk, base } = filesOf(snapshot);
          const partial = `${path}.part`;
          await rm(partial, { force: true });
          const source = diskSource(disk, base, snapshot.base_format);
          // Without -U: a disk that a guest writes to is locked, and this fails instead of reading half of a change.
          const argv = [...limited(COPY_SECONDS), 'qemu-img', 'convert', '-q', '-O', 'qcow2', source, partial];
          await exec(argv, { timeout: COPY_SECONDS * 1000, signal });
          await rename(partial, path);
        }
        await chmod(path, 0o600);
      } catch (error) {
        throw failed(error);
      }
    },
    async upload(snapshot, signal) {
      const path = pathOf(snapshot);
      try {
        await assertFlat(path);
        const { size } = await stat(path);
        const stream = createReadStream(path, { highWaterMark: READ_CHUNK, signal });
        await api.storeImage(host, snapshot.image_id, { size, stream }).finally(() => stream.destroy());
      } catch (error) {
        const refused = error instanceof CumuletError && error.code === 'image_refused';
        if (refused) throw new HostError('image_refused', error.message, { retryable: false, cause: error });
        const words = 'the snapshot could not be handed to the image service';
        throw fileFault('upload_failed', 'the snapshot', words, error);
      }
    },
    async remove(snapshot) {
      const path = pathOf(snapshot);
      await rm(path, { force: true });
      await rm(`${path}.part`, { force: true });
    },
  };
}
