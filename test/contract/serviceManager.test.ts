// What systemd hears of a process that `systemd/notify-exec` became: a socket of the same kind stands in for systemd's.
import { spawn, type ChildProcess } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createServiceManager, silentLogger, type Logger } from '@cumulet/common';
import { root } from '../support/checkout';
import { childCoverage } from '../support/childCoverage';

/** Node.js can't open such a socket; Perl, which notify-exec is written in, prints what comes. */
const RECEIVER = `use Socket; $| = 1; socket(S, AF_UNIX, SOCK_DGRAM, 0); bind(S, pack_sockaddr_un($ARGV[0]));
print "bound\\n"; while (defined(recv(S, my $m, 4096, 0))) { print "$m\\n" }`;
/** A process that says all it can and then shows which files its own children inherit. */
const SPEAKER = `const { createServiceManager, silentLogger } = require('@cumulet/common');
const manager = createServiceManager(process.env, silentLogger);
manager.ready();
setTimeout(() => {
  manager.stopping();
  const { stdout } = require('node:child_process').spawnSync('ls', ['-l', '/proc/self/fd'], { encoding: 'utf8' });
  console.log(JSON.stringify({ pid: process.pid, sockets: (stdout.match(/socket:/g) ?? []).length }));
}, 500);`;

let directory: string;
const children: ChildProcess[] = [];
beforeEach(() => (directory = mkdtempSync(join(tmpdir(), 'cumulet-notify-'))));
afterEach(() => {
  for (const child of children.splice(0)) child.kill('SIGKILL');
  rmSync(directory, { recursive: true });
});

function start(
  command: string,
  args: readonly string[],
  env: NodeJS.ProcessEnv = {},
): { child: ChildProcess; text: () => string } {
  let text = '';
  const child = spawn(command, args, {
    cwd: join(root, 'test'),
    env: { ...process.env, ...childCoverage(), ...env },
    stdio: 'pipe',
  });
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (part) => (text += String(part)));
  children.push(child);
  return { child, text: () => text };
}

test('ready, alive twice in each interval, stopping; in the same process, and no child gets the socket', async () => {
  const socket = join(directory, 'notify');
  const receiver = start('perl', ['-e', RECEIVER, socket]);
  while (!receiver.text().includes('bound')) await new Promise((next) => setTimeout(next, 20));
  const script = join(directory, 'speaker.js');
  writeFileSync(script, SPEAKER.replace('@cumulet/common', join(root, 'common/dist/index.js')));
  const speaker = start(join(root, 'systemd/notify-exec'), [process.execPath, script], {
    NOTIFY_SOCKET: socket,
    WATCHDOG_USEC: '200000',
  });
  await new Promise((done) => speaker.child.once('close', done));
  while (!receiver.text().includes('STOPPING')) await new Promise((next) => setTimeout(next, 20));
  const heard = receiver.text().trim().split('\n').slice(1);
  expect([heard[0], heard.at(-1)]).toEqual(['READY=1', 'STOPPING=1']);
  expect(heard.filter((line) => line === 'WATCHDOG=1').length).toBeGreaterThan(0);
  const { pid, sockets } = JSON.parse(speaker.text()) as { pid: number; sockets: number };
  expect(pid).toBe(speaker.child.pid);
  // Its standard streams are pipes here: sockets made by the parent process.
  expect(sockets).toBeLessThanOrEqual(3);
});

test('without a service manager the command runs all the same', async () => {
  const environment = { NOTIFY_SOCKET: undefined };
  const speaker = start(join(root, 'systemd/notify-exec'), ['echo', 'here'], environment);
  expect(await new Promise((done) => speaker.child.once('close', done))).toBe(0);
  expect(speaker.text()).toBe('here\n');
});

test('the id of the process is written where it is looked for', async () => {
  const environment = { NOTIFY_SOCKET: undefined, CUMULET_PID_FILE: join(directory, 'pid') };
  const speaker = start(join(root, 'systemd/notify-exec'), ['echo', 'here'], environment);
  expect(await new Promise((done) => speaker.child.once('close', done))).toBe(0);
  expect(readFileSync(join(directory, 'pid'), 'utf8')).toBe(`${speaker.child.pid}\n`);
});

describe('a process that can not speak to it goes on', () => {
  const heard: unknown[][] = [];
  const log = Object.assign(Object.create(silentLogger) as Logger, {
    warn: (...words: unknown[]) => void heard.push(words),
  });
  beforeEach(() => void heard.splice(0));

  test('when the descriptor is closed: it is said once', () => {
    const manager = createServiceManager({ CUMULET_NOTIFY_FD: '1000000' }, log);
    manager.ready();
    manager.stopping();
    expect(heard).toEqual([[{ error: expect.stringContaining('EBADF') as string }, 'systemd could not be told']]);
  });

  test.each([{}, { CUMULET_NOTIFY_FD: 'x' }, { CUMULET_NOTIFY_FD: '1' }])('when there is none: %j', (environment) => {
    const manager = createServiceManager(environment, log);
    manager.ready();
    manager.stopping();
    expect(heard).toEqual([]);
  });
});
