// The tree of a bare machine with systemd, an ordinary user's tools and Node.js, made once and kept: containers are laid over it.
import { createHash } from 'node:crypto';
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { exec } from '@cumulet/common';

/** What such a machine has, beside the essential packages. */
const PACKAGES = [
  'systemd systemd-sysv dbus udev netbase procps kmod ca-certificates sudo git less',
  'iproute2 iputils-ping openssh-client',
].flatMap((line) => line.split(' '));

/** This machine's distribution is the other one's too: its packages can be had from here. */
function release(): { codename: string; sources: string[] } {
  const text = readFileSync('/etc/os-release', 'utf8');
  const field = (name: string): string => new RegExp(`^${name}="?([^"\\n]*)`, 'm').exec(text)?.[1] ?? '';
  const own = ['/etc/apt/sources.list', `/etc/apt/sources.list.d/${field('ID')}.sources`];
  const used = (file: string): boolean => existsSync(file) && /^\s*(deb |URIs:)/m.test(readFileSync(file, 'utf8'));
  return { codename: field('VERSION_CODENAME'), sources: own.filter(used) };
}

/** A lab behind a proxy has these: how apt gets out, and whose certificates count. */
const aptSettings = (): string[] =>
  readdirSync('/etc/apt/apt.conf.d')
    .map((name) => join('/etc/apt/apt.conf.d', name))
    .filter((file) => /^\s*Acquire(::|\s)/m.test(readFileSync(file, 'utf8')));

const PROXIES = ['http_proxy', 'https_proxy', 'no_proxy'];

/** Programs of every user there trust and use what this process does. */
function environment(): string {
  const proxies = PROXIES.flatMap((name) => {
    const value = process.env[name] ?? process.env[name.toUpperCase()];
    return value === undefined ? [] : [`${name}=${value}`, `${name.toUpperCase()}=${value}`];
  });
  return [...proxies, 'NODE_EXTRA_CA_CERTS=/etc/ssl/certs/ca-certificates.crt', ''].join('\n');
}

/** Node.js and npm of this process, with npm's settings. */
function copyNode(tree: string): void {
  const from = dirname(dirname(process.execPath));
  const to = join(tree, from === '/usr' ? from : '/usr/local');
  for (const part of ['bin/node', 'lib/node_modules/npm', 'include/node'])
    if (existsSync(join(from, part))) cpSync(join(from, part), join(to, part), { recursive: true });
  for (const name of ['npm', 'npx'])
    cpSync(join(from, 'bin', name), join(to, 'bin', name), { verbatimSymlinks: true, recursive: true });
  const settings = [join(from, 'etc/npmrc'), join(homedir(), '.npmrc')].filter(existsSync);
  mkdirSync(join(to, 'etc'), { recursive: true });
  writeFileSync(join(to, 'etc/npmrc'), settings.map((file) => readFileSync(file, 'utf8')).join('\n'));
}

async function build(tree: string, packages: readonly string[]): Promise<void> {
  const { codename, sources } = release();
  const options = aptSettings().map((file) => `--aptopt=${file}`);
  const include = [...PACKAGES, ...packages].join(',');
  await exec(['mmdebstrap', '--variant=minbase', `--include=${include}`, ...options, codename, tree, ...sources], {
    timeout: 900_000,
  });
  for (const file of aptSettings()) cpSync(file, join(tree, 'etc/apt/apt.conf.d', basename(file)));
  const authorities = '/usr/local/share/ca-certificates';
  if (existsSync(authorities)) cpSync(authorities, join(tree, authorities), { recursive: true });
  const inside = (...argv: string[]): Promise<unknown> => exec(['chroot', tree, ...argv], { timeout: 120_000 });
  await inside('update-ca-certificates');
  writeFileSync(join(tree, 'etc/environment'), environment());
  copyNode(tree);
  await inside('systemctl', 'enable', 'systemd-networkd');
  await inside('useradd', '--create-home', '--shell', '/bin/bash', 'lena');
  writeFileSync(join(tree, 'etc/sudoers.d/lena'), 'lena ALL=(ALL) NOPASSWD: ALL\n', { mode: 0o440 });
  await inside('runuser', '-u', 'lena', '--', 'mkdir', '-p', '/home/lena/.ssh');
  await inside(
    'runuser',
    '-u',
    'lena',
    '--',
    'ssh-keygen',
    '-q',
    '-t',
    'ed25519',
    '-N',
    '',
    '-f',
    '/home/lena/.ssh/id_ed25519',
  );
}

/**
 * @param name tells trees with different packages apart
 * @param packages those that its machines have besides
 * @returns the path of the tree, made where it is missing. @throws CommandError of mmdebstrap
 */
export async function baseTree(directory: string, name: string, packages: readonly string[]): Promise<string> {
  const settings = aptSettings().map((file) => readFileSync(file, 'utf8'));
  const own = readFileSync(__filename, 'utf8');
  const recipe = JSON.stringify([own, packages, process.version, environment(), ...settings]);
  const digest = createHash('sha256').update(recipe).digest('hex').slice(0, 12);
  const tree = join(directory, `base-${name}-${digest}`);
  if (existsSync(tree)) return tree;
  mkdirSync(directory, { recursive: true, mode: 0o755 });
  for (const old of readdirSync(directory).filter((one) => one.startsWith(`base-${name}-`)))
    rmSync(join(directory, old), { recursive: true });
  rmSync(`${tree}.part`, { recursive: true, force: true });
  await build(`${tree}.part`, packages);
  renameSync(`${tree}.part`, tree);
  return tree;
}
