// What filtering needs of the kernel: br_netfilter, switched on for our bridges alone, and forwarding for the external one.
import { readFileSync } from 'node:fs';
import { readFile, rename, rm, writeFile } from 'node:fs/promises';
import { CumuletError, messageOf, type Exec, type Logger } from '@cumulet/common';

/** They hold for all bridges; ours have settings of their own. There once br_netfilter is. */
const ALL_BRIDGES = ['net.bridge.bridge-nf-call-iptables', 'net.bridge.bridge-nf-call-ip6tables'];

type Settings = Readonly<Record<string, string>>;

export interface HostKernel {
  /** Puts the settings right. @returns those that were wrong. @throws CumuletError no_bridge_filter when the kernel has none of it */
  ensure(forwarding: boolean): Promise<string[]>;
  /** What settings were before `ensure` changed them the first time. */
  before(): Promise<Settings>;
  /** Puts those back. */
  restore(): Promise<void>;
}

/** Reads a file of the host's kernel; undefined when there is none. */
export type ReadKernel = (path: string) => Promise<string | undefined>;

/** Reads this process' own kernel view: nothing there waits for a disk. */
export const readKernelFile: ReadKernel = async (path) => {
  try {
    return await Promise.resolve(readFileSync(path, 'utf8'));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
};

/** What settings were before they were changed, kept in a file. An unreadable one counts as none. */
async function remembered(path: string): Promise<Settings> {
  try {
    return JSON.parse(await readFile(path, 'utf8')) as Settings;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT' || error instanceof SyntaxError) return {};
    throw error;
  }
}

/**
 * @param read looks at the settings without a process, because they are looked at every few seconds
 * @param path the file that remembers what the settings were
 */
export function createHostKernel(exec: Exec, read: ReadKernel, path: string): HostKernel {
  const find = async (key: string): Promise<readonly [string, string | undefined]> => [
    key,
    (await read(`/proc/sys/${key.replaceAll('.', '/')}`))?.trim(),
  ];
  const assignments = (settings: Settings): string[] =>
    Object.entries(settings).map(([key, value]) => `${key}=${value}`);
  return {
    async ensure(forwarding) {
      const filters = await Promise.all(ALL_BRIDGES.map(find));
      if (filters.some(([, value]) => value === undefined))
        throw new CumuletError(
          'no_bridge_filter',
          'the kernel module br_netfilter is not there, and without it no security group works',
        );
      const wanted: Settings = forwarding ? { 'net.ipv4.ip_forward': '1' } : {};
      const found = new Map(await Promise.all(Object.keys(wanted).map(find)));
      const wrong = Object.entries(wanted).filter(([key, value]) => found.get(key) !== value);
      const names = wrong.map(([key]) => key);
      if (names.length === 0) return names;
      // Written down first: what was changed and then forgotten could not be put back.
      const before = { ...Object.fromEntries(names.map((key) => [key, found.get(key)])), ...(await remembered(path)) };
      await writeFile(`${path}.new`, JSON.stringify(before), { mode: 0o600 });
      await rename(`${path}.new`, path);
      await exec(['sysctl', '-q', '-w', ...assignments(Object.fromEntries(wrong))]);
      return names;
    },
    before: () => remembered(path),
    async restore() {
      const before = await remembered(path);
      if (Object.keys(before).length > 0) await exec(['sysctl', '-e', '-q', '-w', ...assignments(before)]);
      await rm(path, { force: true });
    },
  };
}

/**
 * Loads br_netfilter where it is a module; where it is there nothing is done. A fresh one filters all bridges of the machine, which
 * are other people's: that is switched off.
 */
export async function loadBridgeFilter(exec: Exec, read: ReadKernel, log: Logger): Promise<void> {
  const there = async (): Promise<boolean> =>
    (await read(`/proc/sys/${ALL_BRIDGES[0]?.replaceAll('.', '/')}`)) !== undefined;
  if (await there()) return;
  await exec(['modprobe', 'br_netfilter']).catch((error: unknown) => {
    log.debug({ error: messageOf(error) }, 'br_netfilter was not loaded as a module');
  });
  if (await there()) await exec(['sysctl', '-q', '-w', ...ALL_BRIDGES.map((key) => `${key}=0`)]);
}
