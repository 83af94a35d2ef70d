// The part of `cumulet up` that talks to the cloud, as a process: what a second run shows, and what it says when it can't go on.
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { networkInterfaces, userInfo } from 'node:os';
import { dirname, join } from 'node:path';
import { root } from '../support/checkout';
import { startCommandCloud, type CommandCloud } from '../support/commandCloud';
import { runProgram, type Run } from '../support/programs';
import { freePort } from '../support/freePort';
import { ADMIN_PASSWORD } from '../support/identity';

const MAIN = join(root, 'cli/dist/up/main.js');
const TERMINAL = join(root, 'test/support/terminal.py');
const FLOATING = '172.24.4.50';

let all: CommandCloud;
let home: string;
let config: string;
let tools: string;

beforeAll(async () => {
  all = await startCommandCloud();
  tools = join(all.directory, 'bin');
  mkdirSync(tools);
  home = join(all.directory, 'home');
  const { uid, gid } = userInfo();
  // A user `me` whose home is ours, and a server that answers: the simulated host has no network.
  writeFileSync(join(tools, 'getent'), `#!/bin/sh\n[ "$2" = me ] && echo "me:x:${uid}:${gid}::${home}:/bin/sh"\n`, {
    mode: 0o755,
  });
  writeFileSync(join(tools, 'ping'), '#!/bin/sh\nexec sleep "${PING_SECONDS-0}"\n', { mode: 0o755 });
});
afterAll(() => all.stop());
beforeEach(() => {
  mkdirSync(home);
  config = join(all.directory, 'etc');
  mkdirSync(config);
  writeFileSync(join(config, 'bootstrap.json'), JSON.stringify({ admin_password: ADMIN_PASSWORD }));
  writeFileSync(join(config, 'cumulet.yaml'), 'listen: 127.0.0.1:5000\n');
  writeFileSync(join(config, 'demo.json'), JSON.stringify({ password: 'demo-secret', finished: true, users: [] }));
});
afterEach(() => {
  for (const place of [home, config]) rmSync(place, { recursive: true });
});

const argv = (more: readonly string[]): string[] => [
  ...[MAIN, '--url', all.cloud.test.url, '--config', config, '--user', 'me', '--command', './cumulet'],
  ...['--logs', all.directory],
  ...more,
];
const path = (): string => `${tools}:${process.env['PATH']}`;
const up = (...more: string[]): Promise<Run> =>
  runProgram(process.execPath, argv(more), all.directory, { PATH: path() });
/** The same on a terminal, with a server that takes a while to answer. */
const watch = (...more: string[]): Promise<Run> => {
  const env = { PATH: path(), PING_SECONDS: '0.6' };
  return runProgram('python3', [TERMINAL, '[]', process.execPath, ...argv(more)], all.directory, env);
};
const cloudsFile = (): string => join(home, '.config/openstack/clouds.yaml');

test('the first configuration is written, and what is special about it noted', async () => {
  for (const file of ['bootstrap.json', 'cumulet.yaml']) rmSync(join(config, file));
  const notes = join(all.directory, 'notes');
  writeFileSync(notes, 'first\n');
  const run = await up('configure', '--data', '/var/lib/mine', '--warnings', notes);
  expect(run).toEqual({ exit: 0, out: '', err: '' });
  expect(readFileSync(join(config, 'cumulet.yaml'), 'utf8')).toContain('data_dir: /var/lib/mine');
  expect(readFileSync(notes, 'utf8')).toMatch(/^first\n(floating IPs are in .*\n)?$/);
});

test('a second run makes nothing, tells how things are and warns last', async () => {
  const notes = join(all.directory, 'notes');
  writeFileSync(notes, 'KVM does not work here\n');
  const { exit, out, err } = await up('--warnings', notes, '--data', '/data');
  expect({ exit, err }).toEqual({ exit: 0, err: '' });
  expect(out).toContain(`The cloud is up: ${all.cloud.test.url}/v3`);
  expect(out).toContain('(the server hello was deleted: boot another one)');
  expect(out).toContain(`Data: /data   Logs: ${all.directory}`);
  expect(out).toContain('Stop: sudo ./cumulet down');
  expect(out.trimEnd().split('\n\n').at(-1)?.replaceAll(/\s+/g, ' ')).toBe(
    `warning: KVM does not work here warning: an ssh key was made for you: ${join(home, '.ssh/id_ed25519')}`,
  );
  expect(readFileSync(join(all.directory, 'install.log'), 'utf8')).toContain('warning: KVM does not work here\n');
  expect(existsSync(join(home, '.ssh/id_ed25519.pub'))).toBe(true);
  expect(JSON.parse(readFileSync(join(config, 'demo.json'), 'utf8')).users).toEqual(['me']);
  const env = { OS_CLOUD: 'cumulet-demo', OS_CLIENT_CONFIG_FILE: cloudsFile() };
  expect((await all.run('token issue -f value -c project_id', env)).exit).toBe(0);
});

