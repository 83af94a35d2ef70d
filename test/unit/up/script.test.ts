// The script's own decisions: which Node.js, whether KVM works, whether the machine is fit, what it says when it cannot go on.
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { scriptShell } from '../../support/scriptShell';

let directory: string;
beforeEach(() => {
  directory = mkdtempSync(path.join(tmpdir(), 'cumulet-script-'));
});
afterEach(() => rmSync(directory, { recursive: true, force: true }));

/** The home directory is ours, and the PATH has no node. */
const shell = (text: string, env: Readonly<Record<string, string>> = {}) =>
  scriptShell(directory, `home_of() { echo ${directory}; }; ${text}`, env);

function fakeNode(where: string, version: string): string {
  const file = path.join(directory, where);
  mkdirSync(path.dirname(file), { recursive: true });
  writeFileSync(file, `#!/bin/sh\necho ${version}\n`, { mode: 0o755 });
  return file;
}

const only = (file: string) => `node_candidates() { ${file}; };`;

test.each([
  '.nvm/versions/node/v22.1.0/bin/node',
  '.local/share/fnm/node-versions/v22.1.0/installation/bin/node',
  '.volta/tools/image/node/22.1.0/bin/node',
  '.asdf/installs/nodejs/22.1.0/bin/node',
])('a Node.js of a version manager is found: ~/%s', (where) => {
  const file = fakeNode(where, 'v22.1.0');
  expect(shell('node_candidates').out.split('\n')).toContain(file);
});

test('the newest of several versions side by side comes first, and what is too old is passed over', () => {
  fakeNode('.nvm/versions/node/v18.20.0/bin/node', 'v18.20.0');
  const newest = fakeNode('.nvm/versions/node/v22.10.0/bin/node', 'v22.10.0');
  fakeNode('.nvm/versions/node/v22.9.0/bin/node', 'v22.9.0');
  const old = fakeNode('bin/node', 'v12.22.0');
  expect(shell('find_node; echo "$node"', { CUMULET_NODE: old }).out).toBe(newest);
});

test('a missing or old Node.js is told in one line with a way to get one', () => {
  const old = fakeNode('bin/node', 'v18.20.4');
  const none = shell(`${only('echo')} find_node`);
  expect(none.status).toBe(1);
  expect(none.err.split('\n')).toHaveLength(1);
  expect(none.err).toMatch(/Node\.js 20 or newer is needed \(found: none\).*https:\/\/nodejs\.org/);
  expect(shell(`${only(`echo ${old}`)} find_node`).err).toContain(`v18.20.4 at ${old}`);
});

test.each([
  ['flags\t\t: fpu vme de pse', 1],
  ['flags\t\t: fpu hypervisor ibpb_exit_to_user', 1],
  ['vmx flags\t: vmx', 1],
])("KVM does not work without the processor's flag: %s", (line, status) => {
  const file = path.join(directory, 'cpuinfo');
  writeFileSync(file, `processor\t: 0\n${line}\n`);
  expect(shell('kvm_works', { CPUINFO: file }).status).toBe(status);
});

test.each([
  ['ID=debian\nVERSION_ID="12"\nPRETTY_NAME="Debian 12"', ''],
  ['ID=ubuntu\nVERSION_ID="22.04"\nPRETTY_NAME="Ubuntu 22.04"', ''],
  ['ID=debian\nVERSION_ID="11"\nPRETTY_NAME="Debian 11"', 'Debian 11 is not supported'],
  ['ID=ubuntu\nVERSION_ID="20.04"\nPRETTY_NAME="Ubuntu 20.04"', 'Ubuntu 20.04 is not supported'],
  ['ID=fedora\nVERSION_ID="40"\nPRETTY_NAME="Fedora 40"', 'Fedora 40 is not supported'],
])('distribution %j', (text, error) => {
  const file = path.join(directory, 'os-release');
  writeFileSync(file, text);
  const result = shell('fail() { echo "$*"; exit 1; }; uname() { echo x86_64; }; check_distribution', {
    OS_RELEASE: file,
  });
  expect(result.out).toContain(error);
  expect(result.status).toBe(error === '' ? 0 : 1);
});

