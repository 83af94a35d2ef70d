// Work on many items in slices: between two of them other requests get their turn on the event loop.
import { setImmediate as turn } from 'node:timers/promises';

/** Items after which the time is looked at: some milliseconds even where each costs most. */
const SLICE = 100;
/** For how long nobody else gets a turn, in milliseconds. */
const SLICE_MS = 0.5;

/** `items.map(map)`, but one that takes long lets others through. */
export async function mapInSlices<T, R>(items: readonly T[], map: (item: T) => R): Promise<R[]> {
  const results: R[] = [];
  let begun = performance.now();
  for (let start = 0; start < items.length; start += SLICE) {
    if (performance.now() - begun > SLICE_MS) {
      await turn();
      begun = performance.now();
    }
    for (const item of items.slice(start, start + SLICE)) results.push(map(item));
  }
  return results;
}

const member = (key: string, text: string | undefined): string[] =>
  text === undefined ? [] : [`${JSON.stringify(key)}:${text}`];

/** `JSON.stringify` for the body of an answer, whose long parts are lists at the first level. */
export async function stringifyInSlices(body: unknown): Promise<string> {
  if (typeof body !== 'object' || body === null || Array.isArray(body)) return JSON.stringify(body);
  const entries = Object.entries(body);
  if (!entries.some(([, value]) => Array.isArray(value) && value.length > SLICE)) return JSON.stringify(body);
  const members: string[] = [];
  for (const [key, value] of entries as [string, unknown][]) {
    if (!Array.isArray(value)) members.push(...member(key, JSON.stringify(value)));
    else {
      // An array writes what has no JSON as null.
      const texts = await mapInSlices(value, (item: unknown) => (JSON.stringify(item) as string | undefined) ?? 'null');
      members.push(...member(key, `[${texts.join(',')}]`));
    }
  }
  return `{${members.join(',')}}`;
}
