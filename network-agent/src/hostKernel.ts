// Kernel settings that filtering depends on: with br_netfilter off, every rule for bridged traffic is silently skipped.
import { readFile, rename, rm, writeFile } from 'node:fs/promises';
import { CumuletError, messageOf, type Exec, type Logger } from '@cumulet/common';

const WANTED: Readonly<Record<string, string>> = {
  'net.bridge.bridge-nf-call-iptables': '1',
  'net.bridge.bridge-nf-call-ip6tables': '1',
};

type Settings = Readonly<Record<string, string>>;

export interface HostKernel {
  /** Puts the settings right. @returns those that were wrong. @throws CumuletError no_bridge_filter when the kernel has none of it */
  ensure(forwarding: boolean): Promise<string[]>;
  /** Puts back what `ensure` found the first time it changed a setting. */
  restore(): Promise<void>;
}

/** Reads a file of the host's kernel; undefined when there is none. */
export type ReadKernel = (path: string) => Promise<string | undefined>;

/** Reads this process' own kernel view. */
export const readKernelFile: ReadKernel = (path) =>
  readFile(path, 'utf8').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return undefined;
    throw error;
  });

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
      const wanted: Settings = forwarding ? { ...WANTED, 'net.ipv4.ip_forward': '1' } : WANTED;
      const found = new Map(await Promise.all(Object.keys(wanted).map(find)));
      const wrong = Object.entries(wanted).filter(([key, value]) => found.get(key) !== value);
      const names = wrong.map(([key]) => key);
      if (names.length === 0) return names;
      // Written down first: what was changed and then forgotten could not be put back.
      const before = { ...Object.fromEntries(names.map((key) => [key, found.get(key)])), ...(await remembered(path)) };
      await writeFile(`${path}.new`, JSON.stringify(before), { mode: 0o600 });
      await rename(`${path}.new`, path);
      try {
        await exec(['sysctl', '-q', '-w', ...assignments(Object.fromEntries(wrong))]);
      } catch (error) {
        const words = `the kernel settings ${names.join(', ')} can't be switched on: without them (br_netfilter) no security group works`;
        throw new CumuletError('no_bridge_filter', words, { wrong: names }, error);
      }
      return names;
    },
    async restore() {
      const before = await remembered(path);
      if (Object.keys(before).length > 0) await exec(['sysctl', '-e', '-q', '-w', ...assignments(before)]);
      await rm(path, { force: true });
    },
  };
}

/** Loads br_netfilter where it is a module; where it is built in there is nothing to load. */
export async function loadBridgeFilter(exec: Exec, log: Logger): Promise<void> {
  await exec(['modprobe', 'br_netfilter']).catch((error: unknown) => {
    log.debug({ error: messageOf(error) }, 'br_netfilter was not loaded as a module');
  });
}
