// The crash matrix as a table: a row for each step, a column for each fault.
import type { Outcome } from './play';
import { stories } from './stories';

export interface Played {
  readonly kind: string;
  readonly step: string;
  readonly fault: string;
  readonly outcome: Outcome;
}

interface Scope {
  readonly seed: number;
  readonly faults: readonly string[];
  readonly places: readonly { readonly kind: string; readonly step: string }[];
  /** Cases that there was no time for. */
  readonly left: number;
}

function cell(played: Played | undefined): string {
  if (!played) return '';
  const { kind, outcome } = played;
  if (outcome.problems.length > 0) return '**WRONG**';
  if (!outcome.struck) return '–';
  const seconds = `${outcome.seconds.toFixed(0)} s`;
  return outcome.end === stories[kind]?.end ? seconds : `${outcome.end ?? 'gone'} ${seconds}`;
}

/** In Markdown. Cells: seconds from the fault to the end of all tasks, and the status where it is not the wished one. */
export function report(played: readonly Played[], { seed, faults, places, left }: Scope): string {
  const used = faults.filter((fault) => played.some((one) => one.fault === fault));
  const rows = places.map(({ kind, step }) => {
    const find = (fault: string): Played | undefined =>
      played.find((one) => one.kind === kind && one.step === step && one.fault === fault);
    return `| ${kind}.${step} | ${used.map((fault) => cell(find(fault))).join(' | ')} |`;
  });
  const missed = played.filter(({ outcome }) => !outcome.struck).length;
  const wrong = played.filter(({ outcome }) => outcome.problems.length > 0);
  const sums = `Seed ${seed}: ${played.length} cases, ${wrong.length} wrong, ${missed} not reached (–), ${left} not run.`;
  const problems = wrong.flatMap(({ kind, step, fault, outcome }) =>
    outcome.problems.map((problem) => `* ${kind}.${step}, ${fault}: ${problem}`),
  );
  return [
    sums,
    '',
    `| Step | ${used.join(' | ')} |`,
    `| --- |${' --- |'.repeat(used.length)}`,
    ...rows.filter((row) => /\d|–|WRONG/.test(row.split('|').slice(2).join())),
    ...(problems.length > 0 ? ['', ...problems] : []),
    '',
  ].join('\n');
}
