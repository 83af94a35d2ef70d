// One line per step: its name, how long it took and what came of it; on a terminal also how far it is.

const LINE = (title: string, ms: number, text: string): string =>
  `  ${title.padEnd(26)} ${String(Math.round(ms / 1000)).padStart(4)} s  ${text}`;

/** Runs a step and reports it.
 * @param work - gets a function that shows progress; what it returns stands behind the finished step */
export async function step(title: string, work: (progress: (text: string) => void) => Promise<string>): Promise<void> {
  const begin = Date.now();
  let shown = '';
  const draw = (): void => {
    process.stdout.write(`\r\x1b[K${LINE(title, Date.now() - begin, shown.slice(0, 40))}`);
  };
  const timer = process.stdout.isTTY ? setInterval(draw, 250) : undefined;
  try {
    const result = await work((text) => {
      shown = text;
    });
    if (timer) process.stdout.write('\r\x1b[K');
    process.stdout.write(`${LINE(title, Date.now() - begin, result)}\n`);
  } catch (error) {
    if (timer) process.stdout.write('\r\x1b[K');
    const why = error instanceof Error ? error.message : String(error);
    throw new Error(`${title}: ${why}`, { cause: error });
  } finally {
    clearInterval(timer);
  }
}
