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
import { scriptShell, type Answers } from '../../support/scriptShell';

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

const shell = (...[text, env, answers]: [string, Readonly<Record<string, string>>?, Answers?]) =>
  scriptShell(directory, text, env, answers);
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
    const fails =
      'source_version() { echo 2.0; }; after() { :; }; start_process() { echo 0 > "$run_dir/cumulet.pid"; }; wait_ready() { return 2; };';
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

  test.each([
    [
      'another version ran before',
      '1.0',
      /; the version before was 1\.0, .*: to go back to it, git checkout 1\.0 and sudo cumulet up$/,
    ],
    ['the same version did', '2.0', /no such key$/],
  ])('tells the way back when %s', (_, version, words) => {
    put('data/version', `${version}\n`);
    expect(start().out).toMatch(words);
    expect(readFileSync(at('data/version'), 'utf8')).toBe(`${version}\n`);
  });

  test('for want of a configuration leaves nothing either', () => {
    const { out } = start('', '#!/bin/sh\necho "cumulet: every network is taken" >&2\nexit 1\n');
    expect(out).toBe('no configuration could be written: every network is taken');
    expect(['data', 'etc', 'run'].filter((name) => existsSync(at(name)))).toEqual([]);
  });
});

describe('a start that goes well', () => {
  const start = () => {
    const node = put('node', '#!/bin/sh\n', 0o755);
    const parts =
      'source_version() { echo 2.0; }; after() { :; }; start_process() { echo 0 > "$run_dir/cumulet.pid"; };';
    return shell(`node=${node}; ${parts} wait_ready() { :; }; task=cloud; task_cloud`);
  };
  const version = (): string => readFileSync(at('data/version'), 'utf8');

  test('notes its version', () => {
    expect(start().status).toBe(0);
    expect(version()).toBe('2.0\n');
    expect(existsSync(at('state/cloud.detail'))).toBe(false);
  });

  test('after another version is told as an upgrade', () => {
    put('data/version', '1.0\n');
    expect(start().status).toBe(0);
    expect(version()).toBe('2.0\n');
    expect(readFileSync(at('state/cloud.detail'), 'utf8')).toBe('upgraded from 1.0 to 2.0\n');
  });

  test.each([
    ['the commit, where git knows it', '#!/bin/sh\n[ "$*" = "rev-parse --short=12 HEAD" ] && echo 1a2b3c\n', '1a2b3c'],
    ["the package's number elsewhere", '#!/bin/sh\necho "not a git repository" >&2; exit 128\n', /^\d+\.\d+\.\d+$/],
  ])('the version is %s', (_, git, expected) => {
    put('tools/git', git, 0o755);
    const { out, err } = shell(`node=${process.execPath}; as_builder() { "$@"; }; source_version`);
    expect({ out, err }).toEqual({ out: expect.stringMatching(expected), err: '' });
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

  test.each([
    ['--purg', 'down does not know --purg'],
    ['--purge purge', 'down does not know purge'],
    ['--yes', '--packages and --yes go with --purge'],
    ['--packages', '--packages and --yes go with --purge'],
  ])('refuses %s before it does anything', (words, told) => {
    const refused = shell(`begin() { echo begun; }; stop_process() { echo stopped; }; run_down ${words}`);
    expect(refused).toEqual({ status: 2, out: '', err: `cumulet: ${told}: see cumulet down --help` });
  });

  test('is explained with an example', () => {
    const told = shell('begin() { echo begun; }; run_down --help');
    expect(told).toMatchObject({
      status: 0,
      out: expect.stringMatching(/^usage: .*\n\nexample: sudo cumulet down --purge/s),
    });
  });
});

describe('down --purge', () => {
  const OURS = ['data/db', 'etc/bootstrap.json', 'run/cumulet.pid', 'cache/tiny.qcow2', 'guests/cumulet-1.log', 'lock'];
  /** The tasks are told, in the order in which they are started; the one that looks finds a server. */
  const TASKS = `start_task() { echo "start $1"; }; begin() { :; };
    await_task() { echo "await $1"; [ $1 != list ] || echo "servers (1): hello" > $state/list; };`;

  test('says what it removes, then removes servers and networks, then what is ours and nothing else', () => {
    for (const name of [...OURS, 'etc/cumulet.yaml', 'guests/other.log']) put(name);
    const { status, out, err } = shell(`${TASKS} run_down --purge`);
    expect({ status, err }).toEqual({ status: 0, err: '' });
    expect(out).toMatch(/^start machine\n(start \w+\n)*start list\n(await \w+\n)*await list\nThis is removed:\n/);
    expect(out.replaceAll(directory, '')).toContain(`
  servers (1): hello
  configuration: /etc
  data, images and backups: /data /cache /run
  logs: /log /guests/cumulet-1.log
start purge
await purge
The cloud is removed: `);
    expect(out).toMatch(/\nWhat stays: .*$/);
    expect(readdirSync(directory).sort()).toEqual(['guests', 'state', 'tools']);
    expect(readdirSync(at('guests'))).toEqual(['other.log']);
  });

  test('of a cloud that was never configured starts nothing, and may be repeated', () => {
    for (const name of OURS) put(name);
    expect(shell(`${TASKS} run_down --purge`)).toMatchObject({ status: 0, out: expect.not.stringContaining('start ') });
    expect(shell(`${TASKS} run_down --purge`)).toMatchObject({ status: 0, err: '' });
  });

  test('names the lines in files of others and the rights that it takes back', () => {
    put('run/opened_kvm');
    put('kvm');
    put('qemu.conf', '# cumulet: control groups are read-only in this container\ncgroup_controllers = [ ]\n');
    const { out } = shell(`${TASKS} run_down --purge`);
    expect(out).toContain(`  our lines in ${at('qemu.conf')}\n  what the group kvm may do with ${at('kvm')}\n`);
  });

  test.each([
    [(own: string) => `data_dir: ${own}/data # ours`, undefined],
    [() => '  data_dir: /not/that/of/the/cloud', undefined],
    [() => 'data_dir: /srv/my cloud # moved', '/srv/my cloud'],
    [() => 'data_dir: "/srv/cloud"', '/srv/cloud'],
  ])('says that data stays that was moved elsewhere', (line, moved) => {
    put('etc/cumulet.yaml', `${line(directory)}\n`);
    const { out } = shell(`${TASKS} run_down --purge`);
    const told = /\nThe data that your configuration has put into (.*) stays there too\.$/.exec(out)?.[1];
    expect(told).toBe(moved);
  });

  describe('on a terminal', () => {
    const asked = (answer: string, words: string) =>
      shell(`${TASKS} run_down ${words}`, {}, [['Remove all of this? [y/N] ', answer]]);

    test.each(['n', '', 'maybe'])('removes nothing when the answer is "%s"', (answer) => {
      for (const name of [...OURS, 'etc/cumulet.yaml']) put(name);
      const { status, out } = asked(answer, '--purge');
      expect({ status, out }).toEqual({ status: 1, out: expect.stringMatching(/Nothing was removed\.$/) });
      expect(out).not.toContain('start purge');
      expect(existsSync(at('data/db'))).toBe(true);
    });

    test('goes on when the answer is yes, and with --yes without a question', () => {
      for (const name of OURS) put(name);
      expect(asked('y', '--purge')).toMatchObject({ status: 0, out: expect.stringContaining('The cloud is removed') });
      expect(asked('n', '--purge --yes').out).not.toContain('Remove all of this?');
      expect(existsSync(at('data'))).toBe(false);
    });
  });

  /** Packages as dpkg and apt know them: we had `ours` and `gone` installed, and `theirs` needs what `needed` names. */
  const packages = (needed: string) => {
    put('packages', 'ours\ngone\nours\nours:amd64\n');
    const known = 'ours installed\\nours:amd64 installed\\ntheirs installed\\ngone not-installed\\n';
    put('tools/dpkg-query', `#!/bin/sh\nprintf '${known}'\n`, 0o755);
    put('tools/apt-get', `#!/bin/sh\nprintf 'Purg ours [1]\\n${needed ? `Remv ${needed} [1]\\n` : ''}'\n`, 0o755);
    return 'task=removal; apt_get() { echo "apt-get $*"; }; fail() { echo "$*"; exit 1; };';
  };

  test('with --packages lists and removes those that we had installed and that are still there', () => {
    expect(shell(`${packages('')} ${TASKS} run_down --purge --packages`).out).toMatch(
      /\n {2}packages \(2\): ours ours:amd64\nstart removal\nawait removal\n/,
    );
    expect(shell(`${packages('')} task_removal`).out).toBe('apt-get purge ours ours:amd64');
    expect(readFileSync(at('state/removal.detail'), 'utf8')).toBe('2 removed\n');
    expect(shell('packages_file=/none; task=removal; task_removal')).toEqual({ status: 0, out: '', err: '' });
  });

  test('leaves packages that somebody needs who came later, and says so', () => {
    expect(shell(`${packages('theirs')} task_removal`)).toEqual({ status: 0, out: '', err: '' });
    expect(readFileSync(at('state/removal.detail'), 'utf8')).toBe('they stay: theirs came later and needs them\n');
  });

  test('without --packages says how they are removed, and forgets them', () => {
    const { out } = shell(`${packages('')} ${TASKS} run_down --purge`);
    expect(out).toMatch(/to remove them: sudo apt-get purge ours ours:amd64$/);
    expect(existsSync(at('packages'))).toBe(false);
  });

  test('what apt is about to install is written down before, not what it upgrades', () => {
    put(
      'tools/apt-get',
      "#!/bin/sh\nprintf 'Inst new (1 Debian)\\nInst old [1] (2 Debian)\\nConf new (1)\\n'\n",
      0o755,
    );
    shell('note_packages new');
    expect(readFileSync(at('packages'), 'utf8')).toBe('new\n');
  });

  const purge = (node: string) => {
    put('node', node, 0o755);
    return shell(`node=${at('node')}; after() { :; }; fail() { echo "$*"; exit 1; }; task=purge; task_purge`);
  };

  test('ends the process before its servers are removed, and forgets the entries in homes last', async () => {
    const cloud = await standIn();
    const gone = once(cloud, 'exit');
    expect(purge(`#!/bin/sh\n[ ! -e ${at('run/cumulet.pid')} ] || exit 1\necho "$@" >> ${at('seen')}\n`).status).toBe(
      0,
    );
    await gone;
    const [first, second] = readFileSync(at('seen'), 'utf8').split('\n');
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
