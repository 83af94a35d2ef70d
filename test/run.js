// Runs every test: the unit project in parallel, then the host project one file at a time; ends with the sums of both.
const { spawnSync } = require('node:child_process');
const { mkdtempSync, readFileSync, rmSync } = require('node:fs');
const { tmpdir } = require('node:os');
const path = require('node:path');

const root = path.resolve(__dirname, '..');
const directory = mkdtempSync(path.join(tmpdir(), 'cumulet-tests-'));
const sums = { passed: 0, failed: 0, skipped: 0 };
let broken = false;

for (const project of [
  ['unit', '--maxWorkers=2'],
  ['host', '--runInBand'],
]) {
  const out = path.join(directory, `${project[0]}.json`);
  const jest = [
    path.join(root, 'node_modules/jest/bin/jest.js'),
    '--selectProjects',
    ...project,
    '--json',
    '--outputFile',
    out,
    ...process.argv.slice(2),
  ];
  const ran = spawnSync(process.execPath, jest, { cwd: root, stdio: ['ignore', 'ignore', 'inherit'] });
  try {
    const result = JSON.parse(readFileSync(out, 'utf8'));
    sums.passed += result.numPassedTests;
    sums.failed += result.numFailedTests + result.numRuntimeErrorTestSuites;
    sums.skipped += result.numPendingTests + result.numTodoTests;
    broken ||= !result.success;
  } catch (error) {
    console.error(
      `the ${project[0]} tests ended with status ${ran.status} (signal ${ran.signal}) and no result: ${error.message}`,
    );
    sums.failed += 1;
  }
}
rmSync(directory, { recursive: true, force: true });
console.log(`${sums.passed} passed, ${sums.failed} failed, ${sums.skipped} skipped`);
process.exit(broken || sums.failed > 0 ? 1 : 0);
