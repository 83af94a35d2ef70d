// What the script's functions leave behind: a failed first start, `down`, `down --purge`, and files that root wrote.
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  rmSync,
  statSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { scriptShell } from '../../support/scriptShell';

let directory: string;
let child: ChildProcess | undefined;
beforeEach(() => {
  directory = mkdtempSync(path.join(tmpdir(), 'cumulet-script-'));
  for (const name of ['log', 'state']) mkdirSync(path.join(directory, name));
});
afterEach(() => {
  child?.kill('SIGKILL');
  child = undefined;
  rmSync(directory, { recursive: true, force: true });
});

const shell = (text: string, env: Readonly<Record<string, string>> = {}) => scriptShell(directory, text, env);
const at = (...names: string[]): string => path.join(directory, ...names);
/** Writes a file in the test's directory, and the directories above it. */
function put(name: string, text = '', mode = 0o644): string {
  mkdirSync(path.dirname(at(name)), { recursive: true });
  writeFileSync(at(name), text, { mode });
  return at(name);
}

/** A process that looks like the cloud's, or a daemon; ends when it is asked to. */
async function standIn(pidFile = 'run/cumulet.pid'): Promise<ChildProcess> {
  const script = "trap 'echo asked; exit' TERM; echo up; while :; do sleep 0.05; done";
  child = spawn('sh', ['-c', script, 'standalone/dist/main.js'], { stdio: ['ignore', 'pipe', 'ignore'] });
  if (child.stdout) await once(child.stdout, 'data');
  put(pidFile, `${child.pid}\n`);
  return child;
}

describe('the settings of a run', () => {
  /** A cloud that checks its configuration like this. */
  const take = (checks: string) => {
    const node = put('node', `#!/bin/sh\n${checks}\n`, 0o755);
    put('etc/cumulet.yaml', 'old\n');
    put('etc/cumulet.yaml.draft', 'new\n');
    put('data/cumulet.db', '');
    put('state/warnings', '');
    return shell(`node=${node}; fail() { echo "$*"; exit 1; }; before=; take_settings`);
  };
  const configuration = (): string => readFileSync(at('etc/cumulet.yaml'), 'utf8');

  test('become the configuration when the cloud can run with them, and what is odd about them is a warning', () => {
    expect(take('echo "$3 is right"; echo "it expires soon"')).toEqual({ status: 0, out: '', err: '' });
    expect(configuration()).toBe('new\n');
    expect(readFileSync(at('state/warnings'), 'utf8')).toBe('it expires soon\n');
  });

  test('that are wrong are told in words, and the configuration stays', () => {
    const refuses = `echo "cumulet-standalone: $3: remote_api.address: no" >&2; exit 1`;
    expect(take(refuses)).toMatchObject({ status: 1, out: 'remote_api.address: no' });
    expect(configuration()).toBe('old\n');
    expect(readdirSync(at('etc'))).toEqual(['cumulet.yaml']);
  });

  test('are none in most runs', () => {
    put('etc/cumulet.yaml', 'old\n');
    expect(shell('take_settings').status).toBe(0);
    expect(configuration()).toBe('old\n');
  });

  test('a configuration younger than the process makes it start anew', () => {
    put('etc/cumulet.yaml', '');
    put('run/cumulet.pid', '');
    const outdated = () => shell('root=$own; outdated').status;
    expect(outdated()).toBe(1);
    utimesSync(at('run/cumulet.pid'), new Date(0), new Date(0));
    expect(outdated()).toBe(0);
  });
});

