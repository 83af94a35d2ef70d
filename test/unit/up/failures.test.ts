// What `up` says when it cannot go on, and what holds a run back that another one is in the way of.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { scriptShell } from '../../support/scriptShell';

let directory: string;
beforeEach(() => {
  directory = mkdtempSync(path.join(tmpdir(), 'cumulet-failures-'));
  for (const name of ['log', 'state', 'programs', 'checkout']) mkdirSync(path.join(directory, name));
  // An earlier run had another cause.
  writeFileSync(at('log/install.log'), 'W: Failed to fetch http://old\nE: an older cause\nnpm error Error: older\n');
});
afterEach(() => rmSync(directory, { recursive: true, force: true }));

const at = (name: string): string => path.join(directory, name);
const program = (name: string, body: string) =>
  writeFileSync(at(`programs/${name}`), `#!/bin/sh\n${body}\n`, { mode: 0o755 });

/** In a task, whose output is the log; what it fails with is told. */
const task = (text: string) =>
  scriptShell(
    directory,
    `task=one node=$own/programs/node PATH=$own/programs:$PATH; fail() { echo "fail: $*" >&3; exit 1; }; as_builder() { "$@"; };
    exec 3>&1 >> "$log_dir/install.log" 2>&1; ${text}`,
  );

describe('apt that fails', () => {
  beforeEach(() => program('dpkg-query', ''));
  const install = () => task('apt_lists_known() { return 1; }; install_packages make').out;
  const apt = (update: string, rest: string) =>
    program('apt-get', `case "$*" in *update*) ${update} ;; *) ${rest}; exit 100 ;; esac`);

  test('without network is told by the list that could not be fetched', () => {
    apt(
      'echo "W: Failed to fetch http://deb.example/InRelease  Temporary failure resolving"; echo "W: Some failed"',
      'echo "E: Unable to locate package make"; echo "E: it has no candidate"',
    );
    expect(install()).toBe(
      'fail: apt could not install make: package lists could not be fetched (network?): http://deb.example/InRelease  Temporary failure resolving; Unable to locate package make',
    );
  });

  test('is told by its first complaint, as the others follow from it', () => {
    apt(':', 'echo "E: Could not get lock /var/lib/dpkg/lock"; echo "E: Unable to acquire it"');
    expect(install()).toBe('fail: apt could not install make: Could not get lock /var/lib/dpkg/lock');
  });

  test('at its lists already is told too', () => {
    apt('echo "E: The list of sources could not be read."; exit 100', ':');
    expect(install()).toMatch(/^fail: apt-get update failed .*: The list of sources could not be read\.$/);
  });
});

describe('npm that fails', () => {
  const modules = (says: string, parts = '') => {
    program('npm', `${says}`);
    return task(`after() { :; }; own_output() { :; }; modules_ready() { return 1; }; ${parts} task_modules`).out;
  };

  test.each([
    [
      ['code ECONNREFUSED', 'errno ECONNREFUSED', 'FetchError: request to http://r failed, reason: connect', 'at x'],
      'FetchError: request to http://r failed, reason: connect',
    ],
    [['code E404', '404 Not Found - GET http://r/x', 'A complete log of this run'], '404 Not Found - GET http://r/x'],
    [
      ['code 1', 'path /x', 'command failed', 'gyp info it worked', 'x.cpp:1: fatal error: y.h: no'],
      /fatal error: y\.h/,
    ],
  ])('is told by the cause among its complaints %#', (lines, cause) => {
    const said = lines.map((line) => `echo "npm error ${line}"`).join('; ');
    const [, told = ''] = /^fail: npm ci failed: (.*)$/.exec(modules(`${said}; exit 1`)) ?? [];
    expect(told).toMatch(cause);
  });

  test('to say that the disk was full is found out, and its modules are not taken for whole', () => {
    const lock = 'checkout/node_modules/.package-lock.json';
    mkdirSync(path.dirname(at(lock)));
    writeFileSync(at(lock), '{}');
    const root = 'root=$own/checkout;';
    const df = (free: number) => `df() { echo head; echo fs 9 9 ${free} 9% /; };`;
    expect(modules('', `${root} ${df(20)}`)).toBe('');
    expect(existsSync(at(lock))).toBe(true);
    expect(modules('', `${root} ${df(19)}`)).toMatch(/^fail: npm ci filled the disk of .*checkout: make room there/);
    expect(existsSync(at(lock))).toBe(false);
  });

  test('to be there is told with where to get it', () => {
    expect(task('npm_path() { return 1; }; find_npm').out).toMatch(/^fail: npm is not there beside .*: install it/);
  });
});

