// Questions that come close together are answered together: in a busy cloud what is read for one is read for many.
import { setImmediate, setTimeout as pause } from 'node:timers/promises';
import type { Cloud } from './cloud';

/** The longest pause between rounds, in milliseconds. */
const MOST_PAUSE_MS = 50;
/** A pause is so many times as long as the round before it: a small cloud hardly waits, a large one answers many at once. */
const PAUSE_PER_ROUND = 6;
/** Questions of one round: its answers are made in one go, and kept in memory as a whole. */
const MOST_QUESTIONS = 50;

/** Does one round of work and then leaves others six sevenths of the time, but for no longer than 50 ms. */
export async function inRound(work: () => Promise<void>): Promise<void> {
  const begun = performance.now();
  await work();
  await pause(Math.min((performance.now() - begun) * PAUSE_PER_ROUND, MOST_PAUSE_MS));
}

interface Waiting<Q, A> {
  readonly question: Q;
  readonly resolve: (answer: A) => void;
  readonly fail: (error: unknown) => void;
}

export interface RoundOptions {
  /** Somebody waits for the answers: a round of one question is followed by no pause, so that who asks alone never waits. */
  readonly eager?: boolean;
}

/**
 * @param answer answers questions, in their order; it begins after all of them were asked, so that nothing is older than its question
 * @returns asks: at once when nobody else has asked lately, or in the next round
 */
export function createRounds<Q, A>(
  answer: (questions: readonly Q[]) => Promise<readonly A[]>,
  { eager = false }: RoundOptions = {},
): (question: Q) => Promise<A> {
  const waiting: Waiting<Q, A>[] = [];
  let working = false;

  async function tell(some: readonly Waiting<Q, A>[]): Promise<void> {
    try {
      const answers = await answer(some.map(({ question }) => question));
      for (const [at, { resolve }] of some.entries()) resolve(answers[at] as A);
    } catch (error) {
      // What fails for one must not fail for all.
      if (some.length > 1) await Promise.all(some.map((one) => tell([one])));
      else for (const { fail } of some) fail(error);
    }
  }

  async function work(): Promise<void> {
    working = true;
    // Those that ask in the same turn of the event loop belong together.
    await setImmediate();
    while (waiting.length > 0) {
      const some = waiting.splice(0, MOST_QUESTIONS);
      if (eager && some.length === 1) await tell(some);
      else await inRound(() => tell(some));
    }
    working = false;
  }

  return (question) =>
    new Promise((resolve, fail) => {
      waiting.push({ question, resolve, fail });
      if (!working) void work();
    });
}

/** The same for questions about a cloud: each has rounds of its own. */
export function createCloudRounds<Q, A>(
  answer: (cloud: Cloud, questions: readonly Q[]) => Promise<readonly A[]>,
  options: RoundOptions = {},
): (cloud: Cloud, question: Q) => Promise<A> {
  const rounds = new WeakMap<Cloud, (question: Q) => Promise<A>>();
  return (cloud, question) => {
    const ask = rounds.get(cloud) ?? createRounds((questions: readonly Q[]) => answer(cloud, questions), options);
    rounds.set(cloud, ask);
    return ask(question);
  };
}
