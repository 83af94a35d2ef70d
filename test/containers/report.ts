// Plays the steps of a story one after the other: a line for each with its time, and the count at the end.
import { CommandError, messageOf } from '@cumulet/common';

/** What a step saw, in words; a failure throws. */
export type Work = () => Promise<string>;

export interface Report {
  /** Plays it, unless a step that it needs has failed. @returns whether it passed */
  readonly step: (name: string, work: Work) => Promise<boolean>;
  /** As `step`, but when it fails nothing after it can be played. */
  readonly need: (name: string, work: Work) => Promise<boolean>;
  /** Nothing more is played. */
  readonly stop: () => void;
  /** Prints the count. @returns the exit code */
  end(): number;
}

/** What a failed command said last, which is where the cause is. */
function wordsOf(error: unknown): string {
  if (!(error instanceof CommandError)) return messageOf(error);
  const said = `${error.stdout}\n${error.stderr}`.trim().split('\n').slice(-12).join('\n    ');
  const [first = '', ...more] = error.argv.slice(-1).join(' ').split('\n');
  return `${first}${more.length > 0 ? ' ...' : ''} ended with ${String(error.exitCode)}\n    ${said}`;
}

export function createReport(print: (line: string) => void = console.log): Report {
  const count = { passed: 0, failed: 0, skipped: 0 };
  let ended = false;
  const line = (what: string, name: string, seconds: string, words: string): void =>
    print(`${what.padEnd(7)} ${seconds.padStart(6)}  ${name}${words === '' ? '' : `: ${words}`}`);
  const step = async (name: string, work: Work): Promise<boolean> => {
    if (ended) {
      count.skipped++;
      line('skipped', name, '', '');
      return false;
    }
    const started = performance.now();
    const seconds = (): string => `${((performance.now() - started) / 1000).toFixed(1)} s`;
    try {
      const words = await work();
      count.passed++;
      line('passed', name, seconds(), words);
      return true;
    } catch (error) {
      count.failed++;
      line('FAILED', name, seconds(), wordsOf(error));
      return false;
    }
  };
  return {
    step,
    async need(name, work) {
      const passed = await step(name, work);
      ended ||= !passed;
      return passed;
    },
    stop: () => void (ended = true),
    end() {
      print(`${count.passed} passed, ${count.failed} failed, ${count.skipped} skipped`);
      return count.failed + count.skipped > 0 ? 1 : 0;
    },
  };
}
