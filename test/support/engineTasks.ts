// What tests of the task engine share: kinds made of steps, and waiting.
import type { Step, TaskKind } from '@cumulet/controller';

/** A kind whose steps are given; failures and deletions end as asked. */
export const kindOf = (steps: Record<string, Step>, rest: Partial<TaskKind> = {}): TaskKind => ({
  kind: 'test.work',
  first: Object.keys(steps)[0] ?? '',
  steps,
  onFail: { write: () => Promise.resolve() },
  ...rest,
});

type Maybe<T> = T | undefined | false;

/** Looks until there is something. @throws Error after so many seconds */
export async function until<T>(what: string, look: () => Promise<Maybe<T>> | Maybe<T>, seconds = 60): Promise<T> {
  const end = Date.now() + seconds * 1000;
  for (;;) {
    const value = await look();
    if (value !== undefined && value !== false) return value;
    if (Date.now() > end) throw new Error(`${what} did not come within ${seconds} s`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}
