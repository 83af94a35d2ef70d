// Work that a controller does again and again beside its requests.
import { messageOf, type Clock, type Logger } from '@cumulet/common';

export interface Repeating {
  /** Resolves when nothing runs any more. */
  stop(): Promise<void>;
}

/**
 * Runs work at every tick of that many milliseconds, but for those that pass while it runs, until stopped; a failure is logged and the
 * next run comes anyway.
 */
export function repeat(
  { clock, log }: { readonly clock: Pick<Clock, 'tick'>; readonly log: Logger },
  what: string,
  every: number,
  work: () => Promise<void>,
): Repeating {
  const stopping = new AbortController();
  const { signal } = stopping;
  const run = async (): Promise<void> => {
    for (;;) {
      await clock.tick(every, signal);
      if (signal.aborted) return;
      await work().catch((error: unknown) => log.error({ error: messageOf(error) }, `${what} failed`));
    }
  };
  const running = run();
  return {
    async stop() {
      stopping.abort();
      await running;
    },
  };
}
