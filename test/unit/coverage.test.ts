// The gate of coverage: reports of several projects count together, and a file below its gate is named.
import { join } from 'node:path';

type Report = Record<string, unknown>;
interface Measured {
  readonly branches: number;
  readonly lines: number;
}
// eslint-disable-next-line @typescript-eslint/no-require-imports -- plain scripts: they run before anything is built
const { mergeReports } = require(join(__dirname, '../coverage.js')) as {
  mergeReports: (reports: Report[]) => Map<string, Measured>;
};
// eslint-disable-next-line @typescript-eslint/no-require-imports -- see above
const { judge } = require(join(__dirname, '../coverageGate.js')) as {
  judge: (
    files: Map<string, Measured>,
    exceptions: Record<string, object>,
  ) => { below: { file: string }[]; notes: string[] };
};

/** A report on a file of ten lines: ranges as [first line, last line, count]; a line has the count of the last range that holds it. */
function report(file: string, ranges: readonly (readonly [number, number, number])[]): Report {
  const lines = Array.from({ length: 10 }, (_, at) => at + 1);
  const location = (first: number, last: number) => ({
    start: { line: first, column: 0 },
    end: { line: last, column: 80 },
  });
  return {
    [file]: {
      fnMap: {},
      f: {},
      branchMap: Object.fromEntries(ranges.map(([first, last], at) => [at, { locations: [location(first, last)] }])),
      b: Object.fromEntries(ranges.map(([, , count], at) => [at, [count]])),
      statementMap: Object.fromEntries(lines.map((line) => [line, location(line, line)])),
      s: Object.fromEntries(
        lines.map((line) => [line, ranges.findLast(([first, last]) => first <= line && line <= last)?.[2] ?? 0]),
      ),
    },
  };
}
const merged = (...ranges: readonly (readonly (readonly [number, number, number])[])[]) => {
  const { branches, lines } = mergeReports(ranges.map((one) => report('a.ts', one))).get('a.ts') ?? {};
  return { branches, lines };
};

test('a range that no project ran is missing', () => {
  expect(
    merged(
      [
        [1, 10, 1],
        [4, 5, 0],
      ],
      [
        [1, 10, 7],
        [4, 5, 0],
      ],
    ),
  ).toEqual({ branches: 50, lines: 80 });
});

test('a range that one project ran as part of its surroundings is not missing', () => {
  expect(
    merged(
      [
        [1, 10, 1],
        [4, 5, 0],
      ],
      [[1, 10, 3]],
    ),
  ).toEqual({ branches: 100, lines: 100 });
});

test('a range inside another that did not run is missing, although its own name appears nowhere', () => {
  expect(
    merged(
      [
        [1, 10, 1],
        [2, 8, 3],
        [4, 5, 0],
      ],
      [
        [1, 10, 1],
        [2, 8, 0],
      ],
    ),
  ).toEqual({
    branches: (100 * 2) / 3,
    lines: 80,
  });
});

test('a function that jest ran is not missing because a process of its own, built by the other compiler, did not run it', () => {
  const one = (start: number, end: number, count: number): Report => {
    const loc = { start: { line: 2, column: start }, end: { line: 9, column: end } };
    return {
      'a.ts': { fnMap: { 0: { name: 'f', loc } }, f: { 0: count }, branchMap: {}, b: {}, statementMap: {}, s: {} },
    };
  };
  const [byJest, byProcess] = [one(7, 20, 3), one(0, 20, 0)];
  expect(mergeReports([byJest, byProcess]).get('a.ts')).toMatchObject({ branches: 100 });
  expect(mergeReports([one(12, 20, 0), one(12, 19, 1)]).get('a.ts')).toMatchObject({ branches: 100 });
  expect(mergeReports([one(7, 20, 0), byProcess]).get('a.ts')).toMatchObject({ branches: 0 });
});

test('a file that no test loads has nothing, and one that another project does not load loses nothing', () => {
  const unloaded = report('a.ts', [[1, 10, 0]]);
  Object.assign(unloaded['a.ts'] as object, { fnMap: { 0: { name: '(empty-report)', loc: {} } } });
  expect(mergeReports([unloaded]).get('a.ts')).toMatchObject({ branches: 0, lines: 0 });
  expect(mergeReports([unloaded, report('a.ts', [[2, 9, 1]])]).get('a.ts')).toMatchObject({ branches: 100, lines: 80 });
});

describe('the gate', () => {
  const engine = 'controller/src/conductor/engine.ts';
  const plan = 'compute-agent/src/domainPlan.ts';
  const other = 'controller/src/services/servers.ts';
  const files = (...entries: [string, number, number][]) =>
    new Map(entries.map(([file, branches, lines]) => [file, { branches, lines, missing: { ranges: [], lines: [] } }]));

  test('is everything for engine and plans, nine tenths elsewhere', () => {
    const { below, notes } = judge(files([engine, 99.9, 100], [plan, 99.9, 100], [other, 90, 90]), {});
    expect(below.map(({ file }) => file)).toEqual([engine, plan]);
    expect(notes).toEqual([]);
  });

  test('asks for branches and for lines', () => {
    const { below } = judge(files(['a.ts', 89.9, 100], ['b.ts', 100, 89.9]), {});
    expect(below.map(({ file }) => file)).toEqual(['a.ts', 'b.ts']);
  });

  test('is lower for an exception, and holds there too', () => {
    const exceptions = { [other]: { branches: 50, lines: 60, why: 'runs in a process of its own' } };
    expect(judge(files([other, 50, 60]), exceptions).below).toEqual([]);
    expect(judge(files([other, 49, 60]), exceptions).below).toHaveLength(1);
  });

  test('says which exceptions are not needed', () => {
    const exceptions = {
      [other]: { branches: 50, lines: 60, why: 'x' },
      'gone.ts': { branches: 0, lines: 0, why: 'x' },
    };
    const { notes } = judge(files([other, 95, 95]), exceptions);
    expect(notes).toEqual([
      `${other} needs no exception in test/coverage.json any more`,
      'gone.ts has an exception in test/coverage.json but does not exist',
    ]);
  });
});
