// Deleting flows: what one process is asked, and flows that end by themselves meanwhile.
import { readdirSync, readFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { CommandError, type Exec } from '@cumulet/common';
import { deleteFlows } from '../../../network-agent/src/routers';

const FILTERS = ['-D -f ipv4 -w 7 -s 10.0.0.3', '-D -f ipv4 -w 7 -d 10.0.0.3'];

/** A conntrack that fails with each of `failures` in turn, and what each call found in its file. */
function conntrack(failures: string[]): { exec: Exec; asked: string[] } {
  const asked: string[] = [];
  const exec: Exec = (argv) => {
    asked.push(readFileSync(argv.at(-1) ?? '', 'utf8'));
    const said = failures.shift();
    if (said === undefined) return Promise.resolve({ stdout: '', stderr: '' });
    return Promise.reject(new CommandError(argv, 1, '', said));
  };
  return { exec, asked };
}
const VANISHED = "conntrack v1.4.7 (conntrack-tools): Operation failed: such conntrack doesn't exist\n";

it('asks for all filters again when a flow ended between being listed and deleted', async () => {
  const { exec, asked } = conntrack([VANISHED, VANISHED]);
  await deleteFlows(exec, FILTERS);
  expect(asked).toEqual(Array(3).fill(`${FILTERS.join('\n')}\n`));
});

it('gives up after twenty times', async () => {
  const { exec, asked } = conntrack(Array<string>(30).fill(VANISHED));
  await expect(deleteFlows(exec, FILTERS)).rejects.toThrow("such conntrack doesn't exist");
  expect(asked).toHaveLength(20);
});

it('does not repeat what fails for another reason', async () => {
  const { exec, asked } = conntrack(['Operation not permitted']);
  await expect(deleteFlows(exec, FILTERS)).rejects.toThrow('Operation not permitted');
  expect(asked).toHaveLength(1);
});

it('starts no process for nothing', async () => {
  const { exec, asked } = conntrack([]);
  await deleteFlows(exec, []);
  expect(asked).toEqual([]);
});

it('leaves no file, even when it is killed while conntrack works', async () => {
  const left = () => readdirSync(tmpdir()).filter((name) => name.startsWith('cumulet-flows-'));
  const before = left();
  let meanwhile: string[] | undefined;
  const exec: Exec = (argv) => {
    expect(readFileSync(argv.at(-1) ?? '', 'utf8')).toBe(`${FILTERS.join('\n')}\n`);
    meanwhile = left();
    return Promise.resolve({ stdout: '', stderr: '' });
  };
  await deleteFlows(exec, FILTERS);
  expect(meanwhile).toEqual(before);
});