test.each([
  [
    'echo "a.ts(1,2): error TS1: no such thing"; echo "b.ts(1,2): error TS2: more"',
    'a.ts(1,2): error TS1: no such thing',
  ],
  ['echo odd', /^see .*install\.log$/],
])('a build that fails is told by its first error: %s', (says, cause) => {
  program('node', `${says}; exit 1`);
  const [, told = ''] =
    /^fail: the build failed: (.*)$/.exec(task('after() { :; }; build_targets=x; task_build').out) ?? [];
  expect(told).toMatch(cause);
});

describe('a cloud that runs, and one that would take its place', () => {
  const check = (pid: string, checks: string) => {
    program('node', checks);
    return task(`cloud_pid() { ${pid}; }; check_successor; echo "goes on" >&3`).out;
  };

  test('is left alone when the other one can not run', () => {
    const refuses = 'echo "cumulet-standalone: the database is of a newer version" >&2; exit 1';
    expect(check('echo 7', refuses)).toBe(
      'fail: the cloud was not started anew and runs as before: the database is of a newer version',
    );
    expect(check('return 1', refuses)).toBe('goes on');
  });

  test('gives way to one that can', () => {
    expect(check('echo 7', `[ "$2 $4" = "--config --check-config" ]`)).toBe('goes on');
  });
});

describe('a second run', () => {
  /** Another process has the lock until a second after it was missed, and the file says that this one has. */
  async function locked(holder: number) {
    const hold = `echo up ${holder} > ${at('lock')}; echo; until [ -e ${at('missed')} ]; do sleep 0.1; done; sleep 1`;
    const other = spawn('flock', [at('lock'), 'sh', '-c', hold]);
    await once(other.stdout, 'data');
    const ended = once(other, 'exit');
    return {
      ended,
      second: scriptShell(
        directory,
        `exec 9>> "$lock_file"; flock -n 9 || { : > ${at('missed')}; wait_for_lock; }; echo goes on`,
      ),
    };
  }

  test('is refused with the process that is in the way', async () => {
    const { second, ended } = await locked(process.pid);
    await ended;
    expect(second).toEqual({
      status: 1,
      out: '',
      err: `cumulet: "up" runs on this machine already (process ${process.pid}): wait for it`,
    });
  });

  test('waits for what a killed one had begun, and goes on', async () => {
    const { second, ended } = await locked(999_999_999);
    await ended;
    expect(second).toMatchObject({ status: 0, err: '' });
    expect(second.out).toBe('Waiting for what an earlier "up" had begun when it was killed\ngoes on');
  });

  test('gives up on what does not end, and says how to find it', () => {
    const words = 'flock() { return 1; }; : > "$lock_file"; wait_for_lock; echo goes on';
    expect(scriptShell(directory, words)).toMatchObject({ status: 1, err: expect.stringMatching(/fuser -v .*lock/) });
  });
});

describe('a task that waits for others', () => {
  const after = (parent: number, parts = '') =>
    scriptShell(
      directory,
      `task=two parent=${parent}; date +%s > "$state/two.start"; ${parts} after one; echo goes on`,
    );

  test('goes on when they are done', () => {
    expect(after(process.pid, 'echo 0 > "$state/one.code";')).toMatchObject({ status: 0, out: 'goes on' });
  });

  test.each([
    ['one of them failed', 'echo 1 > "$state/one.code";'],
    ['another one has failed', ': > "$state/failed";'],
  ])('ends when %s', (_, parts) => {
    expect(after(process.pid, parts)).toMatchObject({ status: 1, out: '' });
  });

  test.each([
    ['they run', ''],
    ['they are done', 'echo 0 > "$state/one.code";'],
  ])('ends when up was killed while %s', (_, parts) => {
    expect(after(999_999_999, parts)).toMatchObject({ status: 1, out: '' });
  });
});

test('a failure ends with what to do next', () => {
  const told = scriptShell(directory, 'echo "the disk is full" > "$state/one.error"; give_up One');
  expect(told).toMatchObject({ status: 1, out: '' });
  expect(told.err).toBe('cumulet: the disk is full\ncumulet: when that is mended, run it again: it goes on from here');
});

test('a task that ended without a reason is told by the last lines of the log', () => {
  const told = scriptShell(directory, 'give_up One');
  expect(told.err).toMatch(/^cumulet: One ended unexpectedly; .*install\.log:\nW: Failed[^]*npm error Error: older\n/);
});
