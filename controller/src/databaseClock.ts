// One clock for all controllers of a database: the database server's. Controllers compare each other's times (leases, heartbeats,
// deadlines, revocations), and a machine whose clock is wrong must not break that. docs/adr/0013-one-clock.md.
import type { Clock, Logger } from '@cumulet/common';
import type { Database } from './db';
import { repeat, type Repeating } from './repeat';

/** How often the clock is set again: machines' oscillators differ by less than a millisecond in this time. */
const SET_EVERY_MS = 10_000;
/** Questions each time; the fastest answer is the most exact one. */
const QUESTIONS = 3;
/** An answer that took longer says too little to correct a clock that was set before. */
const SLOWEST_MS = 1_000;
/** From here on the administrator should hear that this machine's clock differs. */
const REMARKABLE_MS = 2_000;

/** Its `stop` ends the looks at the database. */
export interface DatabaseClock extends Clock, Repeating {}

/**
 * The database's time, without asking it each time: what it said last, and what the monotonic clock counted since. Setting the
 * machine's clock changes nothing. With SQLite it is `local`, the process's own.
 * @throws DatabaseUnavailableError when the first question is not answered
 */
export async function openDatabaseClock(db: Database, local: Clock, log: Logger): Promise<DatabaseClock> {
  if (db.engine === 'sqlite') return { ...local, stop: () => Promise.resolve() };
  /** The database's time when the monotonic clock was 0. */
  let origin: number | undefined;
  let remarked = false;
  const now = (): number => Math.round((origin ?? 0) + performance.now());

  async function set(): Promise<void> {
    let best: { readonly took: number; readonly origin: number } | undefined;
    for (let question = 0; question < QUESTIONS; question++) {
      const asked = performance.now();
      const time = await db.time();
      const took = performance.now() - asked;
      if (!best || took < best.took) best = { took, origin: time - asked - took / 2 };
    }
    if (best && (origin === undefined || best.took <= SLOWEST_MS)) origin = best.origin;
    const off = local.now() - now();
    const remarkable = Math.abs(off) > REMARKABLE_MS;
    if (remarkable && !remarked)
      log.warn(
        { seconds: off / 1000 },
        "this machine's clock differs from the database's, which is the one that counts",
      );
    remarked = remarkable;
  }

  await set();
  const setting = repeat({ clock: local, log }, "reading the database's time", SET_EVERY_MS, set);
  return {
    now,
    sleep: (...args) => local.sleep(...args),
    tick: (...args) => local.tick(...args),
    stop: () => setting.stop(),
  };
}
