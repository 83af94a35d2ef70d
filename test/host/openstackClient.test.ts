// The whole cloud on real parts, used with the unmodified `openstack` command as a person would: one story, in order.
import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { root } from '../support/checkout';
import { runOpenstack } from '../support/openstackClient';
import { runProgram, type Run } from '../support/programs';
import { PASSWORD, startRealCloud, type RealCloud } from '../support/realCloud';
import { tinyImage } from '../support/tinyImage';

const run = promisify(execFile);
const directory = mkdtempSync(join(tmpdir(), 'cumulet-client-'));
const key = join(directory, '.ssh/id_ed25519');
let cloud: RealCloud;

const environment = (): Record<string, string> => ({
  PATH: process.env['PATH'] ?? '',
  HOME: directory,
  OS_AUTH_URL: cloud.url,
  OS_USERNAME: 'admin',
  OS_PASSWORD: PASSWORD,
  OS_PROJECT_NAME: 'admin',
  OS_USER_DOMAIN_NAME: 'Default',
  OS_PROJECT_DOMAIN_NAME: 'Default',
  OS_IDENTITY_API_VERSION: '3',
});
/** One command of the client; its standard output. @throws with what the client said when it fails */
const openstack = (...words: string[]): Promise<string> => runOpenstack(words, environment());
const value = (column: string, ...words: string[]): Promise<string> => openstack(...words, '-f', 'value', '-c', column);

/** Tries until it works: a guest under emulation takes its time. The client's own --wait asks only every five seconds. */
async function soon<T>(seconds: number, work: () => Promise<T>): Promise<T> {
  const end = Date.now() + seconds * 1000;
  for (;;) {
    try {
      return await work();
    } catch (error) {
      if (Date.now() > end) throw error;
      await new Promise((next) => setTimeout(next, 200));
    }
  }
}

const sshOptions = [
  ...['StrictHostKeyChecking=no', 'UserKnownHostsFile=/dev/null', 'LogLevel=ERROR', 'ConnectTimeout=5'],
  ...['BatchMode=yes', `IdentityFile=${key}`],
].flatMap((option) => ['-o', option]);
const ssh = async (address: string, command: string): Promise<string> => {
  const { stdout } = await run('ssh', [...sshOptions, `root@${address}`, command], { timeout: 30_000 });
  return stdout.trim();
};
/** `cumulet server ssh`, which finds address, user and key by itself. */
const enter = (...words: string[]): Promise<Run> =>
  runProgram(process.execPath, [join(root, 'cli/dist/main.js'), 'server', 'ssh', ...words], directory, environment());
const status = (name: string): Promise<string> => value('status', 'server', 'show', name);
const findings = async (): Promise<string[]> =>
  (await cloud.call<{ findings: { message: string }[] }>('GET', '/cumulet/v1/audit')).findings.map(
    ({ message }) => message,
  );

beforeAll(async () => {
  const image = tinyImage();
  cloud = await startRealCloud();
  mkdirSync(join(directory, '.ssh'));
  await run('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-f', key]);
  await run('cp', [image, join(directory, 'tiny.qcow2')]);
}, 300_000);

afterAll(async () => {
  await cloud?.stop();
  rmSync(directory, { recursive: true, force: true });
});

jest.setTimeout(240_000);
let address = '';

test('token issue and catalog list', async () => {
  const { stdout } = await run('openstack', ['token', 'issue', '-f', 'value', '-c', 'id'], { env: environment() });
  expect(stdout).toMatch(/^ey/);
  const catalog = await openstack('catalog', 'list', '-f', 'value', '-c', 'Type');
  expect(catalog.split('\n').sort()).toEqual(['compute', 'identity', 'image', 'network', 'placement']);
});

