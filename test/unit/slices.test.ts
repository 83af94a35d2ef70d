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

test('other work runs between the slices of a long list', async () => {
  const seen: number[] = [];
  let done = 0;
  setImmediate(() => seen.push(done));
  await mapInSlices(numbers, () => void done++);
  expect(seen).toHaveLength(1);
  expect(seen[0]).toBeLessThan(numbers.length);
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
