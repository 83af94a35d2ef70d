// Runs every test, several projects beside each other because each of them also waits a lot; ends with every failed test and the
// sums of all. Without arguments `npm run check` is one more test, and coverage is measured, into coverage/: files below their gate
// count as one failure. They need tests, or a lower gate with the reason in test/coverage.json.
const { spawn, spawnSync } = require('node:child_process');
const { once } = require('node:events');
const { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync } = require('node:fs');
const { setPriority, tmpdir } = require('node:os');
const path = require('node:path');
const { checkCoverage, directory: coverage } = require('./coverageGate');
const { failuresOf } = require('./failures');
const { writeGroups } = require('./groups');

const root = path.resolve(__dirname, '..');
const directory = mkdtempSync(path.join(tmpdir(), 'cumulet-tests-'));
const sums = { passed: 0, failed: 0, skipped: 0 };
const failures = [];
const passedOn = process.argv.slice(2);
// A part of the tests says nothing about coverage.
const covers = passedOn.length === 0;
const children = path.join(directory, 'children');
let broken = false;

// As many as keep the processors busy beside the real ones, and no more: the same tests of crashes took 62 s of processor time with two
// workers, 70 with four and 75 with eight, because what waits looks again and again.
const ON_SQLITE = '--maxWorkers=2';
const ON_MARIADB = '--maxWorkers=1';
/** What is promised of clusters, and measured by their test, is promised without guests beside them. */
const CLUSTERS = 'test/lab/clusters';
/** How much others go before what only computes: those whose guests and servers must be waited for would end last. */
const PATIENT = 10;
/**
 * Parts of the tests by jest's project, the options to run it with and what its files' paths match: those of a row run one after
 * another, the rows beside each other. What runs on MariaDB once more is not measured again.
 */
const REAL = [
  // Has the machine's libvirt and network for itself.
  [{ project: 'host', measured: true, options: ['--maxWorkers=1'] }],
  [
    {
      project: 'lab',
      measured: true,
      options: ['--maxWorkers=1', ...(covers ? [`--testPathIgnorePatterns=/node_modules/|/dist/|${CLUSTERS}`] : [])],
    },
  ],
];
/** When all of the real ones are done. */
const GUESTLESS = [
  { project: 'lab', name: 'clusters', measured: true, options: ['--maxWorkers=1'], files: [CLUSTERS] },
];
const unit = { project: 'unit', measured: true, options: [ON_SQLITE] };
const mariadb = { project: 'mariadb', measured: true, options: [ON_MARIADB] };
/** What was run on SQLite. */
const again = { ...mariadb, measured: false };
// The rows take about as long: what is left of one when the other has ended leaves a processor idle.
const COMPUTING = (
  covers
    ? [
        [
          { ...mariadb, files: ['/test/(mariadb|unit)/'] },
          unit,
          { ...again, name: 'mariadb-api', files: ['/test/api/'] },
        ],
        [{ ...again, name: 'mariadb-crash', files: ['/test/crash/'] }],
      ]
    : [[unit], [mariadb]]
).map((row) => row.map((part) => ({ ...part, grouped: covers, priority: PATIENT })));

if (covers) {
  rmSync(coverage, { recursive: true, force: true });
  // Also a process that gave up its rights leaves here what it ran.
  chmodSync(directory, 0o711);
  mkdirSync(children);
  chmodSync(children, 0o1777);
}

/** Runs a part to its end and adds its results. */
async function runPart({ project, measured, options, files = [], name = project, grouped = false, priority = 0 }) {
  const out = path.join(directory, `${name}.json`);
  const groups = path.join(directory, name);
  const began = Date.now();
  const measures = covers && measured;
  const selected = ['--selectProjects', project];
  const jest = [
    path.join(root, 'node_modules/jest/bin/jest.js'),
    ...passedOn,
    ...(measures ? ['--coverage', '--coverageReporters=json', `--coverageDirectory=${path.join(coverage, name)}`] : []),
    '--json',
    // What a failed test leaves open must not keep the others' results waiting.
    '--forceExit',
    '--outputFile',
    out,
    ...options,
    ...(grouped ? ['--config', writeGroups(root, groups, [...files, ...selected])] : files),
    ...selected,
  ];
  const env = measures ? { ...process.env, CUMULET_CHILD_COVERAGE: children } : process.env;
  const ran = spawn(process.execPath, jest, { cwd: root, env, stdio: ['ignore', 'ignore', 'inherit'] });
  setPriority(ran.pid, priority);
  const [status, signal] = await once(ran, 'exit');
  try {
    const result = JSON.parse(readFileSync(out, 'utf8'));
    sums.passed += result.numPassedTests;
    sums.failed += result.numFailedTests + result.numRuntimeErrorTestSuites;
    sums.skipped += result.numPendingTests + result.numTodoTests;
    failures.push(...failuresOf(project, grouped ? groups : root, result));
    broken ||= !result.success;
  } catch (error) {
    failures.push(`the ${name} tests ended with status ${status} (signal ${signal}) and no result: ${error.message}`);
    sums.failed += 1;
  }
  console.error(
    `The ${name} tests (${[...options, ...files].join(' ')}) took ${Math.round((Date.now() - began) / 1000)} s`,
  );
}

async function runRow(parts) {
  for (const part of parts) await runPart(part);
}

/** Runs a script of package.json. @returns {Promise<boolean>} whether it succeeded */
async function runScript(name) {
  const [status] = await once(spawn('npm', ['run', '--silent', name], { cwd: root, stdio: ['ignore', 2, 2] }), 'exit');
  return status === 0;
}

async function check() {
  if (await runScript('check')) sums.passed += 1;
  else {
    failures.push('npm run check: see its output above');
    sums.failed += 1;
  }
}

async function main() {
  // The programs that tests start must not be built anew meanwhile. What is wrong with them is said by the check.
  if (covers) await runScript('build');
  await Promise.all([
    Promise.all(REAL.map(runRow)).then(() => (covers ? runRow(GUESTLESS) : undefined)),
    ...COMPUTING.map(runRow),
    ...(covers ? [check()] : []),
  ]);
  if (covers) {
    // What ran in processes of their own.
    const report = ['report', '--temp-directory', children, '--reporter', 'json', '--exclude-after-remap'];
    spawnSync(
      process.execPath,
      [
        require.resolve('c8/bin/c8.js'),
        ...report,
        '--include',
        '*/src/**',
        // As in collectCoverageFrom of jest.config.js.
        '--exclude',
        '**/index.ts',
        '--reports-dir',
        path.join(coverage, 'children'),
      ],
      { cwd: root, stdio: ['ignore', 'ignore', 'inherit'] },
    );
    try {
      if (!checkCoverage())
        throw new Error('the files named above need tests, or a lower gate and its reason in test/coverage.json');
    } catch (error) {
      failures.push(`coverage: ${error.message}`);
      sums.failed += 1;
    }
  }
  rmSync(directory, { recursive: true, force: true });
  if (failures.length > 0) console.log(`\nFailed:\n${failures.join('\n')}`);
  console.log(`${sums.passed} passed, ${sums.failed} failed, ${sums.skipped} skipped`);
  process.exit(broken || sums.failed > 0 ? 1 : 0);
}

void main();
