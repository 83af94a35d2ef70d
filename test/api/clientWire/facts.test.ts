// The list of what clients rely on (README.md) names tests that exist, and leaves out none of this folder's files.
import { readdirSync, readFileSync } from 'node:fs';
import { basename, join } from 'node:path';

const rows = readFileSync(join(__dirname, 'README.md'), 'utf8')
  .split('\n')
  .map((line) => /^\| (.+?) +\| \[(.+?)\]\((.+?)\) +\| (.+?) +\|$/.exec(line))
  .filter((match) => match !== null)
  .map(([, fact = '', label = '', file = '', name = '']) => ({ fact, label, file, name }));

test('there is a list, and no fact is in it twice', () => {
  expect(rows.length).toBeGreaterThan(48);
  expect(new Set(rows.map(({ fact }) => fact)).size).toBe(rows.length);
});

test.each(rows)('$fact: the test is there', ({ label, file, name }) => {
  expect(basename(file)).toBe(label);
  expect(readFileSync(join(__dirname, file), 'utf8')).toContain(`'${name}'`);
});

test('every file of this folder is in the list', () => {
  const listed = new Set(rows.map(({ file }) => file));
  const here = readdirSync(__dirname).filter((file) => file.endsWith('.test.ts') && file !== basename(__filename));
  expect(here.filter((file) => !listed.has(file))).toEqual([]);
});
