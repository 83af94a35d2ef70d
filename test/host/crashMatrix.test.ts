// The crash matrix as a command: a step that leaks is caught by the audit and by the independent count, and the run fails.
import { join } from 'node:path';
import { root } from '../support/checkout';
import { runProgram } from '../support/programs';

jest.setTimeout(240_000);

test('a step that removes nothing is found, named, and makes the run fail', async () => {
  const main = join(root, 'test/dist/matrix/main.js');
  const only = 'server.delete.domain compute agent killed before it answers';
  const { exit, out } = await runProgram(process.execPath, [main, '--leak', '--only', only, '--seed', '1'], root, {});
  expect([exit, out]).toEqual([1, expect.stringMatching(/1 cases in \d+ minutes, 1 wrong, 0 not reached/)]);
  expect(out).toMatch(
    /\* server\.delete\.domain, compute agent killed before it answers: disk_directory .* should have nothing there/,
  );
  expect(out).toMatch(/\* server\.delete\.domain, compute agent killed before it answers: orphan: file .*\/disks\//);
});

test('a case that nobody knows is refused in words', async () => {
  const main = join(root, 'test/dist/matrix/main.js');
  const { exit, err } = await runProgram(process.execPath, [main, '--only', 'server.fly'], root, {});
  expect([exit, err.trim()]).toEqual([1, 'no case contains "server.fly"']);
});
