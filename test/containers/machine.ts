// A machine for a play: a container with systemd as its first process, files over a base tree, and a cable to the LAN.
import { spawn, type ChildProcess } from 'node:child_process';
import { copyFileSync, existsSync, mkdirSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { exec, systemClock } from '@cumulet/common';
import type { Lan } from './lan';

export interface Machine {
  readonly name: string;
  readonly address: string;
  /** Its root as seen from outside. */
  readonly root: string;
  /** The process id of its first process as seen from outside. */
  leader(): string;
  /** Runs a shell command as root there and returns its output. @throws CommandError */
  asRoot(command: string, seconds?: number): Promise<string>;
  /** The same as from a login of root's, which stops at the first command that fails. */
  asAdministrator(command: string, seconds?: number): Promise<string>;
  /** The same as the ordinary user, as from a login. */
  asUser(command: string, seconds?: number): Promise<string>;
  /** Boots it. Resolves when systemd has started what it starts. */
  boot(): Promise<void>;
  /** Has it reboot by itself. */
  reboot(): Promise<void>;
  remove(): Promise<void>;
}

const PATH = 'PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';
const BOOT_SECONDS = 120;

/** Real name servers, where this machine only has systemd's own on loopback. */
const resolver = (): string =>
  ['/run/systemd/resolve/resolv.conf', '/etc/resolv.conf'].find((file) => existsSync(file)) ?? '/etc/resolv.conf';

/** Devices of the container as nodes of its own: its udev gives them to groups of the container, whose numbers are others' here. */
async function deviceOptions(directory: string): Promise<string[]> {
  const options: string[] = [];
  for (const device of ['/dev/net/tun', '/dev/kvm'].filter((file) => existsSync(file))) {
    const node = join(directory, basename(device));
    const [major = '', minor = ''] = (await exec(['stat', '-c', '%Hr %Lr', device])).stdout.trim().split(' ');
    await exec(['mknod', '-m', '600', node, 'c', major, minor]);
    options.push(`--bind=${node}:${device}`, `--property=DeviceAllow=${device} rwm`);
  }
  return options;
}

export interface MachineOptions {
  readonly base: string;
  /** Of its own; it is removed with the machine. */
  readonly directory: string;
  readonly lan: Lan;
  readonly name: string;
  /** The last number of its address. */
  readonly number: number;
}

/** Lays its files out; it is off until it is booted. */
export async function makeMachine({ base, directory, lan, name, number }: MachineOptions): Promise<Machine> {
  const root = join(directory, 'root');
  const [upper, work] = [join(directory, 'upper'), join(directory, 'work')];
  for (const each of [root, upper, work]) mkdirSync(each, { recursive: true, mode: 0o755 });
  await exec(['mount', '-t', 'overlay', 'overlay', '-o', `lowerdir=${base},upperdir=${upper},workdir=${work}`, root]);
  const address = `${lan.prefix}.${number}`;
  rmSync(join(root, 'etc/resolv.conf'), { force: true });
  copyFileSync(resolver(), join(root, 'etc/resolv.conf'));
  writeFileSync(join(root, 'etc/hostname'), `${name}\n`);
  writeFileSync(join(root, 'etc/hosts'), `127.0.0.1 localhost\n127.0.1.1 ${name}\n::1 localhost ip6-localhost\n`);
  writeFileSync(
    join(root, 'etc/systemd/network/10-host0.network'),
    `[Match]\nName=host0\n[Network]\nAddress=${address}/24\nGateway=${lan.prefix}.1\n`,
  );
  // Beside the file, because whose machine it is may write another one.
  mkdirSync(join(root, 'etc/systemd/network/10-host0.network.d'));
  writeFileSync(join(root, 'etc/systemd/network/10-host0.network.d/mtu.conf'), `[Link]\nMTUBytes=${lan.mtu}\n`);
  const binds = await deviceOptions(directory);
  let container: ChildProcess | undefined;
  let leader = '';

  const asRoot = async (command: string, seconds = 60): Promise<string> => {
    const inside = [
      'nsenter',
      '-t',
      leader,
      '-m',
      '-p',
      '-n',
      '-u',
      '-i',
      'env',
      '-i',
      PATH,
      'HOME=/root',
      'TERM=dumb',
    ];
    const { stdout } = await exec([...inside, 'bash', '-c', command], { timeout: seconds * 1000 });
    return stdout.trim();
  };
  const quoted = (text: string): string => `'${text.replaceAll("'", `'\\''`)}'`;

  const eventually = async (what: string, look: () => Promise<boolean>): Promise<void> => {
    for (let tries = 0; tries < BOOT_SECONDS * 2; tries++) {
      if (container?.exitCode !== null) throw new Error(`the container ended, and says: ${lastWords()}`);
      if (await look()) return;
      await systemClock.sleep(500);
    }
    throw new Error(`${what} after ${BOOT_SECONDS} s`);
  };
  const lastWords = (): string =>
    readFileSync(join(directory, 'console'), 'utf8').trim().split('\n').slice(-3).join(' | ');

  /** The container's first process is the only child of systemd-nspawn. */
  const findLeader = async (): Promise<boolean> => {
    const children = `/proc/${container?.pid}/task/${container?.pid}/children`;
    leader = existsSync(children) ? (readFileSync(children, 'utf8').trim().split(' ')[0] ?? '') : '';
    return leader !== '';
  };
  const started = async (): Promise<boolean> => {
    const state = await asRoot('systemctl is-system-running || true').catch(() => '');
    return state === 'running' || state === 'degraded';
  };

  const boot = async (): Promise<void> => {
    const log = openSync(join(directory, 'console'), 'a');
    const options = ['--boot', '--register=no', '--keep-unit', '--capability=all', `--network-bridge=${lan.bridge}`];
    container = spawn('systemd-nspawn', ['-D', root, `--machine=${lan.bridge}-${name}`, ...options, ...binds], {
      stdio: ['ignore', log, log],
      detached: true,
    });
    await eventually('the container has no first process', findLeader);
    await eventually('systemd has not finished starting', started);
  };
  const gone = async (): Promise<void> => {
    for (
      let tries = 0;
      tries < BOOT_SECONDS * 2 && container?.exitCode === null && container.signalCode === null;
      tries++
    )
      await systemClock.sleep(500);
  };

  return {
    name,
    address,
    root,
    leader: () => leader,
    asRoot,
    asAdministrator: (command, seconds) =>
      asRoot(`exec sudo -H bash -lc ${quoted(`set -eu; cd\n${command}`)}`, seconds),
    asUser: (command, seconds) => asRoot(`exec sudo -u lena -H bash -lc ${quoted(`cd; ${command}`)}`, seconds),
    boot,
    async reboot() {
      // Its end is the container's, which says so by its exit code.
      await asRoot('systemctl reboot').catch(() => '');
      await gone();
      await boot();
    },
    async remove() {
      // The end of the first process is everybody's there.
      if (container?.exitCode === null && leader !== '') process.kill(Number(leader), 'SIGKILL');
      await gone();
      await exec(['umount', root]);
      await exec(['rm', '-rf', directory], { timeout: 120_000 });
    },
  };
}
