// cumulet logs: files as the processes write them, a cloud with a simulated host that knows the servers.
import { spawn, type ChildProcess } from 'node:child_process';
import { appendFileSync, chmodSync, mkdirSync, mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { follower, readLogs } from '../../cli/src/nouns/logs';
import { asUser } from '../../cli/src/up/callingUser';
import { rotateLog } from '../../common/src/logFile';
import { root } from '../support/checkout';
import { startCommandCloud, type CommandCloud } from '../support/commandCloud';
import { childCoverage } from '../support/childCoverage';
import { ADMIN_PASSWORD } from '../support/identity';

let all: CommandCloud;
let directory: string;
let file: string;
const following: ChildProcess[] = [];

beforeAll(async () => (all = await startCommandCloud()));
afterAll(() => all.stop());
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'cumulet-logs-'));
  chmodSync(directory, 0o755);
  file = join(directory, 'cumulet.log');
});
afterEach(() => {
  for (const child of following.splice(0)) child.kill('SIGKILL');
  rmSync(directory, { recursive: true });
});

const line = (msg: string, fields: object = {}): string =>
  `${JSON.stringify({ level: 30, time: 'T', component: 'c', ...fields, msg })}\n`;
const logs = (options = ''): Promise<string> => all.ok(`logs --directory ${directory} ${options}`);
/** The messages of what is shown. */
const messages = async (options = ''): Promise<string[]> =>
  (await logs(options))
    .split('\n')
    .filter(Boolean)
    .map((each) => each.split(' ')[4] ?? '');

test('older parts come first, and a number of lines is counted from the end', async () => {
  writeFileSync(`${file}.2`, line('one'));
  writeFileSync(`${file}.1`, line('two') + line('three'));
  writeFileSync(file, `${line('four')}${line('five')}{"level":30,"half`);
  expect(await messages()).toEqual(['one', 'two', 'three', 'four', 'five']);
  expect(await messages('--lines 2')).toEqual(['four', 'five']);
  expect(await messages('--lines 0')).toEqual([]);
  expect(await logs('--lines 1')).toBe('T info  c five');
});

test('no cloud is asked unless a server is named', async () => {
  writeFileSync(file, line('one'));
  const run = await all.run(`logs --directory ${directory}`, {});
  expect(run).toEqual({ exit: 0, out: 'T info  c one', err: '' });
});

test('of one request, or of a server and the requests that were about it', async () => {
  const made = await all.json('server create --image tiny --flavor m1.tiny --network demo --wait logged');
  const [step] = await all.json('server why logged');
  writeFileSync(
    file,
    line('asked', { request_id: step['Request ID'] }) +
      line('planned', { server: made.id }) +
      line('removed', { resource: made.id, request_id: 'req-9' }) +
      line('answered', { request_id: 'req-9' }) +
      line('other', { request_id: 'req-8', server: 'another' }),
  );
  expect(await messages('--request req-9')).toEqual(['removed', 'answered']);
  expect(await messages('--server logged')).toEqual(['asked', 'planned', 'removed', 'answered']);
  expect(await messages('--server logged --request req-9')).toEqual(['removed', 'answered']);
  await all.ok('server delete --wait logged');
  expect(await messages(`--server ${made.id}`)).toEqual(['planned', 'removed', 'answered']);
});

test("another project's server is found by administrators, and one's own by members", async () => {
  const demo = { OS_CLOUD: 'demo' };
  const made = await all.run('server create --image tiny --flavor m1.tiny --network none --wait -f json theirs', demo);
  const { id } = JSON.parse(made.out) as { id: string };
  writeFileSync(file, line('planned', { server: id }) + line('other'));
  expect(await messages('--server theirs')).toEqual(['planned']);
  const asked = `logs --directory ${directory} --server theirs`;
  expect(await all.run(asked, demo)).toEqual({ exit: 0, out: `T info  c planned server=${id}`, err: '' });
});

