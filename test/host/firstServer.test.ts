// What `cumulet up` ends with, on real parts: a server that answers ping and opens to the caller's ssh key, whose files are theirs.
import { execFileSync } from 'node:child_process';
import { chmodSync, chownSync, lstatSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pingable, sshOpens } from '../../cli/src/up/reach';
import { root } from '../support/checkout';
import { runProcess, runProgram, type Run } from '../support/programs';
import { startRealCloud, until, type RealCloud } from '../support/realCloud';
import { tinyImage } from '../support/tinyImage';

jest.setTimeout(300_000);

/** `nobody`, as whom ssh runs without an account being made; the name and the home are ours. */
const CALLER = { name: 'caller', uid: 65534, gid: 65534 };

let directory: string;
let home: string;
let cloud: RealCloud;
let address = '';

beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), 'cumulet-first-'));
  chmodSync(directory, 0o711);
  home = mkdtempSync(join(directory, 'home-'));
  chownSync(home, CALLER.uid, CALLER.gid);
  const entry = `caller:x:${CALLER.uid}:${CALLER.gid}::${home}:/bin/sh`;
  writeFileSync(join(directory, 'getent'), `#!/bin/sh\n[ "$2" = caller ] && echo "${entry}"\n`, { mode: 0o755 });
  cloud = await startRealCloud();
});

afterAll(async () => {
  await cloud?.stop();
  rmSync(directory, { recursive: true, force: true });
});

const up = (): Promise<Run> =>
  runProgram(
    process.execPath,
    [
      ...[join(root, 'cli/dist/up/main.js'), '--url', cloud.url, '--config', cloud.directory],
      ...['--image', tinyImage(), '--user', CALLER.name, '--logs', directory],
    ],
    directory,
    { PATH: `${directory}:${process.env['PATH']}` },
  );

test('the first run ends with a server that can be logged in to', async () => {
  const { exit, out, err } = await up();
  expect({ exit, err }).toEqual({ exit: 0, err: '' });
  for (const step of ['Image', 'Flavors', 'Project demo', 'Networks', 'Host', 'Server hello'])
    expect(out).toMatch(new RegExp(`^ {2}${step} +\\d+ s  \\S`, 'm'));
  expect(out).toMatch(/^ {2}Answers +\d+ s {2}ping and ssh$/m);
  // Without a warning: the caller's new key opened it.
  expect(out.match(/warning: .*/g)).toEqual([expect.stringContaining('an ssh key was made for you')]);
  address = /root@(172\.24\.4\.\d+)$/m.exec(out)?.[1] ?? '';
  expect(address).not.toBe('');
});

test("what was made in the caller's home is theirs", () => {
  for (const file of ['.ssh', '.ssh/id_ed25519', '.ssh/id_ed25519.pub', '.config', '.config/openstack/clouds.yaml']) {
    const { uid, gid } = lstatSync(join(home, file));
    expect({ file, uid, gid }).toEqual({ file, uid: CALLER.uid, gid: CALLER.gid });
  }
});

test('the next run makes nothing and finds the server again', async () => {
  const { exit, out, err } = await up();
  expect({ exit, err }).toEqual({ exit: 0, err: '' });
  expect(out).toMatch(new RegExp(`Server hello +\\d+ s {2}answers on ${address}\n`));
  expect(out).not.toContain('Flavors');
  expect(out).not.toContain('warning');
  expect(JSON.parse(readFileSync(join(cloud.directory, 'demo.json'), 'utf8'))).toMatchObject({
    finished: true,
    users: [CALLER.name],
  });
});

test('what a purge would remove is told while the cloud runs', async () => {
  const { exit, out, err } = await runProcess(
    'standalone',
    '--config',
    join(cloud.directory, 'cumulet.yaml'),
    '--list',
  );
  expect({ exit, err }).toEqual({ exit: 0, err: '' });
  expect(out.split('\n')).toEqual(
    expect.arrayContaining([
      'servers (1): hello',
      expect.stringMatching(/^disks: \d+$/),
      expect.stringMatching(/^network namespaces \(2\): cml-dhcp-\S+, cml-router-\S+$/),
      expect.stringMatching(/^network links: \d+$/),
      'DHCP servers: 1',
      expect.stringMatching(/^packet filter chains and sets: \d+$/),
    ]),
  );
});

test('a key that does not open the server is a warning, a server that is silent an error', async () => {
  const privateFile = join(directory, 'other');
  execFileSync('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-f', privateFile]);
  const key = { privateFile, publicKey: readFileSync(`${privateFile}.pub`, 'utf8'), usual: false, made: true };
  const user = { name: 'root', uid: 0, gid: 0, home: directory };
  expect(await sshOpens(address, key, user, 30)).toMatch(
    new RegExp(`^ssh answers on ${address}, but not without you: .*Permission denied.*passphrase`),
  );
  const { servers } = await cloud.call<{ servers: { id: string }[] }>('GET', '/compute/v2.1/servers?all_tenants=1');
  for (const { id } of servers) {
    await cloud.call('POST', `/compute/v2.1/servers/${id}/action`, { pause: null });
    await until(cloud, id, 'PAUSED');
  }
  await expect(pingable(address, 5)).rejects.toThrow(`${address} did not answer ping within 5 s`);
  await expect(sshOpens(address, key, user, 0)).rejects.toThrow(`ssh did not answer on ${address} within 0 s`);
});
