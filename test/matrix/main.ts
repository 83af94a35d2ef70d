// npm run crash -- [--seed N] [--minutes M] [--only TEXT] [--out FILE] [--leak]: the crash matrix on real processes, libvirt and
// networks. Exits with 1 when anything was stuck or left behind.
import { spawn } from 'node:child_process';
import { randomInt } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { asksOf, chances, plan, type Strike } from './plan';
import { report } from './report';
import { play, type Outcome } from './strike';
import { startMatrixWorld, type MatrixWorld } from './world';

const said = ({ cell: { kind, step, fault }, struck, end, seconds, problems }: Outcome): string => {
  const words = struck ? `${end ?? 'gone'} after ${seconds.toFixed(1)} s` : 'not reached';
  return [`${kind}.${step}, ${fault.name}: ${words}`, ...problems].join('\n  ');
};

/** Plays strikes in a world that is made when it is needed, and anew when something was left in it. */
function createPlayer(leak: boolean, chance: () => number) {
  let world: MatrixWorld | undefined;
  const stop = async (): Promise<void> => {
    await world?.stop();
    world = undefined;
  };
  const once = async (strike: Strike): ReturnType<typeof play> => {
    world ??= await startMatrixWorld(leak);
    const result = await play(world, strike, chance);
    if (result.common.length > 0 || result.outcomes.some(({ problems }) => problems.length > 0)) await stop();
    return result;
  };
  const blamed = (outcomes: readonly Outcome[], common: readonly string[]): Outcome[] =>
    outcomes.map((outcome) => ({ ...outcome, problems: [...outcome.problems, ...common] }));

  /** What is wrong and names nobody is looked for in each cell alone. */
  async function playAndBlame(strike: Strike): Promise<Outcome[]> {
    const { outcomes, common } = await once(strike);
    if (common.length === 0 || strike.length === 1) return blamed(outcomes, common);
    console.log(['wrong, and it is not known of which; each is played alone:', ...common].join('\n  '));
    const alone: Outcome[] = [];
    for (const cell of strike) {
      const result = await once([cell]);
      alone.push(...blamed(result.outcomes, result.common));
    }
    if (alone.some(({ problems }) => problems.length > 0)) return alone;
    return blamed(
      outcomes,
      common.map((problem) => `only together with others: ${problem}`),
    );
  }

  return { play: playAndBlame, stop, asked: () => world?.director.asked ?? new Set<string>() };
}

async function main(): Promise<number> {
  const { values } = parseArgs({
    options: {
      seed: { type: 'string' },
      minutes: { type: 'string', default: '90' },
      only: { type: 'string', default: '' },
      out: { type: 'string' },
      leak: { type: 'boolean', default: false },
    },
  });
  const seed = Number(values.seed ?? randomInt(2 ** 31));
  const began = Date.now();
  const end = began + Number(values.minutes) * 60_000;
  if (!Number.isInteger(seed) || Number.isNaN(end)) throw new Error('--seed and --minutes are numbers');
  console.log(`seed ${seed}`);
  const strikes = plan(seed, values.only);
  if (strikes.length === 0) throw new Error(`no case contains ${JSON.stringify(values.only)}`);
  const played: Outcome[] = [];
  const player = createPlayer(values.leak, chances(seed));
  let left = strikes.flat().length;
  const sum = (): string => report(played, { seed, minutes: Math.round((Date.now() - began) / 60_000), left });
  try {
    for (const strike of strikes) {
      if (Date.now() > end) break;
      const outcomes = await player.play(strike);
      played.push(...outcomes);
      left -= strike.length;
      console.log(outcomes.map(said).join('\n'));
      console.log(`${played.length} played, ${left} left, ${((Date.now() - began) / 1000).toFixed(0)} s`);
      if (values.out !== undefined) writeFileSync(values.out, sum());
    }
    for (const one of player.asked()) {
      const [at = '', role] = one.split(' ');
      const [, kind = '', step = ''] = /^(.*)\.(\w+)$/.exec(at) ?? [];
      if (!asksOf({ kind, step }).some((known) => known === role)) console.log(`${at} asks the ${role} agent, too`);
    }
  } finally {
    await player.stop();
  }
  console.log(`\n${sum()}`);
  return played.some(({ problems }) => problems.length > 0) ? 1 : 0;
}

/** A machine's namespaces of its own: networks, names of networks, and processes that end with us however we end. */
const INSIDE = 'mount -t tmpfs tmpfs /run/netns && ip link set lo up && "$@"; exit $?';

function mainInside(): void {
  const namespaces = ['unshare', '--net', '--mount', '--pid', '--fork', '--kill-child', '--mount-proc'];
  const again = ['bash', '-c', INSIDE, 'bash', process.execPath, ...process.argv.slice(1)];
  const [file = '', ...argv] = ['setpriv', '--pdeathsig', 'KILL', ...namespaces, ...again];
  const child = spawn(file, argv, { stdio: 'inherit', env: { ...process.env, CUMULET_MATRIX_INSIDE: 'yes' } });
  child.once('exit', (code) => process.exit(code ?? 1));
}

if (process.env['CUMULET_MATRIX_INSIDE'] === undefined) mainInside();
else
  main().then(
    (code) => process.exit(code),
    (error: unknown) => {
      console.error(error instanceof Error ? error.message : error);
      process.exit(1);
    },
  );