test('servers are found as the administrator of this machine where no cloud is named', async () => {
  await all.ok('server create --image tiny --flavor m1.tiny --network demo --wait mine');
  const { id } = await all.json('server show mine');
  writeFileSync(file, line('planned', { server: id }) + line('other'));
  const config = join(directory, 'etc');
  mkdirSync(config);
  writeFileSync(join(config, 'bootstrap.json'), JSON.stringify({ admin_password: ADMIN_PASSWORD }));
  writeFileSync(join(config, 'cumulet.yaml'), `data_dir: /nowhere\nlisten: ${new URL(all.cloud.test.url).host}\n`);
  const asked = `logs --directory ${directory} --config ${config} --server mine`;
  expect(await all.run(asked, {})).toEqual({ exit: 0, out: `T info  c planned server=${id}`, err: '' });
  rmSync(join(config, 'bootstrap.json'));
  expect(await all.run(asked, {})).toEqual({
    exit: 1,
    out: '',
    err: expect.stringMatching(/bootstrap\.json tells no password .*: run it with sudo, or name a cloud/),
  });
  await all.ok('server delete --wait mine');
});

describe('ends with 1 in words', () => {
  test('when there are no logs', async () => {
    expect(await all.fails(1, `logs --directory ${directory}`)).toContain(`there is no log in ${directory}: the cloud`);
  });

  test('when a server is not known', async () => {
    writeFileSync(file, line('one'));
    expect(await all.fails(1, `logs --directory ${directory} --server nobody`)).toContain(
      'no server is called "nobody"',
    );
    expect(await all.fails(2, `logs --directory ${directory} --lines many`)).toContain('takes a whole number');
  });

  test('when it is no file', async () => {
    mkdirSync(file);
    expect(await all.fails(1, `logs --directory ${directory}`)).toMatch(/could not be read: EISDIR/);
  });

  test('when they are not for this user', async () => {
    writeFileSync(file, line('one'), { mode: 0o000 });
    // It reads before it waits for anything.
    const nobody = { name: 'nobody', uid: 65534, gid: 65534, home: directory };
    const ended = asUser(nobody, () => all.run(`logs --directory ${directory}`, {}));
    const err = `the logs in ${directory} are for administrators of this machine: run it with sudo`;
    expect(await ended).toEqual({ exit: 1, out: '', err });
  });
});

test('-f goes on with what is written, across a log that moves on, and never shows half a line', async () => {
  writeFileSync(file, line('one'));
  const args = [join(root, 'cli/dist/main.js'), 'logs', '-f', '--directory', directory, '--request', 'req-1'];
  appendFileSync(file, line('two', { request_id: 'req-1' }));
  const child = spawn(process.execPath, args, { env: { ...process.env, ...childCoverage() } });
  following.push(child);
  let out = '';
  child.stdout.on('data', (part) => (out += String(part)));
  const until = async (words: string): Promise<void> => {
    while (!out.includes(words)) await new Promise((next) => setTimeout(next, 20));
  };
  await until('two');
  const next = line('three', { request_id: 'req-1' });
  appendFileSync(file, next.slice(0, 20));
  appendFileSync(file, next.slice(20) + line('four'));
  await until('three');
  appendFileSync(file, line('five', { request_id: 'req-1' }));
  rotateLog(file, 1);
  appendFileSync(file, line('six', { request_id: 'req-1' }));
  await until('six');
  // Somebody else's way to move a log.
  renameSync(`${file}.1`, `${file}.old`);
  writeFileSync(file, '');
  appendFileSync(file, line('7', { request_id: 'req-1' }));
  await until('c 7');
  child.kill('SIGTERM');
  const shown = out
    .split('\n')
    .filter(Boolean)
    .map((each) => each.split(' ')[4]);
  expect(shown).toEqual(['two', 'three', 'five', 'six', '7']);
});

test('every command of the logs was seen to succeed', () => expect(all.untried('logs')).toEqual([]));

test('who follows gets each line once and whole, also the last ones of a log that moved on', () => {
  writeFileSync(file, 'one\nha');
  const { text, end } = readLogs(directory);
  expect({ text, end }).toEqual({ text: 'one\n', end: 4 });
  const more = follower(directory, end);
  expect(more()).toBe('');
  appendFileSync(file, 'lf\ntwo\n');
  expect(more()).toBe('half\ntwo\n');
  appendFileSync(file, 'three\n');
  renameSync(file, `${file}.1`);
  writeFileSync(file, 'four\n');
  expect(more()).toBe('three\nfour\n');
  // One that an administrator emptied has no older part.
  rmSync(`${file}.1`);
  writeFileSync(file, '5\n');
  expect(more()).toBe('5\n');
});
