// One run at a time: what is asked for meanwhile is merged into the next run.

/**
 * Wraps a function so that its runs never overlap. Each call resolves with a run that began after the call, and calls that wait
 * for the same run share it.
 */
export function merged(run: () => Promise<void>): () => Promise<void> {
  let current: Promise<void> | undefined;
  let next: Promise<void> | undefined;
  const start = (): Promise<void> => {
    const mine = run().finally(() => {
      if (current === mine) current = undefined;
    });
    current = mine;
    return mine;
  };
  return () => {
    if (!current) return start();
    next ??= current
      .catch(() => undefined)
      .then(() => {
        next = undefined;
        return start();
      });
    return next;
  };
}
