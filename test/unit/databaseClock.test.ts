// The clock that controllers share: the database's, counted on between two questions, whatever this machine's says.
import { silentLogger, systemClock, type Clock } from '@cumulet/common';
import type { Database } from '@cumulet/controller';
import { openDatabaseClock, type DatabaseClock } from '../../controller/src/databaseClock';

/** A machine whose clock stands at a time, and whose sleep ends when the test says so. */
function machine(time: number): Clock & { wakeUp(): Promise<void> } {
  let rouse = (): void => undefined;
  const sleep: Clock['sleep'] = (_milliseconds, signal) =>
    new Promise((resolve) => {
      rouse = resolve;
      signal?.addEventListener('abort', () => resolve());
    });
  return {
    now: () => time,
    sleep,
    tick: sleep,
    async wakeUp() {
      rouse();
      await new Promise((resolve) => setTimeout(resolve, 20));
    },
  };
}
const databaseWith = (time: () => Promise<number>) => ({ engine: 'mariadb', time }) as unknown as Database;
/** Equal, but for what passes between two lines on a busy machine. */
const expectAbout = (value: number | undefined, time: number): void =>
  expect(Math.abs((value ?? 0) - time)).toBeLessThan(60_000);

const FAR = 5_000_000_000;
let clock: DatabaseClock | undefined;
const warnings: string[] = [];
const log = Object.assign(Object.create(silentLogger) as typeof silentLogger, {
  warn: (_facts: object, text: string) => void warnings.push(text),
  error: (_facts: object, text: string) => void warnings.push(text),
});
beforeEach(() => warnings.splice(0));
afterEach(async () => {
  await clock?.stop();
  clock = undefined;
});

test('it says what the database says and counts on by itself; that the machine differs is said once', async () => {
  let questions = 0;
  const local = machine(30_000);
  const ask = () => Promise.resolve((questions++, FAR));
  clock = await openDatabaseClock(databaseWith(ask), local, log);
  const first = clock.now();
  expectAbout(first, FAR);
  await local.wakeUp();
  expect(questions).toBe(6);
  expect(warnings).toEqual([expect.stringContaining('differs from the database')]);
  await new Promise((resolve) => setTimeout(resolve, 20));
  expect(clock.now()).not.toBe(first);
});

test('it follows the database, for instance to another server', async () => {
  let time = FAR;
  const local = machine(FAR);
  clock = await openDatabaseClock(
    databaseWith(() => Promise.resolve(time)),
    local,
    log,
  );
  expect(warnings).toEqual([]);
  time = 2 * FAR;
  await local.wakeUp();
  expectAbout(clock.now(), 2 * FAR);
});

describe('slow answers', () => {
  /** The monotonic clock, as far as the test let it run. */
  let ran = 0;
  beforeEach(() => {
    ran = 0;
    jest.spyOn(performance, 'now').mockImplementation(() => ran);
  });
  afterEach(() => jest.restoreAllMocks());
  const after = (milliseconds: number, time: number) => () => Promise.resolve(((ran += milliseconds), time));

  test('count at first, from the middle of the wait, and do not correct a clock that was set', async () => {
    const local = machine(FAR);
    let answer = after(4000, FAR);
    clock = await openDatabaseClock(
      databaseWith(() => answer()),
      local,
      log,
    );
    expect(clock.now()).toBe(FAR + 10_000);
    answer = after(1001, 2 * FAR);
    await local.wakeUp();
    expect(clock.now()).toBe(FAR + 13_003);
    answer = after(1000, 2 * FAR);
    await local.wakeUp();
    expect(clock.now()).toBe(2 * FAR + 2_500);
  });

  test('of several the fastest counts', async () => {
    const answers = [after(500, 1000), after(100, 2000), after(300, 3000)];
    clock = await openDatabaseClock(
      databaseWith(() => answers.shift()?.() ?? Promise.reject(new Error())),
      machine(0),
      log,
    );
    expect(clock.now()).toBe(2350);
  });
});

test('while the database does not answer it goes on; without a first answer there is no clock', async () => {
  let answer = (): Promise<number> => Promise.resolve(FAR);
  const local = machine(FAR);
  clock = await openDatabaseClock(
    databaseWith(() => answer()),
    local,
    log,
  );
  answer = () => Promise.reject(new Error('away'));
  await local.wakeUp();
  expect(warnings).toEqual([expect.stringContaining('time failed')]);
  expectAbout(clock.now(), FAR);
  await expect(openDatabaseClock(databaseWith(answer), local, log)).rejects.toThrow('away');
});

test('with SQLite it is the process’s own, sleep included', async () => {
  const sqlite = { engine: 'sqlite' } as unknown as Database;
  clock = await openDatabaseClock(sqlite, machine(42), log);
  expect(clock.now()).toBe(42);
  const real = await openDatabaseClock(
    databaseWith(() => Promise.resolve(FAR)),
    systemClock,
    silentLogger,
  );
  await real.sleep(1);
  await real.stop();
});