test('project, user and role: create and grant', async () => {
  await openstack('project', 'create', 'story');
  await openstack('user', 'create', '--password', 'story-password', '--project', 'story', 'writer');
  await openstack('role', 'create', 'teller');
  await openstack('role', 'add', '--project', 'story', '--user', 'writer', 'teller');
  expect(
    await openstack(
      'role',
      'assignment',
      'list',
      '--names',
      '--project',
      'story',
      '-f',
      'value',
      '-c',
      'Role',
      '-c',
      'User',
    ),
  ).toBe('teller writer@Default');
});

test('an image comes back byte by byte as it went in', async () => {
  const file = join(directory, 'tiny.qcow2');
  const kind = ['--disk-format', 'qcow2', '--property', 'os_distro=tiny'];
  await openstack('image', 'create', ...kind, '--file', file, '--public', 'tiny');
  await openstack('image', 'save', '--file', join(directory, 'saved'), 'tiny');
  const digest = (path: string): string => createHash('sha256').update(readFileSync(path)).digest('hex');
  expect(digest(join(directory, 'saved'))).toBe(digest(file));
});

test('flavor, keypair, networks, router, security group rules', async () => {
  await openstack('flavor', 'create', '--ram', '128', '--disk', '1', '--vcpus', '1', 'm1.nano');
  await openstack('keypair', 'create', '--public-key', `${key}.pub`, 'default');
  await openstack(
    'network',
    'create',
    '--external',
    '--provider-network-type',
    'flat',
    '--provider-physical-network',
    'public',
    'public',
  );
  const pool = 'start=172.24.4.10,end=172.24.4.200';
  await openstack(
    'subnet',
    'create',
    '--network',
    'public',
    '--subnet-range',
    '172.24.4.0/24',
    '--no-dhcp',
    '--gateway',
    '172.24.4.1',
    '--allocation-pool',
    pool,
    'public',
  );
  await openstack('network', 'create', 'demo');
  await openstack('subnet', 'create', '--network', 'demo', '--subnet-range', '10.0.0.0/24', 'demo');
  await openstack('router', 'create', 'way');
  await openstack('router', 'add', 'subnet', 'way', 'demo');
  await openstack('router', 'set', '--external-gateway', 'public', 'way');
  await openstack('security', 'group', 'create', 'open');
  await openstack('security', 'group', 'rule', 'create', '--proto', 'icmp', 'open');
  await openstack('security', 'group', 'rule', 'create', '--proto', 'tcp', '--dst-port', '22', 'open');
});

test('a server boots and answers ping and ssh on its floating IP', async () => {
  await openstack(
    'server',
    'create',
    '--image',
    'tiny',
    '--flavor',
    'm1.nano',
    '--network',
    'demo',
    '--security-group',
    'open',
    '--key-name',
    'default',
    '--wait',
    'hello',
  );
  expect(await status('hello')).toBe('ACTIVE');
  expect(await openstack('server', 'list', '-f', 'value', '-c', 'Name', '-c', 'Status')).toBe('hello ACTIVE');
  address = await value('floating_ip_address', 'floating', 'ip', 'create', 'public');
  await openstack('server', 'add', 'floating', 'ip', 'hello', address);
  // It still boots, which is waited for.
  expect(await enter('hello', '--', 'hostname')).toMatchObject({ exit: 0, out: 'hello\n' });
  await run('ping', ['-c', '1', '-W', '3', address]);
  expect(await ssh(address, 'hostname')).toBe('hello');
  expect(await openstack('server', 'show', 'hello', '-f', 'value', '-c', 'addresses')).toContain(address);
  // The command finds the floating address in what the server shows, and calls ssh with the words after the dashes.
  expect(await openstack('server', 'ssh', '--public', 'hello', '--', '-l', 'root', ...sshOptions, 'hostname')).toBe(
    'hello',
  );
  expect(await enter('hello', '--', 'echo', '$(hostname)')).toMatchObject({ exit: 0, out: 'hello\n' });
  expect(await enter('hello', '--', 'exit 3')).toEqual({ exit: 3, out: '', err: '' });
  expect(await openstack('console', 'log', 'show', 'hello')).toContain('TINY-READY');
  expect(await findings()).toEqual([]);
});

