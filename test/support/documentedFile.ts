// Configuration files as docs/operations.md prints them, so that what is documented is what tests run with.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { root } from './checkout';

/** The three machines of the documentation have addresses from this prefix on: .11 to .13, and .10 that leads to one of them. */
const PREFIX = '10.0.0.';
export const machines = [1, 2, 3] as const;
export type Machine = (typeof machines)[number];

/** The address of a machine when all of them are on loopback, below a prefix such as `127.3.4.`. */
export const machineAddress = (prefix: string, machine: Machine): string => `${prefix}1${machine}`;

const SECTION = '\n### Clusters of database and broker\n';

/** The block of the section about these machines whose first line is a comment with this path. */
function block(path: string): string {
  const [, text = ''] = readFileSync(join(root, 'docs/operations.md'), 'utf8').split(SECTION);
  const found = [...text.matchAll(/^```\w+\n(# (\/[\w./-]+)[^]*?)^```$/gm)].find(([, , name]) => name === path)?.[1];
  if (found === undefined) throw new Error(`docs/operations.md has no file ${path}`);
  return found;
}

/** Whether a line names all machines, so that it is the same on each of them. */
const namesAll = (line: string): boolean => line.includes(`${PREFIX}12`) || line.startsWith('cluster_formation');

/** A documented file with addresses below `prefix`, where it tells of the first machine for another one. */
export function documentedFile(path: string, prefix: string, machine: Machine = 1): string {
  const lines = block(path)
    .split('\n')
    .map((line) =>
      namesAll(line)
        ? line
        : line.replaceAll(`${PREFIX}11`, machineAddress(PREFIX, machine)).replaceAll('db-1', `db-${machine}`),
    );
  return lines.join('\n').replaceAll(PREFIX, prefix);
}
