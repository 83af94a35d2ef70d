// What the crash matrix plays: cells of kind, step and fault, gathered into strikes that each play many cells at once.
import { taskKinds } from '@cumulet/controller';
import { asks } from './asks';
import type { Role } from './cloud';
import type { Moment } from './director';
import { crossed, sampled, type Fault } from './faults';
import { storyOf, type Story } from './stories';

export interface Cell {
  readonly kind: string;
  readonly step: string;
  readonly fault: Fault;
  readonly moment: Moment;
  readonly story: Story;
}

/** Cells of one fault that are played together. */
export type Strike = readonly [Cell, ...Cell[]];

/** As many servers as two hosts on a small machine start at the same time. */
const AT_ONCE = 16;

export const places = taskKinds.flatMap(({ kind, steps }) =>
  Object.keys(steps).flatMap((step) => {
    const story = storyOf(kind, step);
    return story ? [{ kind, step, story }] : [];
  }),
);
type Place = (typeof places)[number];

export const asksOf = ({ kind, step }: { kind: string; step: string }): readonly Role[] =>
  asks[`${kind}.${step}`] ?? [];

/** Numbers from 0 to 1 that the seed decides. */
export function chances(seed: number): () => number {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
}

function shuffled<T>(items: readonly T[], chance: () => number): T[] {
  return items
    .map((item) => ({ item, at: chance() }))
    .sort((one, other) => one.at - other.at)
    .map(({ item }) => item);
}

/** The places where a fault means something. */
function cellsOf(fault: Fault, from: readonly Place[]): Cell[] {
  return from.flatMap((place) => {
    const roles = asksOf(place);
    const moment = roles.length > 0 ? fault.moment.asking : fault.moment.alone;
    return moment === undefined || (fault.role && !roles.includes(fault.role)) ? [] : [{ ...place, fault, moment }];
  });
}

/** Few cells in which each kind is there, and each step of whatever kind. */
function pairwise(cells: readonly Cell[]): Cell[] {
  const [kinds, steps] = [new Set<string>(), new Set<string>()];
  return cells.filter(({ kind, step }) => {
    if (kinds.has(kind) && steps.has(step)) return false;
    kinds.add(kind);
    steps.add(step);
    return true;
  });
}

function gathered(cells: readonly Cell[]): Strike[] {
  const strikes: Strike[] = [];
  // Servers whose host is lost can't be together with others that need it.
  for (const some of [cells.filter(({ story }) => !story.loses), cells.filter(({ story }) => story.loses)])
    for (let at = 0; at < some.length; at += AT_ONCE) {
      const [first, ...others] = some.slice(at, at + AT_ONCE);
      if (first) strikes.push([first, ...others]);
    }
  return strikes;
}

/** All strikes, what must be played first; of the cells, those whose names contain a text. */
export function plan(seed: number, only: string): Strike[] {
  const chance = chances(seed);
  const isWanted = ({ kind, step, fault }: Cell): boolean => `${kind}.${step} ${fault.name}`.includes(only);
  const strikesOf = (fault: Fault, choose: (cells: readonly Cell[]) => Cell[]): Strike[] =>
    gathered(choose(shuffled(cellsOf(fault, places), chance)).filter(isWanted));
  return [
    ...shuffled(
      crossed.flatMap((fault) => strikesOf(fault, (cells) => [...cells])),
      chance,
    ),
    ...shuffled(
      sampled.flatMap((fault) => strikesOf(fault, only === '' ? pairwise : (cells) => [...cells])),
      chance,
    ),
  ];
}
