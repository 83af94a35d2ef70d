// cumulet server ssh with a server that is made or boots: attempts end as they are told, those to connect by the real ssh.
import { execFileSync } from 'node:child_process';
import { chmodSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import { join } from 'node:path';
import { HostError } from '@cumulet/common';
import { servers } from '../../controller/src/db/entities/compute';
import { tasks } from '../../controller/src/db/entities/tasks';
import { startCommandCloud, type CommandCloud } from '../support/commandCloud';
import { freePort } from '../support/freePort';
import type { Run } from '../support/programs';

/** In the place of ssh: an attempt carries out the next of the steps, or the last one again; the login is counted and ends as it is told. */
const STAND_IN = `#!/bin/sh
cd "$HOME"
case "$*" in
*BatchMode=yes*)
  echo "$*" >> tried
  step=$(head -n 1 steps)
  [ "$(wc -l < steps)" = 1 ] || sed -i 1d steps
  eval "$step" ;;
*)
  echo "$*" >> entered
  eval "$ENDING" ;;
esac
`;
const DENIED = 'echo "root@10.0.0.9: Permission denied (publickey)." >&2; exit 255';
const to = (port: number): string => `exec /usr/bin/ssh -F none -o HostName=127.0.0.1 -o Port=${port} "$@"`;
const BOOT = 'server create --image tiny --flavor m1.tiny --network demo --key-name mine';

let all: CommandCloud;
let closed = 0;
const at = (...names: string[]): string => join(all.directory, ...names);
const linesOf = (name: string): string[] => (existsSync(at(name)) ? readFileSync(at(name), 'utf8').split('\n') : []);
const count = (name: string): number => Math.max(0, linesOf(name).length - 1);
const environment = (ending: string): Record<string, string> => ({
  ...{ OS_CLOUD: 'test', ENDING: ending, PATH: `${at('bin')}:${process.env['PATH']}` },
});
const words = (...more: string[]): string[] => ['server', 'ssh', '--fixed', ...more];
const ssh = (steps: readonly string[], more: readonly string[], ending = 'exit 7'): Promise<Run> => {
  writeFileSync(at('steps'), `${steps.join('\n')}\n`);
  return all.spawn(words(...more), environment(ending));
};
/** The same on a terminal. */
const type = (
  steps: readonly string[],
  more: readonly string[],
  answers: readonly [string, string][],
): Promise<Run> => {
  writeFileSync(at('steps'), `${steps.join('\n')}\n`);
  return all.type(words(...more), answers, environment('exit 7'));
};
const idOf = async (name: string): Promise<string> => ((await all.json(`server show ${name}`)) as { id: string }).id;

/** Something on loopback that takes connections, and says something or nothing. */
async function listen(greet: (socket: Socket) => void): Promise<[Server, number]> {
  const listener = createServer((socket) => greet(socket.on('error', () => socket.destroy())));
  await new Promise<void>((ready) => listener.listen(0, '127.0.0.1', ready));
  return [listener, (listener.address() as AddressInfo).port];
}

/** Keeps a server from being made until the function that is returned is called; with an error it is never made. */
function hold(): (error?: Error) => void {
  let go = (_error?: Error): void => undefined;
  const held = new Promise<void>((resolve, reject) => (go = (error) => (error ? reject(error) : resolve())));
  all.host.before = (kind) => (kind === 'server.ensure' ? held : undefined);
  return (error) => {
    // What is asked of the host may come later than that.
    all.host.before = (kind) => (error && kind === 'server.ensure' ? Promise.reject(error) : undefined);
    go(error);
  };
}

/** Resolves when the command waits and has seen again that the server is being made: after it looked whether it has the key. */
async function seen(): Promise<void> {
  const { statements } = all.cloud.test;
  let from = statements.length;
  // Tags are read for who is shown a server, and for nobody else.
  for (const table of ['keypair', 'server_tag'])
    for (let at = -1; at < 0; await new Promise((next) => setTimeout(next, 20))) {
      at = statements.findIndex((sql, index) => index >= from && sql.includes(`FROM "${table}"`));
      if (at >= 0) from = at + 1;
    }
}

beforeAll(async () => {
  all = await startCommandCloud();
  closed = await freePort();
  mkdirSync(at('.ssh'));
  mkdirSync(at('bin'));
  writeFileSync(at('bin/ssh'), STAND_IN);
  chmodSync(at('bin/ssh'), 0o755);
  execFileSync('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-f', at('.ssh/id_mine')]);
  await all.ok(`keypair create --public-key ${at('.ssh/id_mine.pub')} mine`);
  await all.ok('image set --property os_distro=tiny tiny');
  await all.ok(`${BOOT} --wait hello`);
});
beforeEach(() => {
  for (const name of ['tried', 'entered']) rmSync(at(name), { force: true });
});
afterAll(() => all.stop());

