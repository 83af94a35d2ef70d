// Many `ip` or `bridge` commands in one process, and which of them failed.
import { CommandError, type Exec } from '@cumulet/common';
import type { LinkStep } from './linkPlan';

/** The line that a batch stopped at, counted from 1, or undefined when the failure was another one. */
export function failedLine(stderr: string): number | undefined {
  const line = /Command failed -:(\d+)/.exec(stderr)?.[1];
  return line === undefined ? undefined : Number(line);
}

/**
 * Runs the steps in order. A step that fails is left at its failing line and the others go on.
 * @returns the faults by owner, in words. @throws CommandError when the command itself can't run
 */
export async function runSteps(
  exec: Exec,
  steps: readonly LinkStep[],
  command: 'ip' | 'bridge' = 'ip',
): Promise<Map<string, string>> {
  const faults = new Map<string, string>();
  let rest = steps.flatMap((step, index) => step.lines.map((line) => ({ line, owner: step.owner, index })));
  while (rest.length > 0) {
    try {
      await exec([command, '-batch', '-'], { input: rest.map(({ line }) => `${line}\n`).join('') });
      return faults;
    } catch (error) {
      const at = error instanceof CommandError ? failedLine(error.stderr) : undefined;
      const failed = at === undefined ? undefined : rest[at - 1];
      if (!(error instanceof CommandError) || at === undefined || failed === undefined) throw error;
      const why =
        error.stderr.split('\n').find((line) => line.trim() !== '' && !line.startsWith('Command failed')) ?? '';
      faults.set(failed.owner, `${command} ${failed.line}: ${why.trim()}`);
      rest = rest.slice(at).filter(({ index }) => index !== failed.index);
    }
  }
  return faults;
}
