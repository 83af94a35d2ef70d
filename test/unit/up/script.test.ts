// The script's own decisions: which Node.js, whether KVM works, what it says when it cannot go on.
import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';

const root = path.resolve(__dirname, '../../..');
let directory: string;
beforeEach(() => {
  directory = mkdtempSync(path.join(tmpdir(), 'cumulet-script-'));
});
afterEach(() => rmSync(directory, { recursive: true, force: true }));

function fakeNode(where: string, version: string): string {
  const file = path.join(directory, where);
  mkdirSync(path.dirname(file), { recursive: true });
  writeFileSync(file, `#!/bin/sh\necho ${version}\n`, { mode: 0o755 });
  return file;
}

/** Runs a piece of shell with the script's parts loaded; the home directory is ours, the PATH has no node. */
function shell(text: string, env: Readonly<Record<string, string>> = {}) {
  const tools = path.join(directory, 'tools');
  spawnSync('sh', [
    '-c',
    `mkdir -p ${tools}; ln -s /bin/true ${tools}/apt-get; for t in sh tr ls sort getent cut id dirname grep cat awk readlink; do ln -s "$(command -v $t)" ${tools}/; done`,
  ]);
  const prelude = `root=${root}; self=cumulet; for part in node tasks machine packages build cloud; do . ${root}/install/$part.sh; done; home_of() { echo ${directory}; };`;
  const ran = spawnSync('sh', ['-euc', `${prelude} ${text}`], { encoding: 'utf8', env: { PATH: tools, ...env } });
  return { status: ran.status, out: ran.stdout.trim(), err: ran.stderr.trim() };
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
