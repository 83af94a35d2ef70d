// What the first hour calls equal, and how it counts: a comparison that sees nothing would pass every machine.
import { CommandError } from '@cumulet/common';
import { createReport } from '../containers/report';
import { differences } from '../containers/snapshot';

const nothing = (): boolean => false;
const machine = (files: string[], rules: string[]) =>
  new Map([
    ['files', files],
    ['iptables', rules],
  ]);

test('equal machines have no differences; what came, went or changed is named', () => {
  const before = machine(['/etc/a f 644 1', '/etc/b f 644 2'], ['-A FORWARD -j one', 'COMMIT']);
  expect(differences(before, before, nothing)).toEqual([]);
  const after = machine(['/etc/a f 644 3', '/etc/c f 600 4'], ['-A FORWARD -j one', 'COMMIT', 'COMMIT']);
  expect(differences(before, after, nothing)).toEqual([
    'files - /etc/a f 644 1',
    'files - /etc/b f 644 2',
    'files + /etc/a f 644 3',
    'files + /etc/c f 600 4',
    'iptables + COMMIT',
  ]);
  const told = differences(before, after, (section, line) => section === 'iptables' || line.startsWith('/etc/a '));
  expect(told).toEqual(['files - /etc/b f 644 2', 'files + /etc/c f 600 4']);
});

test('rules in another order are a difference', () => {
  const [one, two] = ['-A FORWARD -j one', '-A FORWARD -j two'];
  expect(differences(machine([], [one, two]), machine([], [two, one]), nothing)).toEqual([
    'iptables: the same lines in another order',
  ]);
});

describe('the report', () => {
  const played = async (play: (report: ReturnType<typeof createReport>) => Promise<unknown>) => {
    const lines: string[] = [];
    const report = createReport((line) => lines.push(line.replace(/ +\d+\.\d s /, ' ')));
    await play(report);
    return { code: report.end(), lines };
  };

  test('ends with 0 when all has passed', async () => {
    expect(await played(({ step }) => step('one', async () => 'seen'))).toEqual({
      code: 0,
      lines: ['passed  one: seen', '1 passed, 0 failed, 0 skipped'],
    });
  });

  test('goes on after a failure, tells what a command said, and skips what needs what is missing', async () => {
    const { code, lines } = await played(async ({ step, need }) => {
      await step('one', () => Promise.reject(new CommandError(['sh', '-c', 'up'], 3, 'out', 'why')));
      await need('two', () => Promise.reject(new Error('no machine')));
      await step('three', async () => 'never');
    });
    expect(code).toBe(1);
    expect(lines[0]).toMatch(/^FAILED +one: up ended with 3\n +out\n +why$/);
    expect(lines.slice(1).map((line) => line.replace(/ +/g, ' ').trim())).toEqual([
      'FAILED two: no machine',
      'skipped three',
      '0 passed, 2 failed, 1 skipped',
    ]);
  });
});
