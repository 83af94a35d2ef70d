// Questions that come close together get one answer between them, and none that is older than its question.
import { setTimeout } from 'node:timers/promises';
import { createRounds } from '../../controller/src/rounds';

jest.mock('node:timers/promises', () => {
  const real = jest.requireActual<typeof import('node:timers/promises')>('node:timers/promises');
  return { ...real, setTimeout: jest.fn(real.setTimeout) };
});

test('who asks in the same moment is answered together, each with its own answer', async () => {
  const rounds: number[][] = [];
  const ask = createRounds((questions: readonly number[]) => {
    rounds.push([...questions]);
    return Promise.resolve(questions.map((one) => one * 10));
  });
  expect(await Promise.all([ask(1), ask(2), ask(3)])).toEqual([10, 20, 30]);
  expect(await ask(4)).toBe(40);
  expect(rounds).toEqual([[1, 2, 3], [4]]);
});

test('who asks while others are being answered waits for the next round: what was read for them may be older', async () => {
  let state = 'old';
  let answers: (() => void)[] = [];
  const ask = createRounds(async (questions: readonly string[]) => {
    const read = state;
    await new Promise<void>((resolve) => answers.push(resolve));
    return questions.map((one) => `${one} ${read}`);
  });
  const begun = async (): Promise<void> => {
    while (answers.length === 0) await setTimeout(1);
  };
  const goOn = async (): Promise<void> => {
    await begun();
    for (const answer of answers) answer();
    answers = [];
  };
  const first = ask('a');
  await begun();
  state = 'new';
  const [second, third] = [ask('b'), ask('c')];
  await goOn();
  expect(await first).toBe('a old');
  await goOn();
  expect(await Promise.all([second, third])).toEqual(['b new', 'c new']);
});

test('what fails for one fails for it alone', async () => {
  const ask = createRounds((questions: readonly string[]) => {
    if (questions.includes('bad')) throw new Error('bad question');
    return Promise.resolve(questions.map((one) => `${one}!`));
  });
  const answers = await Promise.allSettled([ask('a'), ask('bad'), ask('b')]);
  expect(answers).toEqual([
    { status: 'fulfilled', value: 'a!' },
    { status: 'rejected', reason: new Error('bad question') },
    { status: 'fulfilled', value: 'b!' },
  ]);
  expect(await ask('c')).toBe('c!');
});

test('a round has no more questions than can be answered in one go', async () => {
  const sizes: number[] = [];
  const ask = createRounds((questions: readonly number[]) => {
    sizes.push(questions.length);
    return Promise.resolve(questions);
  });
  const many = Array.from({ length: 120 }, (_, at) => at);
  expect(await Promise.all(many.map(ask))).toEqual(many);
  expect(sizes).toEqual([50, 50, 20]);
});

test('an eager round of one question is followed by no pause, one of several is', async () => {
  const sizes: number[] = [];
  const pauses = jest.mocked(setTimeout).mockClear();
  const ask = createRounds(
    (questions: readonly number[]) => {
      sizes.push(questions.length);
      return Promise.resolve(questions);
    },
    { eager: true },
  );
  await ask(1);
  await ask(2);
  expect(pauses).not.toHaveBeenCalled();
  await Promise.all([ask(3), ask(4)]);
  await ask(5);
  expect(sizes).toEqual([1, 1, 2, 1]);
  expect(pauses).toHaveBeenCalledTimes(1);
});
