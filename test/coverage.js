// What the tests ran of every source file, over all jest projects together: ranges of code (functions and branches) and lines.
//
// Each project leaves its own istanbul report, made from V8's ranges. V8 names only ranges whose count differs from their
// surroundings, so the same file has other ranges in each report and they can't be merged by name: a range counts as run when in one
// of the reports the innermost range around it was run.

/** @typedef {{ line: number, column: number }} Position */
/** @typedef {{ start: number, end: number, count: number }} Range */

/** Positions become one number, so that they can be compared. @param {Position} position */
const place = ({ line, column }) => line * 100_000 + Math.min(column ?? 99_999, 99_999);

/**
 * The same code in the maps of both compilers: an exported function begins with "export" for tsc, which makes what runs in processes
 * of its own, and after it for swc, which makes what jest runs.
 */
const begin = ({ line, column }) => place({ line, column: column === 'export '.length ? 0 : column });
/** In columns, what the compilers' maps differ by in the end of an expression. */
const SLACK = 1;
const range = ({ start, end }, count) => ({ start: begin(start), end: place(end), count });

/** Functions and branches of one file in one report. @returns {Range[]} */
const rangesOf = (file) => [
  ...Object.entries(file.fnMap).map(([id, { loc }]) => range(loc, file.f[id])),
  ...Object.entries(file.branchMap).flatMap(([id, { locations }]) =>
    locations.map((location, at) => range(location, file.b[id][at])),
  ),
];

/** How often a report ran the code of a range: the count of the smallest range that holds it. @param {Range[]} ranges */
function countOf(ranges, { start, end }) {
  let found;
  for (const one of ranges) {
    if (one.start > start || one.end + SLACK < end) continue;
    const wider = found && one.end - one.start - (found.end - found.start);
    if (!found || wider < 0 || (wider === 0 && one.count > found.count)) found = one;
  }
  return found?.count ?? 0;
}

const share = (all, missing) => (all === 0 ? 100 : (100 * (all - missing)) / all);

/** Whether a report only says that nothing loaded the file. */
const isUnloaded = ({ fnMap }) => Object.values(fnMap).some(({ name }) => name === '(empty-report)');

/**
 * One file over all reports that know it.
 * @returns {{ branches: number, lines: number, missing: { ranges: Range[], lines: number[] } }} percentages, and what was not run
 */
function coverageOf(reports) {
  const loaded = reports.filter((report) => !isUnloaded(report));
  if (loaded.length === 0) return { branches: 0, lines: 0, missing: { ranges: [], lines: [1] } };
  const runs = loaded.map(rangesOf);
  const all = new Map(runs.flat().map((one) => [`${one.start}-${one.end}`, one]));
  const ranges = [...all.values()].filter((one) => runs.every((run) => countOf(run, one) === 0));
  const lines = new Map();
  for (const { statementMap, s } of loaded) {
    for (const [id, { start }] of Object.entries(statementMap))
      lines.set(start.line, lines.get(start.line) || s[id] > 0);
  }
  const missed = [...lines].filter(([, run]) => !run).map(([line]) => line);
  return {
    branches: share(all.size, ranges.length),
    lines: share(lines.size, missed.length),
    missing: { ranges, lines: missed },
  };
}

/** Everything that the reports know, by file. @param {Record<string, object>[]} reports */
function mergeReports(reports) {
  const names = new Set(reports.flatMap((report) => Object.keys(report)));
  return new Map([...names].sort().map((name) => [name, coverageOf(reports.flatMap((report) => report[name] ?? []))]));
}

module.exports = { mergeReports };
