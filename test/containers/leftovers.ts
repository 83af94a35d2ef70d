// A play's directory says which process plays there; what one left that was killed the next one removes.
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { exec, systemClock } from '@cumulet/common';
import { childOf, commandOf, processIds, startOf } from '../support/processTree';
import { removeLan } from './lan';

const ownerFile = (place: string): string => join(place, 'owner');

const FORWARDING = '/proc/sys/net/ipv4/ip_forward';

/** Makes the directory of a play, which ends with this process. Before its LAN is made. */
export function claim(place: string): void {
  mkdirSync(place, { recursive: true, mode: 0o755 });
  writeFileSync(
    ownerFile(place),
    [process.pid, startOf(process.pid), readFileSync(FORWARDING, 'utf8').trim()].join(' '),
  );
}

/** Somebody wants to keep what is there. */
export const leave = (place: string): void => rmSync(ownerFile(place));

interface Owner {
  readonly lives: boolean;
  /** What this machine's setting was before. */
  readonly forwarding: string;
}

/** Undefined where somebody keeps what is there. */
function ownerOf(place: string): Owner | undefined {
  if (!existsSync(ownerFile(place))) return undefined;
  const [pid, start = '', forwarding = ''] = readFileSync(ownerFile(place), 'utf8').split(' ');
  return { lives: startOf(Number(pid)) === start, forwarding };
}

/** The containers that have their files in there: each with its first process, whose end is everybody's. */
async function endContainers(place: string): Promise<void> {
  const containers = (): number[] =>
    processIds().filter((pid) => commandOf(pid).some((word) => word.startsWith(`${place}/`)));
  for (let tries = 0; containers().length > 0; tries++) {
    if (tries > 100) throw new Error(`processes of ${place} do not end: ${containers().join(', ')}`);
    for (const pid of containers().flatMap((one) => [childOf(one), one])) {
      try {
        if (pid !== undefined) process.kill(pid, 'SIGKILL');
      } catch (error) {
        // It ended with the one before.
        if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
      }
    }
    await systemClock.sleep(100);
  }
}

async function unmount(place: string): Promise<void> {
  const mounts = readFileSync('/proc/self/mounts', 'utf8').split('\n');
  for (const [, path = ''] of mounts.map((line) => line.split(' ')))
    if (path.startsWith(`${place}/`)) await exec(['umount', path]);
}

/** Removes plays whose process was killed. @param prefix what the names of their directories begin with; the rest is the LAN's id */
export async function removeLeftovers(directory: string, prefix: string): Promise<void> {
  const names = existsSync(directory) ? readdirSync(directory).filter((name) => name.startsWith(prefix)) : [];
  for (const place of names.map((name) => join(directory, name))) {
    const owner = ownerOf(place);
    if (!owner || owner.lives) continue;
    await endContainers(place);
    await unmount(place);
    await removeLan(basename(place).slice(prefix.length)).catch(() => undefined);
    if (owner.forwarding === '0') writeFileSync(FORWARDING, '0');
    await exec(['rm', '-rf', place], { timeout: 120_000 });
    console.log(`removed what a play had left in ${place}`);
  }
}
