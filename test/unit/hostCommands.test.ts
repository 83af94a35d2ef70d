// The one door to host commands, with real commands: what succeeds, and how each failure is told. The same from a thread of its own.
import { execFileSync } from 'node:child_process';
import { CommandError, createExecThread, exec as execHere } from '@cumulet/common';
import { root } from '../support/checkout';
import { childCoverage } from '../support/childCoverage';

describe.each([
  ['in this thread', execHere],
  ['in a thread of its own', createExecThread()],
])('%s', (_, exec) => {
  const failure = async (argv: readonly string[], options: Parameters<typeof exec>[1] = {}): Promise<CommandError> => {
    const error = await exec(argv, options).then(
      () => undefined,
      (reason: unknown) => reason,
    );
    if (!(error instanceof CommandError)) throw new Error(`${argv.join(' ')} did not fail as a command`);
    return error;
  };

  test('input goes in, output comes out, in the C locale and in the wanted directory', async () => {
    expect((await exec(['cat'], { input: 'words' })).stdout).toBe('words');
    expect((await exec(['pwd'], { cwd: '/usr' })).stdout).toBe('/usr\n');
    expect((await exec(['env'])).stdout).toContain('LC_ALL=C\n');
  });

  test('a command that ends without reading its input is judged by its exit code', async () => {
    await expect(exec(['true'], { input: 'x'.repeat(1 << 20) })).resolves.toEqual({ stdout: '', stderr: '' });
  });

  test('a failure carries what was run, its exit code and its words', async () => {
    const error = await failure(['ls', '/nowhere']);
    expect(error).toMatchObject({ argv: ['ls', '/nowhere'], exitCode: 2, stdout: '' });
    expect(error.message).toMatch(/^ls \/nowhere: exit code 2: .*No such file/);
  });

  test('a command that is not there is told by its name', async () => {
    expect((await failure(['no-such-command'])).message).toMatch(/no-such-command.*ENOENT/);
  });

  test('nothing is not a command', async () => {
    expect((await failure([])).message).toContain('empty command');
  });

  test('a command that takes too long is killed', async () => {
    expect((await failure(['sleep', '60'], { timeout: 20 })).message).toContain('timed out after 20 ms');
  });

  test('a command that waits for something ends with its first output, and fails when it ends without any', async () => {
    const argv = ['sh', '-c', 'echo news; exec sleep 60'];
    expect((await exec(argv, { untilOutput: true })).stdout).toBe('news\n');
    expect((await failure(['false'], { untilOutput: true })).exitCode).toBe(1);
    expect((await failure(['sleep', '60'], { untilOutput: true, timeout: 20 })).message).toContain('timed out');
  });

  test('what a killed command has left running is not waited for', async () => {
    expect((await failure(['sh', '-c', 'sleep 20; true'], { timeout: 20 })).message).toContain('timed out after 20 ms');
  });

  test('a command that something else killed says so', async () => {
    expect((await failure(['sh', '-c', 'kill -9 $$'])).message).toContain('killed by SIGKILL');
  });

  test('a command is killed when its caller gives up, also when that was before it began', async () => {
    const aborter = new AbortController();
    const running = failure(['sleep', '60'], { signal: aborter.signal });
    aborter.abort();
    expect((await running).message).toContain('aborted');
    expect((await failure(['sleep', '60'], { signal: AbortSignal.abort() })).message).toContain('aborted');
  });

  test('a command that prints without end is killed', async () => {
    expect((await failure(['cat', '/dev/zero'])).message).toContain('printed more than 64 MiB');
  });

  test('a command can run as another user', async () => {
    const { uid, gid } = { uid: process.getuid?.() ?? 0, gid: process.getgid?.() ?? 0 };
    expect((await exec(['id', '-u'], { uid, gid })).stdout).toBe(`${uid}\n`);
  });

  test("a caller's mistake is told as one", async () => {
    await expect(exec(['echo', 'zero\0byte'])).rejects.toThrow(/null bytes/);
    await expect(exec(['echo', 'on'])).resolves.toMatchObject({ stdout: 'on\n' });
  });

  test('many at once get each their own answer', async () => {
    const words = Array.from({ length: 20 }, (_, index) => `word ${index}`);
    const answers = await Promise.all(words.map((word) => exec(['echo', '-n', word])));
    expect(answers.map(({ stdout }) => stdout)).toEqual(words);
  });
});

test('the thread keeps no process alive, whatever came of its commands', () => {
  const program = `
    const exec = require('./common').createExecThread();
    const aborter = new AbortController();
    const all = [exec(['echo', 'out']), exec(['false']), exec(['\\0']), exec(['sleep', '60'], { signal: aborter.signal })];
    aborter.abort();
    Promise.allSettled(all).then((ends) => console.log(JSON.stringify(ends.map(({ value, reason }) => value?.stdout ?? reason.code ?? reason.name))));
  `;
  const env = { PATH: process.env['PATH'], ...childCoverage() };
  const out = execFileSync(process.execPath, ['-e', program], { cwd: root, env, encoding: 'utf8' });
  expect(JSON.parse(out)).toEqual(['out\n', 'command_failed', 'TypeError', 'command_failed']);
});