test('commands that need root say how to get it', () => {
  const refused = shell('id() { echo 1000; }; need_root up');
  expect(refused).toMatchObject({ status: 1, out: '' });
  expect(refused.err).toMatch(/^cumulet: "up" .*needs root: sudo cumulet up$/);
  expect(shell('id() { echo 0; }; need_root up')).toEqual({ status: 0, out: '', err: '' });
});

describe('the options of up', () => {
  const options = (words: string) => shell(`up_options ${words}; echo "$up_listen|$up_cert|$up_key"`);

  test('are exported for its tasks, files with their whole path', () => {
    expect(options('--listen 10.0.0.5')).toEqual({ status: 0, out: '10.0.0.5||', err: '' });
    expect(options(`--cert ${directory}/a/../c.pem --key /k.pem`).out).toBe(`|${directory}/c.pem|/k.pem`);
    expect(shell('up_options --listen a; sh -c \'echo "$up_listen"\'').out).toBe('a');
    expect(options('').out).toBe('||');
    const lan = '--floating-range 10.0.0.7-10.0.0.9 --floating-interface eth0';
    expect(shell(`up_options ${lan}; sh -c 'echo "$up_range|$up_interface"'`).out).toBe('10.0.0.7-10.0.0.9|eth0');
  });

  test.each([
    ['--lisen 10.0.0.5', 'up does not know --lisen'],
    ['--listen', '--listen needs a value'],
    ["--cert ''", '--cert needs a value'],
    ['now', 'up does not know now'],
  ])('that are wrong are told: %s', (words, told) => {
    expect(options(words)).toMatchObject({ status: 2, out: '', err: expect.stringContaining(told) });
  });

  test('are explained with an example', () => {
    expect(options('--help')).toMatchObject({
      status: 0,
      out: expect.stringMatching(/example: sudo cumulet up --listen/),
    });
  });
});

const FAIL = 'fail() { echo "$*"; exit 1; };';
const free = (mebibytes: number) => `df() { printf 'head\\nfs 9 9 ${mebibytes} 9%% /\\n'; };`;

test.each([
  [2999, 1, /^only 2999 MiB are free in .*, and 3000 MiB are needed/],
  [3000, 0, /^$/],
])('room for a first up with %i MiB free', (mebibytes, status, words) => {
  const later = path.join(directory, 'not/yet/there');
  const result = shell(`${FAIL} ${free(mebibytes)} check_disk ${later}`);
  expect(result).toMatchObject({ status, out: expect.stringMatching(words) });
  // The filesystem that it will be on.
  if (status !== 0) expect(result.out).toContain(`free in ${directory},`);
});

/** The rest of task_machine, on a machine that is fit. */
const FIT = 'check_distribution() { name=Debian; }; kvm_works() { :; }; detail() { :; }; check_port() { echo port; };';

test.each([
  ['a first up', 'yes', false, /^only 10 MiB are free/],
  ['an up with its cloud there', 'yes', true, /^port$/],
  ['down and test', '', false, /^$/],
])('what is asked of the machine by %s on a full disk', (_, startsCloud, there, words) => {
  if (there) mkdirSync(path.join(directory, 'data'));
  const result = shell(`${FAIL} ${free(10)} ${FIT} task_machine`, { starts_cloud: startsCloud });
  expect(result).toMatchObject({ out: expect.stringMatching(words), err: '' });
});

test.each([
  ['LISTEN 0 511 127.0.0.1:5000 0.0.0.0:* users:(("nginx",pid=77,fd=3))', 'nginx (process 77)'],
  ['', 'another program'],
])('a port that is taken is told with who has it: %j', async (line, holder) => {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const check = `${FAIL} node=${process.execPath}; API_PORT=${port}; ss() { echo '${line}'; }; check_port`;
  try {
    expect(shell(check)).toMatchObject({ status: 1, out: expect.stringContaining(`in use by ${holder},`) });
    // Our own cloud may have it.
    expect(shell(`cloud_pid() { echo 1; }; ${check}`)).toMatchObject({ status: 0, out: '' });
  } finally {
    server.close();
    await once(server, 'close');
  }
  expect(shell(check)).toEqual({ status: 0, out: '', err: '' });
});
