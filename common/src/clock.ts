// Time behind an interface, so that tests decide when it passes.

export interface Clock {
  /** Milliseconds since the epoch. */
  now(): number;
  /** Resolves after the given milliseconds, or at once when the signal is aborted. */
  sleep(milliseconds: number, signal?: AbortSignal): Promise<void>;
  /**
   * Resolves at the process' next tick of that many milliseconds ({@link untilTick}), or at once when the signal is aborted: for work that
   * comes again and again.
   */
  tick(every: number, signal?: AbortSignal): Promise<void>;
}

/**
 * Milliseconds until this process' next tick: what comes again and again comes together, so that an idle process wakes once for all of
 * it. What it costs to wake is more than most of what is done then.
 * @param every - milliseconds between two ticks; the answer is at least half of it
 * @param now - milliseconds since the process began
 */
export const untilTick = (every: number, now = performance.now()): number =>
  (Math.round(now / every) + 1) * every - now;

const sleep: Clock['sleep'] = (milliseconds, signal) =>
  new Promise((resolve) => {
    if (signal?.aborted) return resolve();
    const finish = (): void => {
      clearTimeout(timer);
      signal?.removeEventListener('abort', finish);
      resolve();
    };
    const timer = setTimeout(finish, milliseconds);
    signal?.addEventListener('abort', finish);
  });

export const systemClock: Clock = {
  now: () => Date.now(),
  sleep,
  tick: (every, signal) => sleep(untilTick(every), signal),
};