test('placement shows the host, what it is, and what the server claims of it', async () => {
  const provider = await value('uuid', 'resource', 'provider', 'list');
  const usage = await openstack('resource', 'provider', 'usage', 'show', provider, '-f', 'value');
  expect(usage.split('\n').sort()).toEqual(['DISK_GB 1', 'MEMORY_MB 128', 'VCPU 1']);
  const traits = await openstack('--os-placement-api-version', '1', 'resource', 'provider', 'trait', 'list', provider);
  for (const name of ['COMPUTE_NODE', 'HW_ARCH_X86_64']) expect(traits).toContain(name);
  const id = await value('id', 'server', 'show', 'hello');
  const claims = await openstack('resource', 'provider', 'allocation', 'show', id, '-f', 'json');
  expect(JSON.parse(claims)).toMatchObject([
    { resource_provider: provider, resources: { VCPU: 1, MEMORY_MB: 128, DISK_GB: 1 } },
  ]);
});

test('a group is put on the running server and taken off it', async () => {
  const groups = (): Promise<string> => openstack('server', 'show', 'hello', '-f', 'value', '-c', 'security_groups');
  await openstack('security', 'group', 'create', 'more');
  await openstack('server', 'add', 'security', 'group', 'hello', 'more');
  expect(await groups()).toContain('more');
  await openstack('server', 'remove', 'security', 'group', 'hello', 'open');
  await soon(30, async () => expect(await ssh(address, 'true').catch(() => 'closed')).toBe('closed'));
  await openstack('server', 'add', 'security', 'group', 'hello', 'open');
  await openstack('server', 'remove', 'security', 'group', 'hello', 'more');
  await openstack('security', 'group', 'delete', 'more');
  await soon(60, () => ssh(address, 'true'));
  expect(await groups()).not.toContain('more');
});

test('stop and start', async () => {
  await openstack('server', 'stop', 'hello');
  await soon(120, async () => expect(await status('hello')).toBe('SHUTOFF'));
  await openstack('server', 'start', 'hello');
  await soon(60, async () => expect(await status('hello')).toBe('ACTIVE'));
  await soon(120, () => ssh(address, 'true'));
});

test('reboot, and the guest has booted anew', async () => {
  const before = await ssh(address, 'cat /proc/sys/kernel/random/boot_id');
  await openstack('server', 'reboot', '--hard', '--wait', 'hello');
  const after = await soon(120, () => ssh(address, 'cat /proc/sys/kernel/random/boot_id'));
  expect(after).not.toBe(before);
});

test('rebuild makes the disk anew', async () => {
  await ssh(address, 'echo old > /root/mark; sync');
  await openstack('server', 'rebuild', '--image', 'tiny', '--wait', 'hello');
  expect(await enter('hello', '--', 'hostname')).toMatchObject({ exit: 0, out: 'hello\n' });
  await expect(ssh(address, 'cat /root/mark')).rejects.toThrow('No such file');
});

test('server ssh knows that a rebuild changes the host key, and refuses any other change', async () => {
  expect(await enter('hello', '--', 'hostname')).toMatchObject({ exit: 0, out: 'hello\n' });
  expect(await enter('hello', '--', 'hostname')).toEqual({ exit: 0, out: 'hello\n', err: '' });
  await ssh(address, '. /etc/metadata.sh; rm /etc/dropbear/key; host_key; start_ssh');
  const { exit, out, err } = await soon(10, () => enter('hello', '--', 'hostname'));
  expect({ exit, out }).toEqual({ exit: 255, out: '' });
  expect(err).toContain('REMOTE HOST IDENTIFICATION HAS CHANGED');
  expect(await enter('--forget-host-key', 'hello', '--', 'hostname')).toMatchObject({ exit: 0, out: 'hello\n' });
});

