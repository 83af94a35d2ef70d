// Runs one dnsmasq per network: writes its files, starts it, makes it read changed entries, stops it.
import { readFileSync } from 'node:fs';
import { mkdir, rename, rm, stat, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { CumuletError, type Clock, type Exec, type Logger } from '@cumulet/common';
import type { DhcpFiles } from './dhcp';
import { execIn } from './observe';

export interface DhcpServers {
  /** The folder of a network's files. */
  directory(networkId: string): string;
  /** Serves these files from now on: packets that arrive after this resolves see them. `fresh` starts a new process always. */
  ensure(networkId: string, namespace: string, files: DhcpFiles, fresh: boolean): Promise<void>;
  remove(networkId: string): Promise<void>;
  /** The process id of a network's server, when it runs. */
  pid(networkId: string): number | undefined;
}

/** At once: they are small and looked at again and again, and each would wake the process four times. */
function readText(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT' || code === 'ESRCH') return undefined;
    throw error;
  }
}

/** Writes a file whole or not at all; false when it held this text already. */
async function putFile(path: string, text: string): Promise<boolean> {
  if (readText(path) === text) return false;
  await writeFile(`${path}.new`, text, { mode: 0o644 });
  await rename(`${path}.new`, path);
  return true;
}

/** Whether an unprivileged process can reach a folder: dnsmasq reads its files again after it gave up root. */
async function reachable(directory: string): Promise<boolean> {
  for (let path = directory; ; path = dirname(path)) {
    if (((await stat(path)).mode & 0o001) === 0) return false;
    if (path === dirname(path)) return true;
  }
}

export function createDhcpServers(exec: Exec, stateDir: string, clock: Clock, log: Logger): DhcpServers {
  const directory = (networkId: string): string => join(stateDir, networkId);

  const pid = (networkId: string): number | undefined => {
    const number = Number(readText(join(directory(networkId), 'pid')));
    if (!Number.isInteger(number) || number <= 1) return undefined;
    const command = readText(`/proc/${number}/cmdline`);
    // The number may belong to another process by now.
    return command?.includes(`--conf-file=${directory(networkId)}/conf`) ? number : undefined;
  };

  const stop = async (networkId: string): Promise<void> => {
    const running = pid(networkId);
    if (running === undefined) return;
    process.kill(running, 'SIGTERM');
    for (let tries = 0; tries < 200; tries++) {
      if (pid(networkId) === undefined) return;
      await clock.sleep(10);
    }
    throw new CumuletError('dnsmasq_stuck', `dnsmasq ${running} of network ${networkId} does not end`);
  };

  const start = async (networkId: string, namespace: string): Promise<void> => {
    const folder = directory(networkId);
    const privileges = (await reachable(folder)) ? [] : ['--user=root'];
    if (privileges.length > 0) {
      log.warn({ folder }, 'dnsmasq keeps running as root: another user could not read its files in this folder');
    }
    const argv = ['dnsmasq', `--conf-file=${folder}/conf`, `--pid-file=${folder}/pid`, ...privileges];
    await execIn(exec, namespace)(argv);
  };

  return {
    directory,
    pid,
    ensure: async (networkId, namespace, files, fresh) => {
      const folder = directory(networkId);
      await mkdir(folder, { recursive: true, mode: 0o755 });
      const entries = await Promise.all([
        putFile(join(folder, 'hosts'), files.hosts),
        putFile(join(folder, 'options'), files.options),
        putFile(join(folder, 'names'), files.names),
      ]);
      const changed = await putFile(join(folder, 'conf'), files.conf);
      const running = pid(networkId);
      if (running !== undefined && !changed && !fresh) {
        // dnsmasq looks at signals before packets, so the next packet sees the new entries.
        if (entries.includes(true)) process.kill(running, 'SIGHUP');
        return;
      }
      await stop(networkId);
      await start(networkId, namespace);
    },
    remove: async (networkId) => {
      await stop(networkId);
      await rm(directory(networkId), { recursive: true, force: true });
    },
  };
}
