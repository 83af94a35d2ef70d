// The watch over packet rules: what it says before it can know, after something changed, and when it can't be run.
import { CommandError, silentLogger, type Exec, type ExecResult } from '@cumulet/common';
import { createRulesWatch } from '../../../network-agent/src/rulesWatch';

interface Run {
  readonly argv: readonly string[];
  readonly end: (error?: Error) => Promise<void>;
}

function watched(signal = new AbortController().signal) {
  const runs: Run[] = [];
  const warnings: unknown[] = [];
  const exec: Exec = (argv, options) =>
    new Promise<ExecResult>((resolve, reject) => {
      expect(options).toMatchObject({ untilOutput: true, signal });
      const end = async (error?: Error): Promise<void> => {
        if (error) reject(error);
        else resolve({ stdout: '# new generation 2', stderr: '' });
        await new Promise(setImmediate);
      };
      runs.push({ argv, end });
    });
  const log = { ...silentLogger, warn: (...said: unknown[]) => void warnings.push(said) };
  return { watch: createRulesWatch(exec, log, signal), runs, warnings };
}

test('a watch is believed from its second answer on, and one run lasts until something changes', async () => {
  const { watch, runs, warnings } = watched();
  expect([1, 2, 3, 4].map(() => watch.quiet())).toEqual([false, false, true, true]);
  expect(runs.map(({ argv }) => argv.slice(-2))).toEqual([['nft', 'monitor']]);
  await runs[0]?.end();
  expect([1, 2, 3].map(() => watch.quiet())).toEqual([false, false, true]);
  expect(runs).toHaveLength(2);
  expect(warnings).toEqual([]);
});

test('where it cannot run, rules are never called quiet, and the log says why', async () => {
  const { watch, runs, warnings } = watched();
  for (let turn = 0; turn < 3; turn++) {
    expect(watch.quiet()).toBe(false);
    await runs[turn]?.end(new CommandError(['nft'], 1, '', 'Operation not permitted'));
  }
  expect(warnings).toHaveLength(3);
  expect(JSON.stringify(warnings)).toContain('Operation not permitted');
});

test('it ends with its agent without a word, and none begins after that', async () => {
  const stopping = new AbortController();
  const { watch, runs, warnings } = watched(stopping.signal);
  watch.quiet();
  stopping.abort();
  await runs[0]?.end(new CommandError(['nft'], null, '', '', 'aborted'));
  expect([1, 2, 3].map(() => watch.quiet())).toEqual([false, false, false]);
  expect(runs).toHaveLength(1);
  expect(warnings).toEqual([]);
});
