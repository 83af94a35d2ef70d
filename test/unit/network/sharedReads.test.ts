// Reads that hosts share: once for those who have seen the same change, never what is older than that, and not for long.
import { createSharedReads } from '../../../controller/src/services/network/sharedReads';

let now = 0;
let reads: string[][] = [];
const value = { current: 'old' };
const read = (ids: readonly string[]): Promise<ReadonlyMap<string, string>> => {
  reads.push([...ids]);
  return Promise.resolve(new Map(ids.filter((id) => id !== 'none').map((id) => [id, `${id} ${value.current}`])));
};
const keys = (...ids: string[]): ReadonlyMap<string, string> => new Map(ids.map((id) => [id, '']));

beforeEach(() => {
  now = 1_000;
  reads = [];
  value.current = 'old';
});

test('who has seen the same change shares what was read, also while it is being read', async () => {
  const shared = createSharedReads<string>(() => now);
  const both = await Promise.all([shared.get(5, keys('a', 'b'), read), shared.get(5, keys('b', 'c'), read)]);
  expect(both).toEqual([
    ['a old', 'b old'],
    ['b old', 'c old'],
  ]);
  expect(reads).toEqual([['a', 'b'], ['c']]);
  expect(await shared.get(5, keys('c', 'a'), read)).toEqual(['c old', 'a old']);
  expect(reads).toHaveLength(2);
});

test('who has seen a newer change reads anew, and who has seen less may have the newer one', async () => {
  const shared = createSharedReads<string>(() => now);
  await shared.get(5, keys('a'), read);
  value.current = 'new';
  expect(await shared.get(6, keys('a'), read)).toEqual(['a new']);
  expect(await shared.get(5, keys('a'), read)).toEqual(['a new']);
  expect(reads).toEqual([['a'], ['a']]);
});

test('what somebody read who has seen less is given to nobody', async () => {
  const shared = createSharedReads<string>(() => now);
  await shared.get(6, keys('a'), read);
  expect(await shared.get(5, keys('b'), read)).toEqual(['b old']);
  value.current = 'new';
  expect(await shared.get(6, keys('b'), read)).toEqual(['b new']);
});

test('after a moment it is read anew even if nothing newer was seen', async () => {
  const shared = createSharedReads<string>(() => now);
  await shared.get(5, keys('a'), read);
  value.current = 'late';
  now += 249;
  expect(await shared.get(5, keys('a'), read)).toEqual(['a old']);
  now += 1;
  expect(await shared.get(5, keys('a'), read)).toEqual(['a late']);
});

test('what an object depends on besides keeps it apart, and what is not there is left out', async () => {
  const shared = createSharedReads<string>(() => now);
  await shared.get(5, new Map([['a', 'with members']]), read);
  expect(await shared.get(5, new Map([['a', 'rules only']]), read)).toEqual(['a old']);
  expect(await shared.get(5, keys('none', 'a'), read)).toEqual(['a old']);
  expect(reads).toEqual([['a'], ['a'], ['none', 'a']]);
});

test('a failure is told to those who wait for it, and the next one reads again', async () => {
  const shared = createSharedReads<string>(() => now);
  const failing = (): Promise<ReadonlyMap<string, string>> => Promise.reject(new Error('no database'));
  const both = await Promise.allSettled([shared.get(5, keys('a'), failing), shared.get(5, keys('a'), read)]);
  expect(both.map(({ status }) => status)).toEqual(['rejected', 'rejected']);
  expect(await shared.get(5, keys('a'), read)).toEqual(['a old']);
});

test('nothing asked for is nothing read', async () => {
  const shared = createSharedReads<string>(() => now);
  expect(await shared.get(5, new Map(), read)).toEqual([]);
  expect(reads).toEqual([]);
});