describe('a failed start', () => {
  /** Node.js as far as the start needs it: writes the configuration that is missing, as `configure` does. */
  const configures = `#!/bin/sh\n[ "$2" = configure ] || exit 9
mkdir -p "$4" && for f in bootstrap.json cumulet.yaml; do [ -e "$4/$f" ] || echo made > "$4/$f"; done\n`;
  const start = (parts = '', configure = configures) => {
    put('log/cumulet.log', 'cumulet-standalone: listen: no such key\n');
    const node = put('node', configure, 0o755);
    const fails = 'after() { :; }; start_process() { echo 0 > "$run_dir/cumulet.pid"; }; wait_ready() { return 2; };';
    return shell(`node=${node}; ${fails} ${parts} fail() { echo "$*"; exit 1; }; task=cloud; task_cloud`);
  };
  const LIBVIRT_STARTS = 'start_libvirt() { mkdir -p "$run_dir"; : > "$run_dir/started_libvirt";';
  const MARK = '# cumulet: control groups are read-only in this container';
  const WORDS = `the cloud did not start .*: cumulet-standalone: listen: no such key$`;

  test('for the first time leaves nothing', () => {
    expect(start()).toMatchObject({ status: 1, out: expect.stringMatching(WORDS) });
    expect(['data', 'etc', 'run'].filter((name) => existsSync(at(name)))).toEqual([]);
  });

  test('for the first time ends the libvirtd that it started, and gives the machine its settings back', async () => {
    const libvirtd = await standIn('pids/libvirtd.pid');
    const ended = once(libvirtd, 'exit');
    put('kvm', '', 0o660);
    put('qemu.conf', `user = "root"\n${MARK}\ncgroup_controllers = [ ]\n`);
    const { out } = start(`${LIBVIRT_STARTS} : > "$run_dir/opened_kvm"; };`);
    await ended;
    expect(out).toMatch(new RegExp(`^chown root:root ${at('kvm')}\nqemu.conf changed\n${WORDS}`));
    expect(statSync(at('kvm')).mode & 0o777).toBe(0o600);
    expect(readFileSync(at('qemu.conf'), 'utf8')).toBe('user = "root"\n');
    expect(existsSync(at('run'))).toBe(false);
  });

  test('for the first time leaves the libvirtd and the settings alone that were there before', () => {
    put('pids/libvirtd.pid', '999999999\n');
    put('kvm', '', 0o640);
    const { out } = start('start_libvirt() { :; }; kill() { echo "kill $*"; };');
    expect(out).toMatch(new RegExp(`^${WORDS}`));
    expect(statSync(at('kvm')).mode & 0o777).toBe(0o640);
  });

  test("for the first time leaves an administrator's own configuration as it was", () => {
    const file = put('etc/cumulet.yaml', 'lisen: 127.0.0.1:5000\n');
    const note = put('etc/notes', 'mine');
    expect(start()).toMatchObject({ status: 1, out: expect.stringMatching(WORDS) });
    expect(readFileSync(file, 'utf8')).toBe('lisen: 127.0.0.1:5000\n');
    expect(existsSync(note)).toBe(true);
    expect(['data', 'run'].filter((name) => existsSync(at(name)))).toEqual([]);
  });

  test('for the first time takes back the file that it wrote beside others', () => {
    put('etc/bootstrap.json', 'mine');
    expect(start().status).toBe(1);
    expect(readdirSync(at('etc'))).toEqual(['bootstrap.json']);
  });

  test('of a cloud that has data keeps everything', () => {
    put('data/cumulet.db', 'precious');
    const { out } = start();
    expect(out).toMatch(new RegExp(`^${WORDS}`));
    expect(readFileSync(at('data/cumulet.db'), 'utf8')).toBe('precious');
    expect(readdirSync(at('etc')).sort()).toEqual(['bootstrap.json', 'cumulet.yaml']);
    expect(existsSync(at('run/started_libvirt'))).toBe(true);
  });

  test('for want of a configuration leaves nothing either', () => {
    const { out } = start('', '#!/bin/sh\necho "cumulet: every network is taken" >&2\nexit 1\n');
    expect(out).toBe('no configuration could be written: every network is taken');
    expect(['data', 'etc', 'run'].filter((name) => existsSync(at(name)))).toEqual([]);
  });
});

