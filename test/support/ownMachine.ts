// A machine of a test's own on this kernel: processes, network, mounts and libvirtd are its own, so that it can be crashed and rebooted
// without hurting others. Everything on it ends with the process that made it, however that ends.
import { execFile, execFileSync, spawn } from 'node:child_process';
import { randomInt } from 'node:crypto';
import { appendFileSync, chmodSync, closeSync, cpSync, existsSync, mkdirSync, mkdtempSync, openSync } from 'node:fs';
import { readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { promisify } from 'node:util';

/** A program on the machine. */
export interface Program {
  /** Undefined while it runs; 128 and the signal's number when it was killed. */
  exitCode(): number | undefined;
  /** Sends a signal and resolves when the program has ended. */
  end(signal: NodeJS.Signals): Promise<void>;
}

export interface OwnMachine {
  /** What is below it survives a reboot. It has the same path inside and outside. */
  readonly directory: string;
  /** The machine's address, reachable from outside. */
  readonly address: string;
  /** Runs a command on it and returns its standard output. @throws when it fails */
  run(...argv: string[]): Promise<string>;
  /** Starts a program that goes on; what it says is appended to a file. */
  start(argv: readonly string[], log: string): Program;
  /** Starts libvirtd. Resolves when it answers. */
  startLibvirtd(): Promise<void>;
  /** Kills libvirtd. Its guests go on. */
  killLibvirtd(): Promise<void>;
  /** Cuts the power and boots again: only files stay, and nothing runs. */
  reboot(): Promise<void>;
  /** Ends everything and removes the directory. */
  remove(): Promise<void>;
}

/** The first process of a boot. A line on standard input reboots, its end is the machine's end. It is bash, which reaps orphans. */
const INIT = `set -e
dir=$1
mount -t tmpfs -o mode=755 tmpfs "$dir/dev"
for node in /dev/*; do
  case $node in */kvm | */pts | */ptmx | */shm | */mqueue | */hugepages) ;; *) cp -a "$node" "$dir/dev/" ;; esac
done
mkdir "$dir/dev/pts" "$dir/dev/shm"
mount -t devpts -o newinstance,ptmxmode=666,mode=620 devpts "$dir/dev/pts"
mount -t tmpfs tmpfs "$dir/dev/shm"
ln -s pts/ptmx "$dir/dev/ptmx"
umount -R -l /dev || :
mount --move "$dir/dev" /dev
mount -t tmpfs -o mode=755 tmpfs /run
mkdir /run/libvirt /run/lock
for part in /etc/libvirt /var/lib/libvirt /var/cache/libvirt /var/log/libvirt; do mount --bind "$dir$part" "$part"; done
cat /proc/sys/kernel/random/uuid > "$dir/boot_id"
mount --bind "$dir/boot_id" /proc/sys/kernel/random/boot_id
ip link set lo up
touch "$dir/booted"
read -r _`;

/** Boots until the end of standard input, then removes the machine's files: also when the test is killed. */
const POWER = `while unshare --mount --net --pid --kill-child --mount-proc bash -c "$2" init "$1"; do :; done; rm -rf "$1"`;

async function until(what: string, holds: () => boolean | Promise<boolean>): Promise<void> {
  for (let tries = 0; tries < 1200; tries++) {
    if (await holds()) return;
    await pause(50);
  }
  throw new Error(`never came: ${what}`);
}

/** The process whose parent is `parent`, by the second number behind the name in its stat. */
function childOf(parent: number): number | undefined {
  const pids = readdirSync('/proc').filter((name) => /^\d+$/.test(name));
  const found = pids.find((pid) => {
    try {
      return / \(.*\) \w (\d+) /.exec(readFileSync(`/proc/${pid}/stat`, 'utf8'))?.[1] === String(parent);
    } catch {
      // It ended while we looked.
      return false;
    }
  });
  return found === undefined ? undefined : Number(found);
}

/** libvirt's files of a machine that has no domains yet, with this machine's settings and what is known of its emulators. */
function makeFiles(directory: string): void {
  for (const part of ['dev', 'etc/libvirt', 'var/lib/libvirt/qemu', 'var/cache/libvirt', 'var/log/libvirt/qemu'])
    mkdirSync(join(directory, part), { recursive: true });
  // QEMU runs as another user and must get through to its disks.
  for (const part of ['', 'var', 'var/lib', 'var/lib/libvirt']) chmodSync(join(directory, part), 0o711);
  if (existsSync('/var/cache/libvirt'))
    cpSync('/var/cache/libvirt', join(directory, 'var/cache/libvirt'), { recursive: true });
  for (const entry of readdirSync('/etc/libvirt', { withFileTypes: true })) {
    if (entry.isFile()) cpSync(join('/etc/libvirt', entry.name), join(directory, 'etc/libvirt', entry.name));
  }
  // Control groups are the kernel's and would outlive the machine; logs need no daemon here.
  appendFileSync(join(directory, 'etc/libvirt/qemu.conf'), '\ncgroup_controllers = []\nstdio_handler = "file"\n');
}

/** Starts a machine on which nothing runs. */
export async function startOwnMachine(): Promise<OwnMachine> {
  const directory = mkdtempSync(join(tmpdir(), 'cumulet-machine-'));
  makeFiles(directory);
  // A group of its own: a signal to the test's group must not end what cleans up after it.
  const power = spawn('sh', ['-c', POWER, 'sh', directory, INIT], {
    stdio: ['pipe', 'inherit', 'inherit'],
    detached: true,
  });
  const ended = new Promise((resolve) => power.once('exit', resolve));
  // A /30 of the addresses that are set aside for tests of network devices.
  const net = `198.${18 + randomInt(2)}.${randomInt(256)}`;
  const last = 4 * randomInt(64);
  const [outside, address] = [`${net}.${last + 1}`, `${net}.${last + 2}`];
  const link = `own${randomInt(1e8)}`;
  let init = 0;
  const enter = (): string[] => ['--target', String(init), '--mount', '--net', '--pid', '--'];
  const execute = promisify(execFile);

  const boot = async (): Promise<void> => {
    await until('the boot', () => existsSync(join(directory, 'booted')));
    const unshare = childOf(power.pid ?? 0) ?? 0;
    init = childOf(unshare) ?? 0;
    // The kernel takes the old link away some time after the namespace that it led to.
    await until('the end of the old link', () => !existsSync(join('/sys/class/net', link)));
    execFileSync('ip', ['link', 'add', link, 'type', 'veth', 'peer', 'name', 'eth0', 'netns', String(init)]);
    execFileSync('ip', ['addr', 'add', `${outside}/30`, 'dev', link]);
    execFileSync('ip', ['link', 'set', link, 'up']);
    await machine.run('ip', 'addr', 'add', `${address}/30`, 'dev', 'eth0');
    await machine.run('ip', 'link', 'set', 'eth0', 'up');
  };

  const machine: OwnMachine = {
    directory,
    address,
    async run(...argv) {
      const { stdout } = await execute('nsenter', [...enter(), ...argv], { timeout: 120_000, maxBuffer: 1 << 26 });
      return stdout;
    },
    start(argv, log) {
      const file = openSync(log, 'a');
      const child = spawn('nsenter', [...enter(), ...argv], { stdio: ['ignore', file, file] });
      closeSync(file);
      let exitCode: number | undefined;
      const exited = new Promise<void>((resolve) => {
        child.once('exit', (code, signal) => {
          exitCode = code ?? (signal === 'SIGKILL' ? 137 : 143);
          resolve();
        });
      });
      return {
        exitCode: () => exitCode,
        async end(signal) {
          // nsenter only waits for the program and ends as it does.
          const program = childOf(child.pid ?? 0);
          if (exitCode === undefined && program !== undefined) process.kill(program, signal);
          await exited;
        },
      };
    },
    async startLibvirtd() {
      await machine.run('libvirtd', '-d', '-p', '/run/libvirtd.pid');
      const answers = (): Promise<boolean> =>
        machine.run('virsh', '-c', 'qemu:///system', 'uri').then(
          () => true,
          () => false,
        );
      await until('libvirtd', answers);
    },
    async killLibvirtd() {
      await machine.run('sh', '-c', 'kill -9 $(cat /run/libvirtd.pid)');
    },
    async reboot() {
      rmSync(join(directory, 'booted'));
      power.stdin.write('\n');
      await boot();
    },
    async remove() {
      power.stdin.end();
      await ended;
    },
  };
  try {
    await boot();
    return machine;
  } catch (error) {
    await machine.remove();
    throw error;
  }
}
