// `npm run lab` and the command `cumulet` beside it, as a person types them, for a lab of a test's own.
import { randomBytes } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { root } from './checkout';
import { runProgram, type Run } from './programs';
import { connect, type CloudClient } from './realCloud';

export interface LabCommand {
  /** Everything that the lab has outside its namespaces is this directory and this link. */
  readonly directory: string;
  readonly link: string;
  run(...args: string[]): Promise<Run>;
  /** The output of a command that must succeed. */
  must(...args: string[]): Promise<string>;
  /** The output of `cumulet` as administrator on a terminal; it must succeed. */
  cumulet(...args: string[]): Promise<string>;
  /** A client of one of the controllers. */
  client(controller?: number): Promise<CloudClient>;
}

const MAIN = join(root, 'test/dist/threeHosts/main.js');
const CLI = join(root, 'cli/dist/main.js');
const TERMINAL = join(__dirname, 'terminal.py');

async function good(run: Promise<Run>, what: string): Promise<string> {
  const { exit, out, err } = await run;
  if (exit !== 0) throw new Error(`${what} ended with ${exit}: ${err} ${out}`);
  return out;
}

export function labCommand(): LabCommand {
  const name = randomBytes(4).toString('hex');
  const directory = `/tmp/cml-lab-${name}`;
  const env = { CUMULET_LAB: name, TMPDIR: '/tmp' };
  const access = (): Record<string, string> => {
    const file = join(directory, 'openrc');
    if (!existsSync(file)) throw new Error('the lab is not up');
    return Object.fromEntries(
      [...readFileSync(file, 'utf8').matchAll(/(OS_\w+)=(\S+)/g)].map(([, key, value]) => [key, value]),
    );
  };
  const run = (...args: string[]): Promise<Run> => runProgram(process.execPath, [MAIN, ...args], root, env);
  return {
    directory,
    link: `lab-${name}`,
    run,
    must: (...args) => good(run(...args), `lab ${args.join(' ')}`),
    cumulet: (...args) =>
      good(
        runProgram('python3', [TERMINAL, '[]', process.execPath, CLI, ...args], root, access()),
        `cumulet ${args.join(' ')}`,
      ),
    client: async (controller = 1) => {
      const url = new URL(access()['OS_AUTH_URL'] ?? '');
      return connect(`http://${url.hostname}:${Number(url.port) + controller - 1}`);
    },
  };
}
