// Copies of servers' disks: a second revision beside the first, here or from the host that has it. The original stays as it is.
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { access, chmod, link, mkdir, open, rename, rm, stat, statfs, type FileHandle } from 'node:fs/promises';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { HostError, type AgentApi, type DiskAdopt, type DiskBytes, type Exec } from '@cumulet/common';
import { diskFull, fileFault } from './faults';
import { baseName, diskName, serverDirectory } from './layout';
import { limited } from './limits';
import { TABLES_CPU_SECONDS } from './overlays';
import { readQcow2Header } from './qcow2Header';

export interface DiskMoves {
  /** Makes the new revision, unless it is there: it has its name only when it is whole. @throws HostError */
  adopt(disk: DiskAdopt, imageFile: string, signal: AbortSignal, progress: Progress): Promise<void>;
  /** The bytes of a revision for another host, and their digest. @throws HostError disk_missing */
  open(serverId: string, revision: number): Promise<DiskBytes>;
}

type Progress = (received: number) => Promise<void>;

export interface DiskMoveOptions {
  readonly dir: string;
  readonly host: string;
  readonly api: Pick<AgentApi, 'openDisk'>;
  readonly exec: Exec;
}

const COPY_SECONDS = 3600;
const READ_CHUNK = 1024 * 1024;
const DIGEST_BYTES = 64;
const PROGRESS_BYTES = 256 * READ_CHUNK;

const exists = (path: string): Promise<boolean> =>
  access(path).then(
    () => true,
    () => false,
  );

/** What is read, and after it the SHA-512 of it. */
async function* withDigest(path: string): AsyncGenerator<Buffer> {
  const hash = createHash('sha512');
  for await (const chunk of createReadStream(path, { highWaterMark: READ_CHUNK }) as AsyncIterable<Buffer>) {
    hash.update(chunk);
    yield chunk;
  }
  yield hash.digest();
}

/** Writes what comes before the digest. @throws HostError disk_damaged when the two don't belong together */
async function receive(file: FileHandle, source: AsyncIterable<Buffer>, progress: Progress): Promise<void> {
  const hash = createHash('sha512');
  let held = Buffer.alloc(0);
  let [received, told] = [0, 0];
  for await (const chunk of source) {
    // The last bytes so far may be the digest.
    const bytes = held.length === 0 ? chunk : Buffer.concat([held, chunk]);
    const end = Math.max(0, bytes.length - DIGEST_BYTES);
    const data = bytes.subarray(0, end);
    held = Buffer.from(bytes.subarray(end));
    hash.update(data);
    await file.appendFile(data);
    received += data.length;
    if (received - told < PROGRESS_BYTES) continue;
    told = received;
    await progress(received);
  }
  await file.sync();
  if (hash.digest().equals(held)) return;
  throw new HostError('disk_damaged', "the server's disk arrived damaged from the host that it leaves", {
    retryable: true,
    facts: { received },
  });
}

/** Looks at a disk from another host before QEMU does: its sender may be in strange hands. @throws HostError */
async function assertOverlay(path: string): Promise<void> {
  const header = await readQcow2Header(path);
  const problem = header ? header.overlayDanger : 'it is not a qcow2 disk';
  if (problem === undefined) return;
  throw new HostError('disk_refused', `the disk from the host that the server leaves is refused: ${problem}`, {
    retryable: false,
  });
}

export function createDiskMoves({ dir, host, api, exec }: DiskMoveOptions): DiskMoves {
  const copyHere = async (from: string, to: string, signal: AbortSignal): Promise<void> => {
    // A file system that shares blocks copies nothing; on others the holes stay holes.
    await exec(['cp', '--reflink=auto', '--sparse=auto', '--', from, to], { timeout: COPY_SECONDS * 1000, signal });
  };

  const fetch = async (serverId: string, to: string, signal: AbortSignal, progress: Progress): Promise<void> => {
    const { size, stream } = await api.openDisk(host, serverId);
    const end = (): void => void stream.destroy(new Error('the copy was given up'));
    signal.addEventListener('abort', end);
    try {
      const { bavail, bsize } = await statfs(dir);
      if (bavail * bsize < size) throw diskFull('the disk', undefined, { needed: size, free: bavail * bsize });
      const file = await open(to, 'wx', 0o600);
      try {
        await receive(file, stream, progress);
      } finally {
        await file.close();
      }
    } finally {
      signal.removeEventListener('abort', end);
      stream.destroy();
    }
  };

  return {
    async adopt({ server_id, image, revision, from }, imageFile, signal, progress) {
      const directory = serverDirectory(dir, server_id);
      const [path, base] = [join(directory, diskName(revision)), join(directory, baseName(revision))];
      const partial = `${path}.part`;
      try {
        if (await exists(path)) return;
        await mkdir(directory, { recursive: true, mode: 0o711 });
        await rm(base, { force: true });
        await link(imageFile, base);
        await rm(partial, { force: true });
        if (from.elsewhere) {
          await fetch(server_id, partial, signal, progress);
          await assertOverlay(partial);
        } else await copyHere(join(directory, diskName(from.revision)), partial, signal);
        // The header names the base of the original; only the name is written, no base is opened.
        const header = ['-f', 'qcow2', '-F', image.format, '-b', baseName(revision)];
        await exec([...limited(TABLES_CPU_SECONDS), 'qemu-img', 'rebase', '-q', '-u', ...header, partial]);
        await chmod(partial, 0o600);
        await rename(partial, path);
      } catch (error) {
        throw fileFault('disk_failed', "the copy of the server's disk", "the server's disk could not be copied", error);
      }
    },
    async open(serverId, revision) {
      const path = join(serverDirectory(dir, serverId), diskName(revision));
      try {
        const { size } = await stat(path);
        return { size: size + DIGEST_BYTES, stream: Readable.from(withDigest(path), { objectMode: false }) };
      } catch (error) {
        throw fileFault('disk_missing', "the server's disk", "the server's disk is not on the host", error);
      }
    },
  };
}
