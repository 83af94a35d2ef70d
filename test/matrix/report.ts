// The crash matrix as tables: a row for each step, a column for each fault.
import { crossed, sampled, type Fault } from './faults';
import { asksOf, places } from './plan';
import type { Outcome } from './strike';

interface Scope {
  readonly seed: number;
  readonly minutes: number;
  /** Cells that there was no time for. */
  readonly left: number;
}

function cellText(outcome: Outcome | undefined): string {
  if (!outcome) return '';
  const { cell, problems, struck, seconds, end } = outcome;
  if (problems.length > 0) return '**WRONG**';
  if (!struck) return '–';
  const text = `${seconds.toFixed(0)} s`;
  return end === cell.story.end ? text : `${end ?? 'gone'} ${text}`;
}

function table(played: readonly Outcome[], faults: readonly Fault[]): string[] {
  const of = (kind: string, step: string, fault: Fault): Outcome | undefined =>
    played.find(({ cell }) => cell.kind === kind && cell.step === step && cell.fault === fault);
  const used = faults.filter((fault) => played.some(({ cell }) => cell.fault === fault));
  const rows = places.flatMap(({ kind, step }) => {
    const cells = used.map((fault) => cellText(of(kind, step, fault)));
    const asked = asksOf({ kind, step }).join(', ');
    return cells.every((text) => text === '') ? [] : [`| ${kind}.${step} | ${asked} | ${cells.join(' | ')} |`];
  });
  if (rows.length === 0) return [];
  const head = `| Step | asks | ${used.map(({ name }) => name).join(' | ')} |`;
  return ['', head, `| --- | --- |${' --- |'.repeat(used.length)}`, ...rows];
}

/** In Markdown. Cells: seconds from the fault to the end of the server's tasks, and the status where it is not the wished one. */
export function report(played: readonly Outcome[], { seed, minutes, left }: Scope): string {
  const missed = played.filter(({ struck }) => !struck).length;
  const wrong = played.filter(({ problems }) => problems.length > 0);
  const sums = `Seed ${seed}: ${played.length} cases in ${minutes} minutes, ${wrong.length} wrong, ${missed} not reached (–), ${left} not run.`;
  const problems = wrong.flatMap(({ cell: { kind, step, fault }, problems }) =>
    problems.map((problem) => `* ${kind}.${step}, ${fault.name}: ${problem}`),
  );
  return [
    sums,
    ...table(played, crossed),
    ...table(played, sampled),
    ...(problems.length > 0 ? ['', ...problems] : []),
    '',
  ].join('\n');
}
