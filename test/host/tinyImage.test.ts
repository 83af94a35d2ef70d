// The demo guest boots under emulation and takes name, keys and user data from a config drive or the metadata service.
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import { createServer as createTcpServer, type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { startGuest, type QemuGuest } from '../support/qemuGuest';
import { buildTinyImage, tinyCache, tinyImage } from '../support/tinyImage';

let directory: string;
let image: string;
let guest: QemuGuest | undefined;

beforeAll(() => {
  directory = mkdtempSync(path.join(tmpdir(), 'cumulet-tiny-'));
  image = tinyImage();
});
afterEach(async () => {
  await guest?.destroy();
  guest = undefined;
});
afterAll(() => rmSync(directory, { recursive: true, force: true }));

async function freePort(): Promise<number> {
  const server = createTcpServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}

function makeKey(name: string): string {
  execFileSync('ssh-keygen', [
    '-q',
    '-t',
    'ed25519',
    '-N',
    '',
    '-C',
    `${name} of a test`,
    '-f',
    path.join(directory, name),
  ]);
  return readFileSync(path.join(directory, `${name}.pub`), 'utf8');
}

const sshOptions = [
  '-F',
  'none',
  '-o',
  'StrictHostKeyChecking=no',
  '-o',
  'UserKnownHostsFile=/dev/null',
  '-o',
  'LogLevel=ERROR',
  '-o',
  'ConnectTimeout=20',
];

function sshWithKey(port: number, key: string, command: string): string {
  const options = [
    ...sshOptions,
    '-o',
    'BatchMode=yes',
    '-o',
    'IdentitiesOnly=yes',
    '-i',
    path.join(directory, key),
    '-p',
    String(port),
  ];
  return execFileSync('ssh', [...options, 'root@127.0.0.1', command], { encoding: 'utf8', timeout: 30_000 });
}

function sshWithPassword(port: number, command: string): { stdout: string; stderr: string } {
  const askpass = path.join(directory, 'askpass');
  writeFileSync(askpass, '#!/bin/sh\necho tiny\n', { mode: 0o700 });
  const options = [
    ...sshOptions,
    '-o',
    'PubkeyAuthentication=no',
    '-o',
    'NumberOfPasswordPrompts=1',
    '-p',
    String(port),
  ];
  const env = { ...process.env, SSH_ASKPASS: askpass, SSH_ASKPASS_REQUIRE: 'force', DISPLAY: 'none' };
  return spawnSync('ssh', [...options, 'root@127.0.0.1', command], { encoding: 'utf8', env, timeout: 30_000 });
}

/** Gives the well-known name and password at the prompt of the serial console. */
async function logInOnConsole(console: QemuGuest): Promise<void> {
  await console.seen('login:');
  console.type('root\n');
  await console.seen('assword:');
  console.type('tiny\n');
}

const userData = '#!/bin/sh\necho it ran on $(hostname)\n';

function configDrive(metadata: object): string {
  const tree = path.join(directory, 'drive/openstack/latest');
  mkdirSync(tree, { recursive: true });
  writeFileSync(path.join(tree, 'meta_data.json'), JSON.stringify(metadata));
  writeFileSync(path.join(tree, 'user_data'), userData);
  const iso = path.join(directory, 'drive.iso');
  execFileSync('genisoimage', ['-quiet', '-o', iso, '-V', 'config-2', '-R', '-J', path.join(directory, 'drive')]);
  return iso;
}

/** A metadata service at 169.254.169.254 of the guest's user network; connections pass through the image's own nc. */
async function metadataService(metadata: object): Promise<{ server: Server; forward: string }> {
  const server = createServer((request, response) => {
    if (request.url === '/openstack/latest/meta_data.json') response.end(JSON.stringify(metadata));
    else if (request.url === '/openstack/latest/user_data') response.end(userData);
    else response.writeHead(404).end();
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const nc = path.join(tinyCache, 'work/guest/bin/busybox');
  const { port } = server.address() as AddressInfo;
  return { server, forward: `net=169.254.0.0/16,guestfwd=tcp:169.254.169.254:80-cmd:${nc} nc 127.0.0.1 ${port}` };
}

test('the image is under 40 MB, and building it again needs no network', () => {
  const noApt = path.join(directory, 'no-apt');
  mkdirSync(noApt);
  writeFileSync(path.join(noApt, 'apt-get'), '#!/bin/sh\nexit 1\n', { mode: 0o755 });
  const again = path.join(directory, 'again.qcow2');
  buildTinyImage(again, { PATH: `${noApt}:${process.env['PATH'] ?? ''}` });
  expect(statSync(again).size).toBeLessThan(40e6);
  expect(statSync(again).size).toBeGreaterThan(5e6);
});

test('a config drive gives name, all keys and user data; passwords are off over ssh and on the console; the disk is used whole; the power button shuts down cleanly', async () => {
  const ssh = await freePort();
  const http = await freePort();
  const drive = configDrive({
    random_seed: 'A'.repeat(684),
    meta: { hostname: 'wrong', note: 'a\\"b\n' },
    uuid: 'b4e4d3d6-0000-4000-8000-000000000001',
    public_keys: { 'a.b/c': makeKey('first'), 'schlüssel "zwei"': makeKey('second') },
    hostname: 'from-drive',
    devices: [{ type: 'nic', tags: [] }],
  });
  const network = `hostfwd=tcp:127.0.0.1:${ssh}-:22,hostfwd=tcp:127.0.0.1:${http}-:80`;
  const disk = path.join(directory, 'disk.qcow2');
  execFileSync('qemu-img', ['create', '-q', '-f', 'qcow2', '-F', 'qcow2', '-b', image, disk, '1G']);
  guest = await startGuest(disk, network, ['-drive', `file=${drive},if=virtio,format=raw,readonly=on`]);
  const log = await guest.seen('TINY-READY');
  expect(log).toMatch(/TINY-DHCP if=eth0 ip=10\.0\.2\.15\/24/);
  expect(log).toMatch(
    /TINY-CONFIGDRIVE dev=\/dev\/vdb uuid=b4e4d3d6-0000-4000-8000-000000000001 host=from-drive keys=2/,
  );
  expect(log).toMatch(/TINY-USERDATA rc=0 it ran on from-drive/);
  expect(sshWithKey(ssh, 'first', 'hostname')).toBe('from-drive\n');
  expect(sshWithKey(ssh, 'second', 'id -u')).toBe('0\n');
  const grown = `until [ "$(df -m / | awk 'NR == 2 {print $2}')" -gt 900 ]; do sleep 0.2; done; echo grown`;
  expect(sshWithKey(ssh, 'first', grown)).toBe('grown\n');
  const password = sshWithPassword(ssh, 'id -u');
  expect(password.stderr).toMatch(/Permission denied/);
  expect(password.stdout).toBe('');
  await guest.seen('This server takes no password');
  await logInOnConsole(guest);
  const refused = await guest.seen('Login incorrect');
  expect(refused.slice(refused.lastIndexOf('assword:'))).not.toContain('#');
  expect(await (await fetch(`http://127.0.0.1:${http}/`)).text()).toBe('from-drive\n');
  await guest.powerButton();
  await guest.poweredOff();
  expect(guest.log()).toMatch(/TINY-POWERBTN[\s\S]*Requesting system poweroff/);
});

test('the metadata service gives name and user data; without a key the password works; a reboot keeps the instance as it is', async () => {
  const ssh = await freePort();
  const { server, forward } = await metadataService({
    uuid: 'b4e4d3d6-0000-4000-8000-000000000002',
    hostname: 'from-service',
    public_keys: {},
  });
  try {
    guest = await startGuest(image, `${forward},hostfwd=tcp:127.0.0.1:${ssh}-:22`);
    const log = await guest.seen('TINY-READY');
    expect(log).toMatch(/TINY-META uuid=b4e4d3d6-0000-4000-8000-000000000002 host=from-service keys=0/);
    expect(log).toMatch(/TINY-USERDATA rc=0 it ran on from-service/);
    expect(sshWithPassword(ssh, 'id -u').stdout).toBe('0\n');
    const hostKey = sshWithPassword(ssh, 'md5sum < /etc/dropbear/key').stdout;
    await logInOnConsole(guest);
    await guest.seen('#', guest.log().lastIndexOf('assword:'));
    const before = guest.log().length;
    guest.type('reboot\n');
    const after = (await guest.seen('TINY-READY', before)).slice(before);
    expect(after).not.toContain('TINY-USERDATA');
    expect(sshWithPassword(ssh, 'md5sum < /etc/dropbear/key').stdout).toBe(hostKey);
  } finally {
    server.closeAllConnections();
    server.close();
  }
});
