// How test files are put into groups for a run of all of them: each once, none where it would change what others see.
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';

interface File {
  readonly file: string;
  readonly text: string;
}
// eslint-disable-next-line @typescript-eslint/no-require-imports -- a plain script: it runs before anything is built
const { groupsOf, isGroup, writeGroups } = require('../groups.js') as {
  groupsOf: (files: readonly File[], limit?: number) => string[][];
  isGroup: (file: string) => boolean;
  writeGroups: (root: string, directory: string, options: readonly string[]) => string;
};

const root = resolve(__dirname, '../..');
const file = (name: string, length: number, text = 'x'): File => ({ file: name, text: text.padEnd(length) });

test('files that follow each other share a group up to its size, the longest groups come first', () => {
  const files = [file('a', 40), file('b', 50), file('c', 30), file('d', 70), file('e', 20)];
  expect(groupsOf(files, 100)).toEqual([['c', 'd'], ['a', 'b'], ['e']]);
});

test('a file larger than a group has one for itself', () => {
  expect(groupsOf([file('a', 10), file('b', 500), file('c', 10)], 100)).toEqual([['b'], ['a'], ['c']]);
});

test('tests of crashes are alone and first, however short they are', () => {
  const names = ['test/api/a.test.ts', 'test/api/b.test.ts', 'test/crash/a.test.ts', 'test/crash/b.test.ts'];
  expect(groupsOf(names.map((name) => file(name, 10)))).toEqual([[names[2]], [names[3]], [names[0], names[1]]]);
});

test('a file that replaces a module is alone, and those around it stay together', () => {
  const files = [file('a', 10), file('b', 10, "jest.mock('x')"), file('c', 10)];
  expect(groupsOf(files, 100)).toEqual([['a', 'c'], ['b']]);
});

describe('written', () => {
  let directory: string;
  beforeEach(() => (directory = mkdtempSync(join(tmpdir(), 'cumulet-groups-'))));
  afterEach(() => rmSync(directory, { recursive: true }));

  test('the files that jest would run are there once each, under their names', () => {
    const config = writeGroups(root, join(directory, 'groups'), ['/test/contract/', '--selectProjects', 'unit']);
    const groups = readdirSync(join(directory, 'groups')).filter(isGroup);
    const text = groups.map((name) => readFileSync(join(directory, 'groups', name), 'utf8')).join('');
    const described = [...text.matchAll(/^describe\('(test\/contract\/[^']+)'/gm)].map(([, name]) => name);
    const there = readdirSync(join(root, 'test/contract')).filter((name) => name.endsWith('.test.ts'));
    expect(described.sort()).toEqual(there.map((name) => `test/contract/${name}`));
    expect(isGroup(config)).toBe(false);
  });

  test('jest runs them in their order, and a failed test is found under its file', () => {
    const checkout = join(directory, 'checkout');
    mkdirSync(join(checkout, 'test/unit'), { recursive: true });
    const sequencer = join(root, 'test/sequencer.js');
    const common = { rootDir: checkout, displayName: 'unit', testMatch: ['<rootDir>/test/unit/*.test.ts'] };
    const config = { projects: [common], testSequencer: sequencer };
    writeFileSync(join(checkout, 'jest.config.js'), `module.exports = ${JSON.stringify(config)};`);
    writeFileSync(join(checkout, 'test/unit/a.test.ts'), "test('is fine', () => undefined);");
    const failing = "beforeEach(() => { throw new Error('only here'); }); test('is not', () => undefined);";
    writeFileSync(join(checkout, 'test/unit/b.test.ts'), failing.padEnd(50_000));
    const grouped = writeGroups(checkout, join(checkout, 'groups'), ['--selectProjects', 'unit']);
    const out = join(directory, 'result.json');
    const jest = require.resolve('jest/bin/jest');
    const options = ['--config', grouped, '--selectProjects', 'unit', '--maxWorkers=1', '--json', '--outputFile', out];
    expect(() => execFileSync(process.execPath, [jest, ...options], { cwd: checkout, stdio: 'ignore' })).toThrow();
    const { testResults } = JSON.parse(readFileSync(out, 'utf8')) as {
      testResults: { name: string; assertionResults: { fullName: string; status: string }[] }[];
    };
    const told = testResults.flatMap(({ assertionResults }) => assertionResults);
    expect(told.map(({ fullName, status }) => `${fullName}: ${status}`).sort()).toEqual([
      'test/unit/a.test.ts is fine: passed',
      'test/unit/b.test.ts is not: failed',
    ]);
  });
});