test('networks, ports and addresses come and go while the server runs, and stay over a hard reboot', async () => {
  const cards = async (): Promise<number> => Number(await ssh(address, 'ls /sys/class/net | grep -c eth'));
  const show = async (): Promise<string> => value('addresses', 'server', 'show', 'hello');
  await openstack('network', 'create', 'second');
  const range = ['--network', 'second', '--subnet-range', '10.9.0.0/24', '--gateway', 'none'];
  await openstack('subnet', 'create', ...range, 'second');
  await openstack('port', 'create', '--network', 'second', 'extra');
  await openstack('server', 'add', 'network', 'hello', 'second');
  await soon(30, async () => expect(await cards()).toBe(2));
  await openstack('server', 'add', 'port', 'hello', 'extra');
  await soon(30, async () => expect(await cards()).toBe(3));
  await openstack('server', 'reboot', '--hard', '--wait', 'hello');
  await soon(120, async () => expect(await cards()).toBe(3));
  const leased = await soon(60, () => ssh(address, 'ip -4 -o addr show dev eth1'));
  expect(leased).toContain('10.9.0.');
  await openstack('server', 'remove', 'port', 'hello', 'extra');
  await soon(60, async () => expect(await cards()).toBe(2));
  // The guest sees it go before the command has ended, and until then there is no other one.
  await soon(30, async () => expect(await value('status', 'port', 'show', 'extra')).toBe('DOWN'));
  await soon(30, () => openstack('server', 'remove', 'network', 'hello', 'second'));
  await soon(60, async () => expect(await cards()).toBe(1));
  await soon(30, async () => expect(await show()).not.toContain('10.9.0.'));
  const before = (await show()).split(',').length;
  await openstack('--os-compute-api-version', '2.43', 'server', 'add', 'fixed', 'ip', 'hello', 'demo');
  const added = /10\.0\.0\.\d+(?!.*10\.0\.0\.)/.exec(await show())?.[0] ?? '';
  expect((await show()).split(',')).toHaveLength(before + 1);
  // This client's own command for it calls a function that its library has no more.
  const id = await value('id', 'server', 'show', 'hello');
  const taken = await cloud.request('POST', `/compute/v2.1/servers/${id}/action`, {
    body: JSON.stringify({ removeFixedIp: { address: added } }),
    headers: { 'content-type': 'application/json', 'openstack-api-version': 'compute 2.43' },
  });
  expect(taken.status).toBe(202);
  expect((await show()).split(',')).toHaveLength(before);
  await openstack('port', 'delete', 'extra');
  await openstack('network', 'delete', 'second');
  await soon(10, async () => expect(await findings()).toEqual([]));
});

