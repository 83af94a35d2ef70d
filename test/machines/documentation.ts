// What docs/operations.md has an administrator type and write, in its order: files and commands, each with the machine that it is for.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { root } from '../support/checkout';

/** Where the documentation has its machines, and the interface that they have there. */
const PREFIX = '10.0.0.';
const INTERFACE = 'eth0';
const REPOSITORY = 'https://git.example/cumulet.git';

/** A machine of the documentation: its name and the last number of its address. */
export interface Place {
  readonly name: string;
  readonly number: number;
}

export const CTL: Place = { name: 'ctl', number: 5 };
export const HOSTS: readonly [Place, Place] = [
  { name: 'node-1', number: 31 },
  { name: 'node-2', number: 32 },
];

/** How the machines that are there differ from the documented ones. */
export interface Differences {
  /** First three numbers of addresses. */
  readonly prefix: string;
  readonly interface: string;
  readonly repository: string;
}

interface Block {
  /** What a command is about, or the path of a file. */
  readonly what: string;
  readonly places: readonly Place[];
  readonly kind: 'commands' | 'file';
  readonly text: string;
}

/** A file of the first host is one of each host, there with its own name and address. */
function placesOf(words: string): readonly Place[] {
  if (words === CTL.name) return [CTL];
  if (words === 'each host' || words === HOSTS[0].name) return HOSTS;
  throw new Error(`docs/operations.md: nobody knows which machine "${words}" is`);
}

/** The blocks of a section in their order. Each begins with `# on MACHINE: WHAT`, or `# PATH of MACHINE`. */
export function blocksOf(heading: string, text = readFileSync(join(root, 'docs/operations.md'), 'utf8')): Block[] {
  const [, section] = text.split(`\n### ${heading}\n`);
  if (section === undefined) throw new Error(`docs/operations.md has no section "${heading}"`);
  const [own = ''] = section.split(/^#{2,3} [A-Z]/m);
  return [...own.matchAll(/^```\w+\n(.*)\n([^]*?)^```$/gm)].map(([, first = '', rest = '']) => {
    const command = /^# on ([^:]+): (.+)$/.exec(first);
    if (command) return { what: command[2] ?? '', places: placesOf(command[1] ?? ''), kind: 'commands', text: rest };
    const file = /^# (\/\S+) of (\S+)$/.exec(first);
    if (!file) throw new Error(`docs/operations.md: a block begins with "${first}" and does not say where it belongs`);
    return { what: file[1] ?? '', places: placesOf(file[2] ?? ''), kind: 'file', text: rest };
  });
}

/** A block's text, or a path, as it is on one of its machines. */
export function textOn(place: Place, { kind }: Pick<Block, 'kind'>, text: string, other: Differences): string {
  const [first] = HOSTS;
  const own =
    kind === 'file' && HOSTS.includes(place)
      ? text.replaceAll(`${PREFIX}${first.number}`, `${PREFIX}${place.number}`).replaceAll(first.name, place.name)
      : text;
  return own
    .replaceAll(PREFIX, `${other.prefix}.`)
    .replaceAll(INTERFACE, other.interface)
    .replaceAll(REPOSITORY, other.repository);
}
