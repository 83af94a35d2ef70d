// A machine of a test's own on this kernel: processes, network, mounts and libvirtd are its own, so that it can be crashed and rebooted
// without hurting others. Everything on it ends with the process that made it, however that ends.
import { execFile, execFileSync, spawn } from 'node:child_process';
import { randomInt } from 'node:crypto';
import { appendFileSync, chmodSync, closeSync, cpSync, existsSync, mkdirSync, mkdtempSync, openSync } from 'node:fs';
import { readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { promisify } from 'node:util';
import { childOf } from './processTree';

/** A program on the machine. */
export interface Program {
  /** Its process id as seen from outside; undefined when it has ended. */
  pid(): number | undefined;
  /** Undefined while it runs; 128 and the signal's number when it was killed. */
  exitCode(): number | undefined;
  /** Sends a signal and resolves when the program has ended. */
  end(signal: NodeJS.Signals): Promise<void>;
}

/** A cable from the machine to a bridge of ours. */
export interface Cable {
  /** The machine's end of it. */
  readonly link: string;
  readonly bridge: string;
  /** The machine's address there, with the length of its prefix. */
  readonly address?: string;
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
  /** Starts libvirtd unless it runs. Resolves when it answers. */
  startLibvirtd(): Promise<void>;
  /** Kills libvirtd. Its guests go on. */
  killLibvirtd(): Promise<void>;
  /** Whether it has power. */
  isOn(): boolean;
  /** Cuts the power: only files stay. */
  powerOff(): Promise<void>;
  /** Boots. Nothing runs on it then. */
  powerOn(): Promise<void>;
  /** Ends everything and removes the directory. */
  remove(): Promise<void>;
}

/** The first process of a boot. A line on standard input cuts the power, its end is the machine's end. It is bash, which reaps orphans. */
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

/** Boots when it reads "on". At the end of standard input it removes the machine's files: also when the test is killed. */
const POWER = `while read -r word; do
  [ "$word" != on ] || unshare --mount --net --pid --kill-child --mount-proc bash -c "$2" init "$1"
done
rm -rf "$1"`;
/** The file that has the process id of the machine's first process, whose end is a power cut. */
export const INIT_FILE = 'init.pid';

async function until(what: string, holds: () => boolean | Promise<boolean>): Promise<void> {
  for (let tries = 0; tries < 1200; tries++) {
    if (await holds()) return;
    await pause(50);
  }
  throw new Error(`never came: ${what}`);
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

/** A cable to us alone, with addresses that are set aside for tests of network devices. */
function ownCable(): { readonly outside: string; readonly inside: string } {
  const net = `198.${18 + randomInt(2)}.${randomInt(256)}`;
  const last = 4 * randomInt(64);
  return { outside: `${net}.${last + 1}/30`, inside: `${net}.${last + 2}/30` };
}

/** Starts a machine on which nothing runs. Unless it has other cables, there is one that leads to us. */
export async function startOwnMachine(cables: readonly Cable[] = []): Promise<OwnMachine> {
  const directory = mkdtempSync(join(tmpdir(), 'cumulet-pc-'));
  makeFiles(directory);
  // A group of its own: a signal to the test's group must not end what cleans up after it.
  const power = spawn('sh', ['-c', POWER, 'sh', directory, INIT], {
    stdio: ['pipe', 'inherit', 'inherit'],
    detached: true,
  });
  const ended = new Promise((resolve) => power.once('exit', resolve));
  const { outside, inside } = ownCable();
  const plugs = cables.length > 0 ? cables : [{ link: 'eth0', address: inside, bridge: undefined }];
  const wires = plugs.map((plug) => ({ ...plug, end: `own${randomInt(1e8)}` }));
  let init = 0;
  const enter = (): string[] => ['--target', String(init), '--mount', '--net', '--pid', '--'];
  const execute = promisify(execFile);

  const wire = async ({ link, end, bridge, address }: (typeof wires)[number]): Promise<void> => {
    // The kernel takes the old link away some time after the namespace that it led to.
    await until('the end of the old link', () => !existsSync(join('/sys/class/net', end)));
    execFileSync('ip', ['link', 'add', end, 'type', 'veth', 'peer', 'name', link, 'netns', String(init)]);
    if (bridge === undefined) execFileSync('ip', ['addr', 'add', outside, 'dev', end]);
    else execFileSync('ip', ['link', 'set', end, 'master', bridge]);
    execFileSync('ip', ['link', 'set', end, 'up']);
    if (address !== undefined) await machine.run('ip', 'addr', 'add', address, 'dev', link);
    await machine.run('ip', 'link', 'set', link, 'up');
  };
  const boot = async (): Promise<void> => {
    rmSync(join(directory, 'booted'), { force: true });
    power.stdin.write('on\n');
    await until('the boot', () => existsSync(join(directory, 'booted')));
    const unshare = childOf(power.pid ?? 0) ?? 0;
    init = childOf(unshare) ?? 0;
    writeFileSync(join(directory, INIT_FILE), String(init));
    for (const each of wires) await wire(each);
  };
  const isOn = (): boolean => init > 0 && existsSync(`/proc/${init}`);

  const machine: OwnMachine = {
    directory,
    address: plugs[0]?.address?.split('/')[0] ?? '',
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
      // nsenter only waits for the program and ends as it does.
      const pid = (): number | undefined => (exitCode === undefined ? childOf(child.pid ?? 0) : undefined);
      return {
        pid,
        exitCode: () => exitCode,
        async end(signal) {
          const program = pid();
          if (program !== undefined) process.kill(program, signal);
          await exited;
        },
      };
    },
    async startLibvirtd() {
      const answers = (): Promise<boolean> =>
        machine.run('virsh', '-c', 'qemu:///system', 'uri').then(
          () => true,
          () => false,
        );
      if (await answers()) return;
      await machine.run('libvirtd', '-d', '-p', '/run/libvirtd.pid');
      await until('libvirtd', answers);
    },
    async killLibvirtd() {
      await machine.run('sh', '-c', 'kill -9 $(cat /run/libvirtd.pid)');
    },
    isOn,
    async powerOff() {
      if (isOn()) power.stdin.write('off\n');
      await until('the end of all that runs', () => !isOn());
    },
    powerOn: boot,
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
