// A directory of disks that several hosts mount: its mark, the cards by which hosts see that they have the same one, and who had a disk last.
import { randomUUID } from 'node:crypto';
import { mkdir, readFile, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { HostError, isUuid, type DiskFind } from '@cumulet/common';
import { serverDirectory } from './layout';

/** The administrator puts a UUID into it once. What is mounted elsewhere, or not at all, does not have it. */
const MARK = '.cumulet-disks';
/** In a server's directory: the server's generation when a host was last told to have its disk. */
export const GENERATION = 'generation';
/** Of a host's cards, the last few stay: a controller may know the one before. */
const CARDS = 3;

export interface SharedDisks {
  /** What all hosts with this directory report. @throws HostError disks_away when it is not there */
  id(): Promise<string>;
  /** Leaves a fresh card, which nobody can have who only has a copy of the directory. @returns the card */
  leaveCard(): Promise<string>;
  /** @throws HostError disks_not_shared when what another host has left is not here */
  requireCard(from: DiskFind['from']): Promise<void>;
  /** Writes down that this host has the disk from now on. @throws HostError disk_elsewhere when another one was told so later */
  take(serverId: string, generation: number): Promise<void>;
  /** Whether another host was told later to have the disk: what comes late must not touch it. */
  isElsewhere(serverId: string, generation: number): Promise<boolean>;
}

async function textOf(path: string): Promise<string> {
  try {
    return (await readFile(path, 'utf8')).trim();
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return '';
    throw error;
  }
}

/** Whole or not at all, also for other hosts. */
async function put(path: string, text: string): Promise<void> {
  const partial = `${path}.${randomUUID()}`;
  await writeFile(partial, `${text}\n`, { mode: 0o600 });
  await rename(partial, path);
}

export function createSharedDisks(dir: string, host: string): SharedDisks {
  const cardsOf = (name: string): string => join(dir, 'hosts', name);
  const generationOf = async (serverId: string): Promise<number> =>
    Number(await textOf(join(serverDirectory(dir, serverId), GENERATION)));

  return {
    async id() {
      const mark = await textOf(join(dir, MARK));
      if (isUuid(mark)) return mark;
      const message = `the directory of shared disks has no mark: ${join(dir, MARK)} must hold a UUID; is it mounted?`;
      throw new HostError('disks_away', message, { retryable: true });
    },
    async leaveCard() {
      await mkdir(join(dir, 'hosts'), { recursive: true, mode: 0o700 });
      const card = randomUUID();
      const before = (await textOf(cardsOf(host))).split('\n');
      await put(cardsOf(host), [card, ...before].slice(0, CARDS).join('\n'));
      return card;
    },
    async requireCard({ host: other, card }) {
      const there = (await textOf(cardsOf(other))).split('\n');
      if (there.includes(card)) return;
      throw new HostError(
        'disks_not_shared',
        `the disks of ${other} are not seen here, though both have the same mark`,
        {
          retryable: false,
        },
      );
    },
    async take(serverId, generation) {
      const recorded = await generationOf(serverId);
      if (recorded > generation)
        throw new HostError('disk_elsewhere', 'another host has the disk of the server by now', { retryable: false });
      if (recorded === generation) return;
      await mkdir(serverDirectory(dir, serverId), { recursive: true, mode: 0o711 });
      await put(join(serverDirectory(dir, serverId), GENERATION), String(generation));
    },
    isElsewhere: async (serverId, generation) => (await generationOf(serverId)) > generation,
  };
}
