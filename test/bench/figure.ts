// One measured figure, and how figures are printed and judged.

export interface Figure {
  readonly name: string;
  readonly value: number;
  readonly unit: string;
  /** What the same work costs without us; null where there is none. */
  readonly floor: number | null;
  /** value / floor. */
  readonly ratio: number | null;
  /** What we aim at, in words with its number: "<= 1.3 times the floor". */
  readonly target: string;
  readonly met: boolean;
}

const round = (value: number): number => Math.round(value * 100) / 100;

/** A figure; `met` is decided by the caller's comparison on the unrounded numbers. */
export function figure(
  name: string,
  value: number,
  unit: string,
  target: string,
  met: boolean,
  floor: number | null = null,
): Figure {
  return {
    name,
    value: round(value),
    unit,
    floor: floor === null ? null : round(floor),
    ratio: floor ? round(value / floor) : null,
    target,
    met,
  };
}

/** The value below which the given part of the sorted values lies. */
export function percentile(values: readonly number[], part: number): number {
  const sorted = [...values].sort((one, other) => one - other);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * part))] ?? NaN;
}

/** Bootstrap interval (95 %) of the ratio of two medians. */
export function ratioInterval(
  values: readonly number[],
  floors: readonly number[],
  rounds = 2000,
): readonly [number, number] {
  const draw = (list: readonly number[]): number[] =>
    list.map(() => list[Math.floor(Math.random() * list.length)] ?? NaN);
  const ratios = Array.from({ length: rounds }, () => percentile(draw(values), 0.5) / percentile(draw(floors), 0.5));
  return [percentile(ratios, 0.025), percentile(ratios, 0.975)];
}

export function table(figures: readonly Figure[]): string {
  const head = ['figure', 'value', 'floor', 'ratio', 'target', 'met'];
  const rows = figures.map((one) => [
    one.name,
    `${one.value} ${one.unit}`,
    one.floor === null ? '' : `${one.floor} ${one.unit}`,
    one.ratio === null ? '' : String(one.ratio),
    one.target,
    one.met ? 'yes' : 'NO',
  ]);
  const widths = head.map((title, at) => Math.max(title.length, ...rows.map((row) => row[at]?.length ?? 0)));
  return [head, ...rows]
    .map((row) =>
      row
        .map((cell, at) => cell.padEnd(widths[at] ?? 0))
        .join('  ')
        .trimEnd(),
    )
    .join('\n');
}

/** Milliseconds that the work took. */
export async function timed(work: () => Promise<unknown>): Promise<number> {
  const start = process.hrtime.bigint();
  await work();
  return Number(process.hrtime.bigint() - start) / 1e6;
}
