// Servers' root disks as files: a qcow2 overlay on a cached image, always with explicit formats.
import { link, mkdir, readdir, rename, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { HostError, isUuid, type DiskEnsure, type DiskFind, type Exec } from '@cumulet/common';
import { diskPlan, type DiskAction, type ObservedFile } from './diskPlan';
import { fileFault } from './faults';
import { baseName, diskName, disksDirectory, parseName, serverDirectory } from './layout';
import { limited } from './limits';
import { GENERATION } from './sharedDisks';
import { createOverlayMaker, TABLES_CPU_SECONDS } from './overlays';
import { readQcow2Header } from './qcow2Header';

/** A disk as the compute agent needs it. */
export interface ServerDisk {
  readonly path: string;
  readonly format: 'qcow2';
  /** What the overlay stands on, so that nobody has to look into its header. */
  readonly backing: { readonly path: string; readonly format: 'qcow2' | 'raw' };
}

export interface FileBackend {
  /** Makes, remakes or grows a server's disk on the image at `imageFile`. Repeating it changes nothing. @throws HostError */
  ensure(disk: DiskEnsure, imageFile: string): Promise<ServerDisk>;
  /** A disk that must be there. @throws HostError disk_missing */
  find(disk: Pick<DiskFind, 'server_id' | 'revision' | 'base_format'>): Promise<ServerDisk>;
  /** Removes everything of a server; nothing happens when there is nothing. @throws HostError */
  remove(serverId: string): Promise<void>;
  /** Removes one revision of a server's disk; the others stay. @throws HostError */
  removeRevision(serverId: string, revision: number): Promise<void>;
  /** Servers that have a directory here, with the names in it. */
  list(): Promise<readonly { readonly serverId: string; readonly names: readonly string[] }[]>;
}

async function namesIn(directory: string): Promise<string[]> {
  try {
    return await readdir(directory);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
    throw error;
  }
}

async function observe(directory: string): Promise<ObservedFile[]> {
  const files: ObservedFile[] = [];
  for (const name of await namesIn(directory)) {
    if (name.startsWith(GENERATION)) continue;
    const path = join(directory, name);
    const { size: fileSize } = await stat(path);
    const isDisk = parseName(name)?.kind === 'disk';
    files.push({ name, fileSize, ...(isDisk ? { virtualSize: (await readQcow2Header(path))?.virtualSize } : {}) });
  }
  return files;
}

/** A disk smaller than its image would cut the image's end off. */
async function assertImageFits(disk: DiskEnsure, imageFile: string): Promise<void> {
  const header = disk.image.format === 'qcow2' ? await readQcow2Header(imageFile) : undefined;
  const needed = header?.virtualSize ?? disk.image.size;
  if (needed <= disk.size) return;
  throw new HostError('disk_too_small', `the image needs a disk of ${needed} bytes, the server's has ${disk.size}`, {
    retryable: false,
    facts: { needed, size: disk.size },
  });
}

const diskOf = (directory: string, revision: number, format: DiskFind['base_format']): ServerDisk => ({
  path: join(directory, diskName(revision)),
  format: 'qcow2',
  backing: { path: join(directory, baseName(revision)), format },
});

export function createFileBackend({ dir, exec }: { readonly dir: string; readonly exec: Exec }): FileBackend {
  const makeOverlay = createOverlayMaker(exec);

  const create = async (directory: string, disk: DiskEnsure, imageFile: string): Promise<void> => {
    const { revision, size, image } = disk;
    await assertImageFits(disk, imageFile);
    const base = join(directory, baseName(revision));
    await rm(base, { force: true });
    await link(imageFile, base);
    const partial = join(directory, `${diskName(revision)}.part`);
    await makeOverlay(partial, { size, baseFormat: image.format, base: baseName(revision) });
    await rename(partial, join(directory, diskName(revision)));
  };

  const apply = async (action: DiskAction, directory: string, disk: DiskEnsure, imageFile: string): Promise<void> => {
    if (action.kind === 'create') return create(directory, disk, imageFile);
    const path = join(directory, action.name);
    if (action.kind === 'remove') return rm(path, { force: true, recursive: true });
    const argv = [...limited(TABLES_CPU_SECONDS), 'qemu-img', 'resize', '-q', '-f', 'qcow2', path, String(action.size)];
    await exec(argv);
  };

  return {
    async ensure(disk, imageFile) {
      const directory = serverDirectory(dir, disk.server_id);
      try {
        await mkdir(directory, { recursive: true, mode: 0o711 });
        const actions = diskPlan(disk, await observe(directory));
        for (const action of actions) await apply(action, directory, disk, imageFile);
      } catch (error) {
        throw fileFault('disk_failed', "the server's disk", "the server's disk could not be made", error);
      }
      return diskOf(directory, disk.revision, disk.image.format);
    },
    async find({ server_id, revision, base_format }) {
      const directory = serverDirectory(dir, server_id);
      const disk = diskOf(directory, revision, base_format);
      try {
        await stat(disk.backing.path);
        if (await readQcow2Header(disk.path)) return disk;
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'ENOENT')
          throw fileFault('disk_failed', "the server's disk", "the server's disk could not be looked at", error);
      }
      throw new HostError('disk_missing', "the server's disk is not in the directory that hosts share", {
        retryable: false,
      });
    },
    async remove(serverId) {
      try {
        await rm(serverDirectory(dir, serverId), { recursive: true, force: true });
      } catch (error) {
        throw fileFault('disk_failed', "the server's disk", "the server's disk could not be removed", error);
      }
    },
    async removeRevision(serverId, revision) {
      const directory = serverDirectory(dir, serverId);
      try {
        for (const name of [diskName(revision), `${diskName(revision)}.part`, baseName(revision)])
          await rm(join(directory, name), { force: true });
      } catch (error) {
        throw fileFault('disk_failed', "the server's disk", "the server's disk could not be removed", error);
      }
    },
    async list() {
      const disks = disksDirectory(dir);
      const ids = (await namesIn(disks)).filter(isUuid);
      return Promise.all(ids.map(async (serverId) => ({ serverId, names: await namesIn(join(disks, serverId)) })));
    },
  };
}
