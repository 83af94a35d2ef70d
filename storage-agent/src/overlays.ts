// Makes empty overlays. qemu-img makes the first of a kind; its bytes say nothing of a server, so the next ones are written from memory,
// which saves a new server a tenth of its way to its first instruction.
import { chmod, readFile, writeFile } from 'node:fs/promises';
import type { DiskEnsure, Exec } from '@cumulet/common';
import { limited } from './limits';

export interface Overlay {
  /** Bytes of the virtual disk. */
  readonly size: number;
  readonly baseFormat: DiskEnsure['image']['format'];
  /** The base's name in the folder of the overlay. */
  readonly base: string;
}

/** Writes an empty overlay to a path that only its owner may open. */
export type OverlayMaker = (path: string, overlay: Overlay) => Promise<void>;

/** Seconds of CPU time to make or grow a disk, which reads and writes tables of its format only. */
export const TABLES_CPU_SECONDS = 30;

/** Kinds that are remembered, and bytes of the largest: a disk of a terabyte has an overlay of 200 KiB. */
const MOST_KINDS = 16;
const MOST_BYTES = 256 * 1024;

export function createOverlayMaker(exec: Exec): OverlayMaker {
  const known = new Map<string, Buffer>();
  return async (path, overlay) => {
    const { size, baseFormat, base } = overlay;
    const kind = JSON.stringify([size, baseFormat, base]);
    const bytes = known.get(kind);
    if (bytes) {
      await writeFile(path, bytes, { mode: 0o600 });
    } else {
      // -u: the size is given, so qemu-img need not open the base.
      const kindOptions = ['-f', 'qcow2', '-u', '-F', baseFormat, '-b', base];
      await exec([...limited(TABLES_CPU_SECONDS), 'qemu-img', 'create', '-q', ...kindOptions, path, String(size)]);
      const made = await readFile(path);
      if (made.length <= MOST_BYTES) known.set(kind, made);
      if (known.size > MOST_KINDS) known.delete(known.keys().next().value ?? '');
    }
    await chmod(path, 0o600);
  };
}
