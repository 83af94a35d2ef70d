// A libvirtd of a test's own, with the machine's configuration but its own state, so that it can be stopped without hurting others.
// It sees no /dev/kvm: on machines where that opens but does not work, libvirtd probes QEMU anew at each start of a domain.
import { execFileSync, spawn } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { LibvirtClient } from '@cumulet/libvirt';

export interface PrivateLibvirtd {
  readonly socketPath: string;
  /** A directory that QEMU can get through, removed by `stop`. */
  readonly directory: string;
  /** Process ids of the QEMUs it started. */
  qemus(): number[];
  /** Stops or continues the daemon: SIGSTOP makes it hang. */
  signal(signal: NodeJS.Signals): void;
  /** Ends the daemon alone; its guests go on. */
  kill(signal?: NodeJS.Signals): Promise<void>;
  /** Starts the daemon again after `kill`. */
  start(): Promise<void>;
  /** Ends everything it started and removes its directory. */
  stop(): Promise<void>;
}

/** The mounts of the daemon's own view; ends as a process that holds it. */
const VIEW = `set -e
mkdir "$1/dev"; mount -t tmpfs -o mode=755 tmpfs "$1/dev"
for node in /dev/*; do
  case $node in */kvm) ;; *) if [ -d "$node" ]; then mkdir "$1$node"; [ "$node" = /dev/net ] && cp -a /dev/net/. "$1/dev/net"; else cp -a "$node" "$1/dev/"; fi ;; esac
done
mount --rbind /dev/pts "$1/dev/pts"; mount --rbind /dev/shm "$1/dev/shm"
while umount -l /dev/pts /dev/shm /dev/mqueue /dev/hugepages 2>/dev/null; do :; done
umount -l /dev || :
mount --move "$1/dev" /dev
mount --bind "$1/etc" /etc/libvirt; mount --bind "$1/run" /run/libvirt; mount --bind "$1/lib" /var/lib/libvirt
mount --bind "$1/cache" /var/cache/libvirt; mount --bind "$1/log" /var/log/libvirt
touch "$1/ready"
exec sleep 86400`;

const alive = (pid: number): boolean => {
  try {
    process.kill(pid, 0);
    // A zombie waits for a parent that will not come; it is gone for us.
    return !/^\d+ \(.*\) Z/.test(readFileSync(`/proc/${pid}/stat`, 'utf8'));
  } catch {
    return false;
  }
};

async function until(what: string, holds: () => boolean | Promise<boolean>): Promise<void> {
  for (let i = 0; i < 1200; i++) {
    if (await holds()) return;
    await pause(50);
  }
  throw new Error(`never came: ${what}`);
}

/** `settings` are lines of libvirtd.conf that replace the machine's; `network` is the namespace whose links its guests use. */
export async function startPrivateLibvirtd(
  settings: readonly string[] = [],
  network?: string,
): Promise<PrivateLibvirtd> {
  const directory = mkdtempSync(join(tmpdir(), 'cumulet-libvirt-'));
  for (const name of ['run', 'lib/qemu', 'cache', 'log/qemu']) mkdirSync(join(directory, name), { recursive: true });
  execFileSync('chmod', ['0711', directory, join(directory, 'run'), join(directory, 'lib')]);
  // What libvirtd knows about this machine's emulators: probing all of them takes a minute.
  if (existsSync('/var/cache/libvirt')) cpSync('/var/cache/libvirt', join(directory, 'cache'), { recursive: true });
  // The machine's settings, but none of its domains, networks and pools: undefining one here would undefine it there.
  mkdirSync(join(directory, 'etc'));
  for (const entry of readdirSync('/etc/libvirt', { withFileTypes: true })) {
    if (entry.isFile()) cpSync(join('/etc/libvirt', entry.name), join(directory, 'etc', entry.name));
  }
  mkdirSync('/run/libvirt', { recursive: true });
  const view = ['unshare', '-m', '--propagation', 'private', 'sh', '-c', VIEW, 'sh', directory];
  const joining = network === undefined ? [] : [`--net=/run/netns/${network}`];
  const holder = spawn('nsenter', [...joining, ...view], {
    stdio: ['ignore', 'inherit', 'inherit'],
  });
  const socketPath = join(directory, 'run/libvirt-sock');
  const pidOf = (name: string): number => {
    const file = join(directory, name);
    return existsSync(file) ? Number(readFileSync(file, 'utf8').trim()) : 0;
  };
  const inside = (...argv: string[]): void => {
    execFileSync('nsenter', [...joining, '-m', '-t', String(holder.pid), ...argv], { stdio: 'ignore' });
  };
  const answers = async (): Promise<boolean> => {
    try {
      await (await LibvirtClient.connect({ socketPath, events: [] })).close();
      return true;
    } catch {
      return false;
    }
  };
  const end = async (pid: number, signal: NodeJS.Signals = 'SIGTERM'): Promise<void> => {
    if (pid === 0 || !alive(pid)) return;
    process.kill(pid, signal);
    await until(`end of process ${pid}`, () => !alive(pid));
  };
  const libvirtd: PrivateLibvirtd = {
    socketPath,
    directory,
    qemus: () => {
      const run = join(directory, 'run/qemu');
      const files = existsSync(run)
        ? readdirSync(run).filter((name) => name.endsWith('.pid') && name !== 'driver.pid')
        : [];
      return files.map((name) => Number(readFileSync(join(run, name), 'utf8'))).filter((pid) => pid > 0 && alive(pid));
    },
    signal: (signal) => void process.kill(pidOf('libvirtd.pid'), signal),
    kill: (signal) => end(pidOf('libvirtd.pid'), signal),
    async start() {
      writeFileSync(join(directory, 'libvirtd.pid'), '');
      const config = join(directory, 'libvirtd.conf');
      if (settings.length > 0) writeFileSync(config, `${settings.join('\n')}\n`);
      const options = settings.length > 0 ? ['-f', config] : [];
      inside('libvirtd', '-d', '-p', join(directory, 'libvirtd.pid'), ...options);
      await until('libvirtd', answers);
    },
    async stop() {
      await libvirtd.kill('SIGKILL');
      for (const pid of libvirtd.qemus()) await end(pid, 'SIGKILL');
      await end(pidOf('virtlogd.pid'));
      holder.kill('SIGKILL');
      rmSync(directory, { recursive: true, force: true });
    },
  };
  try {
    await until('the mounts', () => existsSync(join(directory, 'ready')));
    inside('virtlogd', '-d', '-p', join(directory, 'virtlogd.pid'));
    await libvirtd.start();
    return libvirtd;
  } catch (error) {
    await libvirtd.stop();
    throw error;
  }
}