test('an image of the running server boots with its files; backups of the stopped one rotate', async () => {
  await ssh(address, 'echo snapped > /root/mark; sync');
  const shown = await openstack('server', 'image', 'create', '--name', 'snap', '--wait', 'hello', '-f', 'json');
  expect(JSON.parse(shown)).toMatchObject({ name: 'snap', status: 'active', disk_format: 'qcow2' });
  expect(await status('hello')).toBe('ACTIVE');
  await ssh(address, 'echo later > /root/mark; sync');
  const boot = ['--flavor', 'm1.nano', '--network', 'demo', '--security-group', 'open', '--key-name', 'default'];
  await openstack('server', 'create', '--image', 'snap', ...boot, 'child');
  await soon(120, async () => expect(await status('child')).toBe('ACTIVE'));
  const second = await value('floating_ip_address', 'floating', 'ip', 'create', 'public');
  await openstack('server', 'add', 'floating', 'ip', 'child', second);
  expect(await soon(120, () => ssh(second, 'cat /root/mark'))).toBe('snapped');
  expect(await ssh(second, 'hostname')).toBe('child');
  expect(await enter('child', '--', 'hostname')).toMatchObject({ exit: 0, out: 'child\n' });
  await openstack('server', 'delete', 'child');
  await soon(60, () => expect(status('child')).rejects.toThrow('No server with a name'));
  // Another server of that name and address, with a host key of its own.
  await openstack('server', 'create', '--image', 'tiny', ...boot, 'child');
  await soon(120, async () => expect(await status('child')).toBe('ACTIVE'));
  await openstack('server', 'add', 'floating', 'ip', 'child', second);
  await soon(120, async () => expect((await enter('child', '--', 'hostname')).exit).toBe(0));
  expect(await enter('child', '--', 'hostname')).toEqual({ exit: 0, out: 'child\n', err: '' });
  await openstack('server', 'delete', 'child');
  await soon(60, () => expect(status('child')).rejects.toThrow('No server with a name'));
  await openstack('floating', 'ip', 'delete', second);
  await openstack('server', 'stop', 'hello');
  await soon(120, async () => expect(await status('hello')).toBe('SHUTOFF'));
  for (const name of ['first', 'second']) {
    const type = ['--type', 'daily', '--rotate', '1'];
    await openstack('server', 'backup', 'create', '--name', name, ...type, '--wait', 'hello');
    await soon(60, async () => expect(await value('OS-EXT-STS:task_state', 'server', 'show', 'hello')).toBe('None'));
  }
  const left = await openstack('image', 'list', '--property', 'image_type=backup', '-f', 'value', '-c', 'Name');
  expect(left).toBe('second');
  await openstack('image', 'delete', 'snap', 'second');
  await openstack('server', 'start', 'hello');
  await soon(120, () => ssh(address, 'true'));
  await soon(10, async () => expect(await findings()).toEqual([]));
});

test('a resize gives the guest more of everything, a revert what it had, and a confirmation keeps the new', async () => {
  const has = async (): Promise<string[]> => {
    const words = 'nproc; grep MemTotal /proc/meminfo; cat /sys/class/block/vda/size; cat /root/mark';
    const [cpus = '', memory = '', sectors = '', mark = ''] = (await ssh(address, words)).split('\n');
    const large = Number(/\d+/.exec(memory)?.[0]) > 160 * 1024;
    return [cpus, large ? 'more memory' : 'as before', `${Number(sectors) / 2 ** 21} GiB`, mark];
  };
  const [small, larger] = [
    ['1', 'as before', '1 GiB'],
    ['2', 'more memory', '2 GiB'],
  ];
  const resize = (...options: string[]): Promise<string> =>
    openstack('server', 'resize', '--flavor', 'm1.more', ...options, 'hello');
  await openstack('flavor', 'create', '--ram', '256', '--disk', '2', '--vcpus', '2', 'm1.more');
  await ssh(address, 'echo before > /root/mark; sync');
  expect(await has()).toEqual([...small, 'before']);
  await resize('--wait');
  expect(await status('hello')).toBe('VERIFY_RESIZE');
  expect(await soon(120, has)).toEqual([...larger, 'before']);
  await soon(10, async () => expect(await findings()).toEqual([]));
  await ssh(address, 'echo after > /root/mark; sync');
  await openstack('server', 'resize', 'revert', 'hello');
  await soon(120, async () => expect(await status('hello')).toBe('ACTIVE'));
  expect(await soon(120, has)).toEqual([...small, 'before']);
  await soon(10, async () => expect(await findings()).toEqual([]));
  await resize();
  await soon(60, async () => expect(await status('hello')).toBe('VERIFY_RESIZE'));
  await openstack('server', 'resize', 'confirm', 'hello');
  await soon(60, async () => expect(await status('hello')).toBe('ACTIVE'));
  expect(await soon(120, has)).toEqual([...larger, 'before']);
  const id = await value('id', 'server', 'show', 'hello');
  const files = readdirSync(join(cloud.directory, 'data/host/disks', id)).sort();
  expect(files.map((name) => name.replace(/\d+/, 'N'))).toEqual(['base-rN', 'disk-rN.qcow2']);
  await soon(10, async () => expect(await findings()).toEqual([]));
  // There is nowhere else to go.
  await openstack('server', 'migrate', 'hello');
  await soon(60, async () => expect(await status('hello')).toBe('ACTIVE'));
  const [migrate] = JSON.parse(await openstack('server', 'event', 'list', '--long', 'hello', '-f', 'json')) as object[];
  expect(migrate).toMatchObject({ Action: 'migrate', Message: 'Error' });
});

