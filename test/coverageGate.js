// The gates of coverage, per file: what the last run of all tests left in coverage/ against what a file owes. Prints what is
// below its gate; ends with status 1 then.
const { existsSync, readdirSync, readFileSync } = require('node:fs');
const path = require('node:path');
const ts = require('typescript');
const { mergeReports } = require('./coverage');

const root = path.resolve(__dirname, '..');
const directory = path.join(root, 'coverage');

/** Files whose every branch must run: the task engine, the scheduler and the plans. */
const WHOLE = [
  /^controller\/src\/conductor\/\w+\.ts$/,
  /^controller\/src\/scheduler\//,
  /^controller\/src\/services\/tasks\.ts$/,
  /[pP]lan\.ts$/,
];
const REST = { branches: 90, lines: 90 };
const gateOf = (file) => (WHOLE.some((pattern) => pattern.test(file)) ? { branches: 100, lines: 100 } : REST);
const isBelow = (measured, gate) => measured.branches < gate.branches || measured.lines < gate.lines;
const lineOf = (place) => Math.floor(place / 100_000);

/**
 * What is wrong with the coverage of files: `files` by name with percentages, `exceptions` by name with lower gates and the reason.
 * @returns {{ below: object[], notes: string[] }}
 */
function judge(files, exceptions) {
  const below = [];
  const notes = [];
  for (const [file, measured] of files) {
    const exception = exceptions[file];
    const gate = exception ?? gateOf(file);
    if (isBelow(measured, gate)) below.push({ file, gate, measured });
    else if (exception && !isBelow(measured, gateOf(file)))
      notes.push(`${file} needs no exception in test/coverage.json any more`);
  }
  for (const file of Object.keys(exceptions))
    if (!files.has(file)) notes.push(`${file} has an exception in test/coverage.json but does not exist`);
  return { below, notes };
}

const percent = (number) => (Math.floor(number * 10) / 10).toFixed(1).padStart(5);

/** A file's line of the table: measured, owed, and the lines to look at. */
function describe({ file, gate, measured }) {
  const { ranges, lines } = measured.missing;
  const where = [...new Set([...ranges.map(({ start }) => lineOf(start)), ...lines])].sort((a, b) => a - b);
  const shown = where.slice(0, 12).join(' ') + (where.length > 12 ? ' ...' : '');
  return `${percent(measured.branches)} of ${gate.branches}  ${percent(measured.lines)} of ${gate.lines}  ${file}: ${shown}`;
}

/** Whether a file holds nothing but types: nothing of it can run. */
function isOnlyTypes(file) {
  const { outputText } = ts.transpileModule(readFileSync(file, 'utf8'), {
    compilerOptions: { module: ts.ModuleKind.ESNext, target: ts.ScriptTarget.ES2023, removeComments: true },
  });
  return outputText.trim() === 'export {};';
}

/** Reads the reports of the last run. @returns {Map<string, object>} by the file's name in the checkout */
function measure() {
  const reports = (existsSync(directory) ? readdirSync(directory) : [])
    .map((project) => path.join(directory, project, 'coverage-final.json'))
    .filter((file) => existsSync(file))
    .map((file) => JSON.parse(readFileSync(file, 'utf8')));
  if (reports.length === 0) throw new Error(`there is no coverage in ${directory}: run npm test first`);
  return new Map(
    [...mergeReports(reports)]
      .filter(([file, { lines }]) => lines > 0 || !isOnlyTypes(file))
      .map(([file, measured]) => [path.relative(root, file), measured]),
  );
}

/** Judges the last run and prints it. @returns {boolean} whether every file reaches its gate */
function checkCoverage() {
  const exceptions = JSON.parse(readFileSync(path.join(__dirname, 'coverage.json'), 'utf8'));
  const { below, notes } = judge(measure(), exceptions);
  for (const note of notes) console.log(note);
  if (below.length === 0) return true;
  console.log(
    `${below.length} files are below their coverage gate (branches, lines, lines of the file that were not run):`,
  );
  for (const one of below) console.log(describe(one));
  return false;
}

module.exports = { checkCoverage, directory, judge };
if (require.main === module) process.exitCode = checkCoverage() ? 0 : 1;