test('a server that is made is waited for, then its ssh, then the key; and the command is run once', async () => {
  const [listener, port] = await listen((socket) => socket.end('SSH-2.0-booting\r\n'));
  try {
    const go = hold();
    await all.ok(`${BOOT} late`);
    const building = seen();
    const run = type([to(closed), to(port), DENIED, 'exit 0'], ['late', '--', 'hostname'], []);
    await building;
    go();
    const { exit, out } = await run;
    expect(exit).toBe(7);
    expect(out).toContain('late: BUILD');
    expect(out).toMatch(/late: waiting until ssh answers at 10\.0\.0\.\d+ \(Connection refused\)/);
    expect(out).toMatch(/late: waiting until ssh answers at 10\.0\.0\.\d+ \(.*Connection (closed|reset) by /);
    expect(out).toContain('late: waiting until it lets root in (root@10.0.0.9: Permission denied (publickey).)');
  } finally {
    listener.close();
  }
  expect(count('tried')).toBe(4);
  expect(linesOf('tried').join('\n')).not.toContain('hostname');
  expect(count('entered')).toBe(1);
  expect(linesOf('entered')[0]).toMatch(/ -- 10\.0\.0\.\d+ hostname$/);
});

test('an attempt asks nothing and knows the host keys that are known, but keeps none', async () => {
  await ssh(['/usr/bin/ssh -F none -G "$@" > explained; exit 0'], ['hello']);
  const known = at('.local/state/cumulet/known_hosts', await idOf('hello'));
  const explained = linesOf('explained');
  for (const line of [
    ...['batchmode yes', 'stricthostkeychecking accept-new', `userknownhostsfile /dev/null ${known}`],
    ...['controlmaster false', 'permitlocalcommand no', 'clearallforwardings yes'],
  ])
    expect(explained).toContain(line);
  expect(linesOf('entered')[0]).not.toContain('/dev/null');
});

test('without a terminal the wait is silent', async () => {
  expect(await ssh([to(closed), 'exit 0'], ['hello'])).toEqual({ exit: 7, out: '', err: '' });
});

test('a server that never answers is given up with words when the time is over', async () => {
  const { exit, out, err } = await ssh([to(closed)], ['--wait', '4', 'hello']);
  expect({ exit, out }).toEqual({ exit: 1, out: '' });
  expect(err).toMatch(/server hello did not answer ssh at 10\.0\.0\.\d+ within 4 s \(Connection refused\): /);
  expect(count('entered')).toBe(0);
});

test('one that takes connections and says nothing is given up too', async () => {
  const sockets: Socket[] = [];
  const [listener, port] = await listen((socket) => sockets.push(socket));
  const { exit, err } = await ssh([to(port)], ['--wait', '1', 'hello']);
  expect(exit).toBe(1);
  expect(err).toMatch(/did not answer ssh at 10\.0\.0\.\d+ within 1 s \(no answer\)/);
  for (const socket of sockets) socket.destroy();
  listener.close();
});

test('Ctrl+C ends the wait at once', async () => {
  const { exit, out } = await type([to(closed)], ['hello'], [['waiting until', '\u0003']]);
  expect(exit).not.toBe(0);
  expect(out).toContain('waiting until ssh answers');
  expect(count('entered')).toBe(0);
});

test('--wait 0 asks ssh at once, and does not wait for a server that is made', async () => {
  expect((await ssh([DENIED], ['--wait', '0', 'hello'])).exit).toBe(7);
  expect(count('tried')).toBe(0);
  const go = hold();
  await all.ok(`${BOOT} slow`);
  const { exit, err } = await ssh([DENIED], ['--wait', '0', 'slow']);
  expect({ exit, err }).toEqual({
    exit: 1,
    err: 'cumulet: server slow is BUILD; "cumulet server why slow" tells more\n',
  });
  expect((await ssh([DENIED], ['--wait', '1', 'slow'])).err).toContain('server slow is still BUILD: ');
  go();
  expect(count('entered')).toBe(1);
});

test('a time that is none is refused', async () => {
  expect(await ssh([], ['--wait', 'long', 'hello'])).toMatchObject({ exit: 2 });
  expect(await ssh([], ['--wait=-1', 'hello'])).toMatchObject({
    exit: 2,
    err: 'cumulet: --wait takes seconds, 0 or more\n',
  });
});

test('a server that goes into ERROR while it is waited for says why', async () => {
  const go = hold();
  await all.ok(`${BOOT} broken`);
  const building = seen();
  const run = ssh(['exit 0'], ['broken']);
  await building;
  go(new HostError('broken', 'the machine has no processor', { retryable: false }));
  const { exit, err } = await run;
  expect(exit).toBe(1);
  expect(err).toMatch(/server "broken" went into ERROR: .*the machine has no processor.*cumulet server why broken/);
  expect(count('tried') + count('entered')).toBe(0);
});

test('what is missing for the login is told before a server is waited for', async () => {
  const go = hold();
  await all.ok('server create --image tiny --flavor m1.tiny --network demo bare');
  expect((await ssh(['exit 0'], ['bare'])).err).toContain('server bare was made without a keypair');
  go();
});

describe('a server that was started long ago', () => {
  beforeAll(async () => {
    const id = await idOf('hello');
    await all.cloud.test.cloud.db.write(async (session) => {
      await session.update(servers, { id }, { launched_at: 0 });
      await session.update(tasks, { resource_id: id }, { created_at: 0 });
    });
  });

  test('is not waited for', async () => {
    const { exit, err } = await ssh(['exit 0'], ['hello'], DENIED);
    expect({ exit, err }).toEqual({ exit: 255, err: 'root@10.0.0.9: Permission denied (publickey).\n' });
    expect([count('tried'), count('entered')]).toEqual([0, 1]);
  });

  test('is waited for when that is said, but not for a key that it does not take', async () => {
    const { exit, err } = await ssh([to(closed), DENIED], ['--wait', '60', 'hello'], DENIED);
    expect({ exit, err }).toEqual({ exit: 255, err: 'root@10.0.0.9: Permission denied (publickey).\n' });
    expect([count('tried'), count('entered')]).toEqual([2, 1]);
  });

  test('is waited for again when it was rebooted', async () => {
    await all.ok('server reboot --wait hello');
    expect((await ssh([to(closed), 'exit 0'], ['hello'])).exit).toBe(7);
    expect([count('tried'), count('entered')]).toEqual([2, 1]);
  });
});