test('pause and unpause, suspend and resume', async () => {
  await ssh(address, 'echo kept > /tmp/mark');
  await openstack('server', 'pause', 'hello');
  await soon(60, async () => expect(await status('hello')).toBe('PAUSED'));
  await expect(ssh(address, 'true')).rejects.toThrow();
  await openstack('server', 'unpause', 'hello');
  await soon(60, async () => expect(await status('hello')).toBe('ACTIVE'));
  await openstack('server', 'suspend', 'hello');
  await soon(120, async () => expect(await status('hello')).toBe('SUSPENDED'));
  await openstack('server', 'resume', 'hello');
  await soon(120, async () => expect(await status('hello')).toBe('ACTIVE'));
  expect(await soon(60, () => ssh(address, 'cat /tmp/mark'))).toBe('kept');
});

test('a shelved server is on no host, and comes back with its files at its addresses', async () => {
  await ssh(address, 'echo shelved > /root/mark; sync');
  const id = await value('id', 'server', 'show', 'hello');
  const before = await value('addresses', 'server', 'show', 'hello');
  await openstack('server', 'shelve', '--wait', 'hello');
  await soon(120, async () => expect(await status('hello')).toBe('SHELVED_OFFLOADED'));
  expect(readdirSync(join(cloud.directory, 'data/host/disks'))).not.toContain(id);
  expect(await value('addresses', 'server', 'show', 'hello')).toBe(before);
  expect(await value('Name', 'image', 'list', '--private')).toBe('hello-shelved');
  await soon(10, async () => expect(await findings()).toEqual([]));
  await openstack('server', 'unshelve', '--wait', 'hello');
  await soon(120, async () => expect(await status('hello')).toBe('ACTIVE'));
  expect(await soon(120, () => ssh(address, 'cat /root/mark'))).toBe('shelved');
  expect(await value('addresses', 'server', 'show', 'hello')).toBe(before);
  expect(await value('Name', 'image', 'list', '--private')).toBe('');
  await soon(10, async () => expect(await findings()).toEqual([]));
});

test('the events of the server are told in order', async () => {
  const actions = (await openstack('server', 'event', 'list', 'hello', '-f', 'value', '-c', 'Action')).split('\n');
  expect(actions.reverse()).toEqual([
    ...['create', 'stop', 'start', 'reboot', 'rebuild'],
    ...['attach_interface', 'attach_interface', 'reboot', 'detach_interface', 'detach_interface'],
    ...['addFixedIp', 'removeFixedIp', 'createImage', 'stop', 'createBackup', 'createBackup', 'start'],
    ...['resize', 'revertResize', 'resize', 'confirmResize', 'migrate'],
    ...['pause', 'unpause', 'suspend', 'resume', 'shelve', 'unshelve'],
  ]);
});

test('after the deletes nothing is left, says the audit and says an independent count', async () => {
  await openstack('server', 'delete', '--wait', 'hello');
  await openstack('floating', 'ip', 'delete', address);
  await openstack('router', 'unset', '--external-gateway', 'way');
  await openstack('router', 'remove', 'subnet', 'way', 'demo');
  await openstack('router', 'delete', 'way');
  await openstack('network', 'delete', 'demo', 'public');
  await openstack('image', 'delete', 'tiny');
  await soon(10, async () => expect(await findings()).toEqual([]));
  const { stdout } = await run('python3', [
    join(root, 'test/independent/orphans.py'),
    '--data',
    join(cloud.directory, 'data'),
  ]);
  expect(stdout.trim()).toBe('0 orphans');
});
