// The commands for consoles: addresses, the console on a terminal, and a log that is followed.
import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { newIn } from '../../cli/src/nouns/console';
import { startCommandCloud, type CommandCloud } from '../support/commandCloud';

const CONSOLE = ['server', 'console', 'hello'];

let all: CommandCloud;
let id = '';
beforeAll(async () => {
  all = await startCommandCloud();
  await all.ok('server create --image tiny --flavor m1.tiny --network demo --wait hello');
  ({ id } = await all.json('server show hello'));
});
afterAll(() => all.stop());

test('an address is that of the screen unless the serial port is asked for', async () => {
  expect(await all.json('console url show hello')).toMatchObject({ protocol: 'vnc', type: 'novnc' });
  expect(await all.json('console url show --novnc hello')).toMatchObject({ protocol: 'vnc', type: 'novnc' });
  const { url, ...rest } = await all.json('console url show --serial hello');
  expect(rest).toEqual({ protocol: 'serial', type: 'serial' });
  expect(url).toMatch(/\/console\/serial\?token=[\w-]{43}$/);
  expect(await all.fails(2, 'console url show --novnc --serial hello')).toBe('--novnc and --serial exclude each other');
  expect(await all.fails(1, 'console url show nobody')).toBe('no server is called "nobody"');
});

test('what is typed goes to the guest, and Ctrl+] leaves', async () => {
  const { exit, out } = await all.type(CONSOLE, [
    [`serial of ${id}`, 'who is there'],
    ['who is there', '\u001d'],
  ]);
  expect(out).toContain('Console of hello. Ctrl+] leaves it.');
  expect(out.match(/who is there/g)).toHaveLength(1);
  expect(exit).toBe(0);
});

test('a console that is refused, or has no terminal, says why', async () => {
  expect(await all.spawn(CONSOLE)).toMatchObject({
    exit: 2,
    out: '',
    err: expect.stringMatching(/needs a terminal/) as string,
  });
  all.host.domains.set(id, 'shutdown');
  const refused = await all.type(CONSOLE);
  all.host.domains.set(id, 'running');
  expect(refused.exit).toBe(1);
  expect(refused.out).toMatch(/can't be opened now: the server is not running/);
});

test('a log that is followed shows what comes, once', async () => {
  let log = 'one\n';
  const { api } = all.host;
  jest.spyOn(api, 'consoleLog').mockImplementation(() => Promise.resolve(Buffer.from(log)));
  const env = { ...process.env, OS_CLIENT_CONFIG_FILE: join(all.directory, 'clouds.yaml'), OS_CLOUD: 'test' };
  const main = join(__dirname, '../../cli/dist/main.js');
  const child = spawn(process.execPath, [main, 'console', 'log', 'show', '--follow', 'hello'], { env });
  let out = '';
  const seen = (text: string): Promise<void> =>
    new Promise((done) => {
      child.stdout.on('data', () => out === text && done());
      if (out === text) done();
    });
  child.stdout.on('data', (chunk: Buffer) => (out += chunk.toString()));
  await seen('one\n');
  log = 'one\ntwo\n';
  await seen('one\ntwo\n');
  log = 'one\ntwo\nthree\n';
  await seen('one\ntwo\nthree\n');
  const ended = new Promise((done) => child.once('exit', done));
  child.kill();
  await ended;
  jest.restoreAllMocks();
});

test.each([
  ['nothing new', 'a\nb\n', 'a\nb\n', ''],
  ['more', 'a\nb\nc\n', 'a\nb\n', 'c\n'],
  ['what began anew', 'x\n', 'a\nb\n', 'x\n'],
  ['a first look', 'x\n', '', ''],
])('of a log, %s is found', (_what, log, shown, more) => {
  expect(newIn(log, shown)).toBe(more);
});

test('every command was seen to succeed', async () => {
  expect(await all.ok('console log show hello')).toBe('simulated');
  expect(all.untried('console')).toEqual([]);
});