test('the options of a run are drafted beside the configuration, or refused', async () => {
  const draft = join(config, 'cumulet.yaml.draft');
  expect(await up('configure', '--listen', '198.51.100.7')).toEqual({ exit: 0, out: '', err: '' });
  expect(readFileSync(draft, 'utf8')).toBe('listen: 127.0.0.1:5000\nremote_api:\n  address: 198.51.100.7\n');
  rmSync(draft);
  expect(await up('configure')).toEqual({ exit: 0, out: '', err: '' });
  const range = ['--floating-range', '10.0.0.7-10.0.0.9'];
  await up('configure', ...range, '--floating-interface', 'eth0');
  expect(readFileSync(draft, 'utf8')).toContain('floating:\n  interface: eth0\n  range: 10.0.0.7-10.0.0.9\n');
  rmSync(draft);
  expect(await up('configure', ...range)).toMatchObject({ exit: 1, err: expect.stringMatching(/go together/) });
  expect(await up('configure', '--cert', '/c.pem')).toMatchObject({
    exit: 1,
    err: expect.stringMatching(/go together/),
  });
  expect(existsSync(draft)).toBe(false);
});

test('addresses of the LAN are offered as floating IPs, and taken away when they are left out', async () => {
  await all.ok('network create --external --provider-network-type flat --provider-physical-network public public');
  // Nothing is done with it here but to read in which network it is.
  const [device, address = ''] =
    Object.entries(networkInterfaces())
      .map(([name, all = []]) => [name, all.find(({ family }) => family === 'IPv4')?.address] as const)
      .find(([name, found]) => found !== undefined && name !== 'lo') ?? [];
  const range = `${address}-${address}`;
  writeFileSync(join(config, 'cumulet.yaml'), `floating: {interface: ${device}, range: ${range}}\n`);
  expect(await up()).toMatchObject({ exit: 0 });
  await all.ok('floating ip create --project demo public');
  expect(await all.ok('floating ip list -f value -c "Floating IP Address"')).toBe(address);
  writeFileSync(join(config, 'cumulet.yaml'), 'listen: 127.0.0.1:5000\n');
  expect((await up()).out.replaceAll(/\s+/g, ' ')).toContain('warning: 1 floating IPs of the LAN were taken away');
  expect(await all.ok('subnet list --name lan -f value')).toBe('');
  writeFileSync(join(config, 'cumulet.yaml'), `floating: {interface: ${device}, range: 203.0.113.7-203.0.113.9}\n`);
  expect(await up()).toMatchObject({
    exit: 1,
    err: expect.stringMatching(/has no network with the addresses 203.0.113.7/),
  });
  await all.ok('network delete public');
});

test('a cloud that should be open to other machines, and is not, is told with a warning', async () => {
  writeFileSync(join(config, 'cumulet.yaml'), 'remote_api: {address: 198.51.100.7}\n');
  const { exit, out } = await up();
  expect(exit).toBe(0);
  expect(out.replaceAll(/\s+/g, ' ')).toContain(`warning: the API is not open to other machines yet: ${all.directory}`);
});

test('warnings that find no room on the screen are in the log that it names', async () => {
  const notes = join(all.directory, 'notes');
  const warnings = Array.from({ length: 20 }, (_, n) => `number ${n}`);
  writeFileSync(notes, warnings.join('\n'));
  expect((await up('--warnings', notes)).out).toContain(`more warnings in ${all.directory}/install.log`);
  const log = readFileSync(join(all.directory, 'install.log'), 'utf8').split('\n');
  expect(log).toEqual(expect.arrayContaining(warnings.map((text) => `warning: ${text}`)));
});

