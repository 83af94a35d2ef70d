// npm run crash -- [--seed N] [--minutes M] [--only TEXT] [--out FILE] [--leak]: the crash matrix on real processes, libvirt and
// networks. Exits with 1 when anything was stuck or left behind.
import { randomInt } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { taskKinds } from '@cumulet/controller';
import { crossed, sampled, type Fault } from './faults';
import { play, type Outcome } from './play';
import { report, type Played } from './report';
import { ELSEWHERE, stories } from './stories';
import { startMatrixWorld, type MatrixWorld } from './world';

/** A step is over in a moment; a fault that came too late is tried again. */
const TRIES = 3;

interface Case {
  readonly kind: string;
  readonly step: string;
  readonly name: string;
  readonly fault: Fault;
}

/** In an order that the seed decides. */
function shuffled<T>(items: readonly T[], seed: number): T[] {
  let state = seed;
  const chance = (): number => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
  return items
    .map((item) => ({ item, at: chance() }))
    .sort((one, other) => one.at - other.at)
    .map(({ item }) => item);
}

const places = taskKinds.flatMap(({ kind, steps }) =>
  stories[kind] ? Object.keys(steps).flatMap((step) => (ELSEWHERE.has(`${kind}.${step}`) ? [] : [{ kind, step }])) : [],
);
const casesOf = (faults: Readonly<Record<string, Fault>>): Case[] =>
  places.flatMap((place) => Object.entries(faults).map(([name, fault]) => ({ ...place, name, fault })));

async function playCase(world: MatrixWorld, { kind, step, fault }: Case): Promise<Outcome> {
  const story = stories[kind];
  if (!story) throw new Error(`no story makes a task of kind ${kind}`);
  for (let tries = 1; ; tries++) {
    const outcome = await play(world, [kind, step], story, fault);
    if (outcome.struck || outcome.problems.length > 0 || tries === TRIES) return outcome;
  }
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
  const end = Date.now() + Number(values.minutes) * 60_000;
  if (!Number.isInteger(seed) || Number.isNaN(end)) throw new Error('--seed and --minutes are numbers');
  console.log(`seed ${seed}`);
  const wanted = [...shuffled(casesOf(crossed), seed), ...shuffled(casesOf(sampled), seed + 1)].filter(
    ({ kind, step, name }) => `${kind}.${step} ${name}`.includes(values.only),
  );
  if (wanted.length === 0) throw new Error(`no case contains ${JSON.stringify(values.only)}`);
  const played: Played[] = [];
  const world = await startMatrixWorld(values.leak);
  try {
    for (const one of wanted) {
      if (Date.now() > end) break;
      const outcome = await playCase(world, one);
      played.push({ kind: one.kind, step: one.step, fault: one.name, outcome });
      const words = outcome.struck ? `${outcome.end ?? 'gone'} after ${outcome.seconds.toFixed(1)} s` : 'not reached';
      console.log([`${one.kind}.${one.step}, ${one.name}: ${words}`, ...outcome.problems].join('\n  '));
      // What is left behind would be found in every case that follows.
      if (outcome.problems.length > 0) break;
    }
  } finally {
    await world.stop();
  }
  const text = report(played, {
    seed,
    faults: Object.keys({ ...crossed, ...sampled }),
    places,
    left: wanted.length - played.length,
  });
  console.log(`\n${text}`);
  if (values.out !== undefined) writeFileSync(values.out, text);
  return played.some(({ outcome }) => outcome.problems.length > 0) ? 1 : 0;
}

main().then(
  (code) => process.exit(code),
  (error: unknown) => {
    console.error(error instanceof Error ? error.message : error);
    process.exit(1);
  },
);