describe('down', () => {
  const down = () => shell('begin() { :; }; run_down');

  test('asks the cloud to end and waits for that', async () => {
    const cloud = await standIn();
    const asked = cloud.stdout ? once(cloud.stdout, 'data') : undefined;
    expect(down()).toEqual({ status: 0, out: expect.stringMatching(/^The cloud is stopped\..*keep running/), err: '' });
    expect(String(await asked)).toBe('asked\n');
    expect(existsSync(at('run/cumulet.pid'))).toBe(false);
  });

  test.each([
    ['nothing', undefined],
    ['a process that got the number of a cloud that ended', process.pid],
  ])('with %s there says that no cloud runs', (_, pid) => {
    if (pid !== undefined) put('run/cumulet.pid', `${pid}\n`);
    expect(down()).toEqual({ status: 0, out: 'The cloud is not running.', err: '' });
  });

  test.each([['--purg'], ['purge'], ['-f']])('refuses %s before it does anything', (word) => {
    const refused = shell(`begin() { echo begun; }; stop_process() { echo stopped; }; run_down ${word}`);
    expect(refused).toEqual({ status: 2, out: '', err: `cumulet: down knows only --purge, but got: ${word}` });
  });
});

describe('down --purge', () => {
  const OURS = ['data/db', 'etc/bootstrap.json', 'run/cumulet.pid', 'cache/tiny.qcow2', 'guests/cumulet-1.log', 'lock'];
  /** The tasks are told, in the order in which they are started. */
  const TASKS = 'start_task() { echo "start $1"; }; await_task() { echo "await $1"; }; begin() { :; };';

  test('removes servers and networks first, then what is ours and nothing else', () => {
    for (const name of [...OURS, 'etc/cumulet.yaml', 'guests/other.log']) put(name);
    const { status, out, err } = shell(`${TASKS} run_down --purge`);
    expect({ status, err }).toEqual({ status: 0, err: '' });
    expect(out).toMatch(/^start machine\n(start \w+\n)*start purge\n(await \w+\n)*await purge\n/);
    expect(out).toMatch(/The cloud is removed: .*\nWhat stays: /);
    expect(readdirSync(directory).sort()).toEqual(['guests', 'state', 'tools']);
    expect(readdirSync(at('guests'))).toEqual(['other.log']);
  });

  test('of a cloud that was never configured starts nothing, and may be repeated', () => {
    for (const name of OURS) put(name);
    expect(shell(`${TASKS} run_down --purge`)).toMatchObject({ status: 0, out: expect.not.stringContaining('start ') });
    expect(shell(`${TASKS} run_down --purge`)).toMatchObject({ status: 0, err: '' });
  });

  const purge = (node: string) => {
    put('node', node, 0o755);
    return shell(`node=${at('node')}; after() { :; }; fail() { echo "$*"; exit 1; }; task=purge; task_purge`);
  };

  test('ends the process before its servers are removed, and forgets the entries in homes last', async () => {
    const cloud = await standIn();
    const gone = once(cloud, 'exit');
    expect(purge(`#!/bin/sh\nls ${at('run')} >> ${at('seen')}\necho "$@" >> ${at('seen')}\n`).status).toBe(0);
    await gone;
    const [left, first, , second] = readFileSync(at('seen'), 'utf8').split('\n');
    expect(left).toBe('started_libvirt');
    expect(first).toMatch(/standalone\/dist\/main\.js --config \S+\/etc\/cumulet\.yaml --purge$/);
    expect(second).toMatch(/cli\/dist\/up\/main\.js forget --config \S+\/etc$/);
  });

  test('says what could not be removed, and keeps the rest for the next time', () => {
    expect(purge('#!/bin/sh\necho "a server does not end" >&2\nexit 1\n')).toMatchObject({
      status: 1,
      out: 'not everything could be removed: a server does not end (run it again when that is repaired)',
    });
  });
});

test("what root wrote into the builder's checkout becomes theirs, and only that", () => {
  for (const name of ['node_modules/a', 'common/dist/b', '.tmp/tiny/c', 'coverage/d', 'src/e']) put(`checkout/${name}`);
  put('tools/chown', '#!/bin/sh\necho "chown $*"\n', 0o755);
  const own = (builder: string) => shell(`builder() { ${builder}; }; root=${at('checkout')}; own_output`);
  const { out } = own('echo nobody');
  const given = ['node_modules', 'common/dist', 'coverage', '.tmp'].map((name) => at('checkout', name));
  expect(out.replaceAll('chown -Rh nobody: ', '').split(/\s/).sort()).toEqual(given.sort());
  expect(own(`stat -c %U ${directory}`)).toEqual({ status: 0, out: '', err: '' });
});