test('the line to log in says what keeps from it', async () => {
  const boot = 'server create --image tiny --flavor m1.tiny --network own --wait hello';
  const demo = async (line: string): Promise<void> => {
    expect(await all.run(line, { OS_CLOUD: 'demo' })).toMatchObject({ exit: 0, err: '' });
  };
  await all.ok('network create --external public');
  await all.ok('subnet create --network public --subnet-range 172.24.4.0/24 --no-dhcp public');
  await demo('network create own');
  await demo('subnet create --network own --subnet-range 10.24.0.0/24 own');
  await demo('router create --external-gateway public out');
  await demo('router add subnet out own');
  await demo(boot);
  expect((await up()).out).toContain('(the server hello has no floating IP any more)');
  await all.ok(`floating ip create --project demo --floating-ip-address ${FLOATING} public`);
  await demo(`server add floating ip hello ${FLOATING}`);
  const running = await up();
  expect(running.out).toMatch(new RegExp(`Server hello +\\d+ s {2}answers on ${FLOATING}\n`));
  expect(running.out).toMatch(new RegExp(` root@${FLOATING}\n`));
  const { out: watched } = await watch();
  expect(watched).toMatch(new RegExp(`\r\u001b\\[K {2}Server hello +\\d+ s {2}ping ${FLOATING}`));
  expect(watched).toMatch(new RegExp(`\r\u001b\\[K {2}Server hello +\\d+ s {2}answers on ${FLOATING}\r\n`));
  await demo('server stop --wait hello');
  expect((await up()).out).toContain(`root@${FLOATING}   (hello is SHUTOFF)`);
});

test('what was put into homes is taken out again, also when an account is gone', async () => {
  expect((await up()).exit).toBe(0);
  writeFileSync(join(config, 'demo.json'), JSON.stringify({ password: 'x', finished: true, users: ['gone', 'me'] }));
  expect(existsSync(cloudsFile())).toBe(true);
  const told = `the entries cumulet and cumulet-demo in ${cloudsFile()}\n`;
  expect(await up('entries')).toEqual({ exit: 0, out: told, err: '' });
  const keys = join(home, '.local/state/cumulet/known_hosts');
  mkdirSync(keys, { recursive: true });
  writeFileSync(join(keys, 'server'), 'key');
  expect(await up('forget')).toEqual({ exit: 0, out: '', err: '' });
  expect(['.config', '.local'].filter((name) => existsSync(join(home, name)))).toEqual([]);
});

test("host keys of servers stay where other clouds' entries do, and other programs' state anyway", async () => {
  const keys = join(home, '.local/state/cumulet/known_hosts');
  const others = join(home, '.local/state/other');
  for (const directory of [keys, others]) mkdirSync(directory, { recursive: true });
  mkdirSync(dirname(cloudsFile()), { recursive: true });
  writeFileSync(cloudsFile(), 'clouds:\n  work: {}\n');
  writeFileSync(join(config, 'demo.json'), JSON.stringify({ password: 'x', finished: true, users: ['me'] }));
  expect((await up('forget')).exit).toBe(0);
  expect(existsSync(keys)).toBe(true);
  rmSync(cloudsFile());
  expect((await up('forget')).exit).toBe(0);
  expect([existsSync(dirname(keys)), existsSync(others)]).toEqual([false, true]);
});

describe('it ends with 1 and one line', () => {
  const unfinished = (): void =>
    writeFileSync(join(config, 'demo.json'), JSON.stringify({ password: 'x', finished: false, users: [] }));

  test("when the administrator's password is refused", async () => {
    unfinished();
    writeFileSync(join(config, 'bootstrap.json'), '{"admin_password": "old"}');
    const { exit, out, err } = await up();
    expect({ exit, out }).toEqual({ exit: 1, out: '' });
    expect(err).toBe(
      `cumulet: the administrator's password in ${config}/bootstrap.json is refused; if it was changed, put the new one there\n`,
    );
  });
  test('when nothing listens', async () => {
    unfinished();
    const { exit, err } = await up('--url', `http://127.0.0.1:${await freePort()}`);
    expect(exit).toBe(1);
    expect(err).toMatch(/^cumulet: .*got no answer.*ECONNREFUSED.*\n$/);
  });
  test('when there is no such user', async () => {
    expect(await up('--user', 'you')).toEqual({ exit: 1, out: '', err: 'cumulet: there is no user you\n' });
  });
  test('when a step fails, which is named', async () => {
    unfinished();
    await all.ok('image set --deactivate tiny');
    const options = ['--image', join(all.directory, 'no.qcow2')];
    const { exit, err } = await up(...options);
    const watched = await watch(...options);
    await all.ok('image set --activate tiny');
    expect(exit).toBe(1);
    expect(err).toMatch(/^cumulet: Image: .*no\.qcow2.*\n$/);
    expect(watched).toMatchObject({ exit: 1, out: expect.stringContaining('\r\u001b[Kcumulet: Image: ') });
  });
  test('for options that it does not know', async () => {
    const { exit, err } = await up('--nonsense');
    expect(exit).toBe(1);
    expect(err).toMatch(/^cumulet: .*--nonsense/);
  });
});
