// Long lists: the same result as in one go, and others get their turn meanwhile.
import fc from 'fast-check';
import { mapInSlices, stringifyInSlices } from '../../controller/src/slices';

const numbers = Array.from({ length: 1000 }, (_, at) => at);

test('maps in order, whatever the length', async () => {
  for (const length of [0, 1, 99, 100, 101, 1000]) {
    const items = numbers.slice(0, length);
    expect(await mapInSlices(items, (one) => one * 2)).toEqual(items.map((one) => one * 2));
  }
});

/** How far a list of a thousand was when others had their turn; each item takes so many milliseconds. */
async function turnDuring(ms: number): Promise<number | undefined> {
  let done = 0;
  let at: number | undefined;
  const clock = jest.spyOn(performance, 'now').mockImplementation(() => done * ms);
  setImmediate(() => (at = done));
  await mapInSlices(numbers, () => void done++);
  clock.mockRestore();
  return at;
}

test('other work runs between the slices of a list that takes long', async () => {
  expect(await turnDuring(0.01)).toBe(100);
});

test('one that takes no time is done in one go', async () => {
  expect(await turnDuring(0.0001)).toBeUndefined();
});

test('writes the JSON that JSON.stringify writes', async () => {
  const long = fc.array(fc.jsonValue(), { minLength: 101, maxLength: 130, size: 'max' });
  const body = fc.dictionary(fc.string(), fc.oneof(fc.jsonValue(), long), { maxKeys: 4 });
  await fc.assert(
    fc.asyncProperty(body, async (one) => expect(await stringifyInSlices(one)).toBe(JSON.stringify(one))),
    { numRuns: 30 },
  );
  for (const odd of [
    null,
    7,
    'text',
    [1],
    { items: [...numbers, undefined], links: undefined, next: null },
    { items: [], at: new Date(0) },
  ]) {
    expect(await stringifyInSlices(odd)).toBe(JSON.stringify(odd));
  }
});
