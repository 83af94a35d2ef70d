// What stories on machines wait for, and the words that they must hear.
import { systemClock } from '@cumulet/common';

/** Tries until it works. @throws what went wrong last */
export async function soon<T>(work: () => Promise<T>, seconds: number): Promise<T> {
  const until = performance.now() + seconds * 1000;
  for (;;) {
    try {
      return await work();
    } catch (error) {
      if (performance.now() > until) throw error;
      await systemClock.sleep(1000);
    }
  }
}

/** @throws unless the text has it */
export function expectWords(text: string, words: RegExp): string {
  const found = words.exec(text);
  if (!found) throw new Error(`expected ${String(words)}, but got: ${text}`);
  return found[0];
}
