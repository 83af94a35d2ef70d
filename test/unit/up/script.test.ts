// The script's own decisions: which Node.js, who may run it, what its options are.
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
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
