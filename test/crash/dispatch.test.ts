// Which tasks a dispatcher takes and when, and that none is done by two of them or by nobody.
import { done, next, wait, type Database, type ReadSession, type Step } from '@cumulet/controller';
import { tasks } from '../../controller/src/db/entities/tasks';
import { createTask } from '../../controller/src/services/tasks';
import { kindOf, until } from '../support/engineTasks';
import { engineScene, request } from '../support/engineScene';

const scene = engineScene();
const { run, begin, find, ended, timeline } = scene;

test('two dispatchers over 1,000 tasks run each step of each task once', async () => {
  const counts = new Map<string, number>();
  const count: (to?: string) => Step =
    (to) =>
    async ({ task }) => {
      const key = `${task.id}/${task.step}`;
      counts.set(key, (counts.get(key) ?? 0) + 1);
      await new Promise((resolve) => setImmediate(resolve));
      return to === undefined ? done() : next(to);
    };
  const kind = kindOf({ one: count('two'), two: count() });
  await scene.cloud.db.write(async (session) => {
    for (let at = 0; at < 1000; at++) await createTask(session, scene.cloud, request({ resourceId: `thing-${at}` }));
  });
  // Leases and steps may take long: a slow machine must not look like a dead dispatcher or a step that hangs.
  const patient = { leaseMs: 300_000, stepMs: 300_000 };
  await Promise.all([run([kind], patient), run([kind], patient)]);
  await until(
    'the end of all tasks',
    async () => (await scene.cloud.db.read((session) => session.count(tasks, { active: 1 }))) === 0,
    150,
  );
  expect(counts.size).toBe(2000);
  expect([...counts.values()].every((value) => value === 1)).toBe(true);
});

test('tasks that found no place begin when others end, not at the next look', async () => {
  const ids: string[] = [];
  for (let at = 0; at < 7; at++) ids.push(await begin({ resourceId: `thing-${at}` }));
  let running = 0;
  let most = 0;
  const one: Step = async () => {
    most = Math.max(most, ++running);
    await until('another one beside it', () => Promise.resolve(most === 2));
    running--;
    return done();
  };
  await run([kindOf({ one })], { concurrency: 2, leaseMs: 60_000, pollMs: 3_600_000 });
  for (const id of ids) expect((await ended(id)).error).toBeNull();
  expect(most).toBe(2);
});

test('tasks that begin together are told of each other once, and begin a few at a time', async () => {
  const ids: string[] = [];
  for (let at = 0; at < 8; at++) ids.push(await begin({ resourceId: `thing-${at}` }));
  let turn = 0;
  let ticking = setImmediate(function tick() {
    turn++;
    ticking = setImmediate(tick);
  });
  const begun: { readonly turn: number; readonly together: readonly string[] }[] = [];
  const later: (readonly string[])[] = [];
  const one: Step = ({ together }) => (begun.push({ turn, together }), Promise.resolve(next('two')));
  const two: Step = ({ together }) => (later.push(together), Promise.resolve(done()));
  await run([kindOf({ one, two })], { pollMs: 3_600_000 });
  for (const id of ids) await ended(id);
  clearImmediate(ticking);
  const all = ids.map((_, at) => `thing-${at}`);
  expect(begun.map(({ together }) => [...together].sort())).toEqual(ids.map(() => all));
  expect(new Set(begun.map(({ together }) => together)).size).toBe(1);
  expect(later.flat().sort()).toEqual(all);
  const perTurn = begun.map((each) => begun.filter((other) => other.turn === each.turn).length);
  expect(Math.max(...perTurn)).toBeLessThanOrEqual(3);
});

test('tasks that another dispatcher holds do not hide those that are free, however many they are', async () => {
  const waiting = kindOf({ one: () => Promise.resolve(wait(600)) }, { kind: 'test.wait' });
  const long = { leaseMs: 60_000, pollMs: 3_600_000 };
  for (let at = 0; at < 4; at++) await begin({ kind: 'test.wait', resourceId: `held-${at}` });
  const full = await run([waiting], { ...long, concurrency: 4 });
  const leased = (session: ReadSession) => session.count(tasks, { active: 1, step: 'one' });
  await until('the leases', async () => (await scene.cloud.db.read(leased)) === 4);
  full.wake();
  const id = await begin();
  await run([kindOf({ one: () => Promise.resolve(done()) }), waiting], { ...long, concurrency: 2 });
  await ended(id);
});

test('a dispatcher that is full takes no more', async () => {
  const waiting = kindOf({ one: () => Promise.resolve(wait(600)) });
  for (let at = 0; at < 2; at++) await begin({ resourceId: `held-${at}` });
  const { db } = scene.cloud;
  let reads = 0;
  const read: typeof db.read = (work) => {
    reads++;
    return db.read(work);
  };
  const full = await run([waiting], { leaseMs: 60_000, pollMs: 3_600_000, concurrency: 2 }, { read });
  await until('the leases', async () => (await db.read((session) => session.count(tasks, { step: 'one' }))) === 2);
  const more = await begin({ resourceId: 'one-more' });
  // When it looks the second time, the first look has come to nothing.
  for (let look = 0; look < 2; look++) {
    const before = reads;
    full.wake();
    await until('a look', () => Promise.resolve(reads > before));
  }
  expect(await find(more)).toMatchObject({ step: 'new', lease_owner: null });
});

test('tasks of unknown kinds do not hide others', async () => {
  for (let at = 0; at < 3; at++) await begin({ kind: 'test.other', resourceId: `other-${at}` });
  const id = await begin();
  await run([kindOf({ one: () => Promise.resolve(done()) })], { concurrency: 2, pollMs: 3_600_000 });
  await ended(id);
});

test('a second task on a resource is refused while one runs, and allowed afterwards', async () => {
  const id = await begin();
  await expect(begin()).rejects.toMatchObject({ status: 409, code: 'OperationInProgress' });
  await run([kindOf({ one: () => Promise.resolve(done()) })]);
  await ended(id);
  await ended(await begin());
});

test('the pause between tries is kept: the new time to run is not news', async () => {
  let tries = 0;
  await run([kindOf({ one: () => Promise.reject(new Error(`try ${++tries}`)) })], { maxBackoffMs: 60_000 });
  const id = await begin();
  await until('the first failure', async () => (await find(id)).attempt === 1);
  // Many polls, but less than the two seconds of the first pause.
  await new Promise((resolve) => setTimeout(resolve, 500));
  expect(tries).toBe(1);
});

test('what a dispatcher commits while it looks for news is none', async () => {
  let goOn: () => void = () => undefined;
  const gate = new Promise<void>((resolve) => (goOn = resolve));
  let hold: (() => void) | undefined;
  // The look that finds the task as it was before the commit is slow.
  const read: Database['read'] = async (work) => {
    const answer = await scene.cloud.db.read(work);
    if (hold && Array.isArray(answer) && answer.length > 0) {
      hold();
      hold = undefined;
      await gate;
    }
    return answer;
  };
  let runs = 0;
  const one: Step = async () => {
    await new Promise<void>((resolve) => (hold = resolve));
    return next('two');
  };
  await run([kindOf({ one, two: () => (runs++, Promise.resolve(wait(600))) })], { pollMs: 20, newsMs: 20 }, { read });
  const id = await begin();
  await until('the second step', () => Promise.resolve(runs === 1));
  goOn();
  await new Promise((resolve) => setTimeout(resolve, 300));
  expect(runs).toBe(1);
  expect((await find(id)).step).toBe('two');
});

test.each(['before', 'after'])('a dispatcher killed %s a step leaves the task to another one', async (when) => {
  let died = false;
  const die = async (): Promise<void> => {
    if (died) return;
    died = true;
    void engine.kill();
    await new Promise((resolve) => setImmediate(resolve));
    throw new Error('killed');
  };
  const engine = await run([kindOf({ one: () => Promise.resolve(next('two')), two: () => Promise.resolve(done()) })], {
    observer: when === 'before' ? { beforeStep: die } : { afterStep: die },
  });
  const id = await begin();
  await until('the death', () => Promise.resolve(died));
  expect((await find(id)).active).toBe(1);
  await run([kindOf({ one: () => Promise.resolve(next('two')), two: () => Promise.resolve(done()) })]);
  await ended(id);
  expect((await timeline(id)).filter((line) => line === 'two done')).toHaveLength(1);
});

test('a clean stop gives leases back at once', async () => {
  const kind = kindOf({ one: () => Promise.resolve(wait(60)) });
  const engine = await run([kind], { leaseMs: 60_000 });
  const id = await begin();
  await until('the lease', async () => (await find(id)).lease_owner !== null);
  await engine.stop();
  expect(await find(id)).toMatchObject({ active: 1, lease_owner: null, lease_until: null });
});

test('leases are renewed while a task waits', async () => {
  let runs = 0;
  await run([kindOf({ one: () => Promise.resolve(++runs === 1 ? wait(1) : done()) })], { leaseMs: 200 });
  await run([kindOf({ one: () => Promise.resolve(++runs === 1 ? wait(1) : done()) })], { leaseMs: 200 });
  await ended(await begin());
  expect(runs).toBe(2);
});

test('kinds that a dispatcher does not know stay for others', async () => {
  await run([kindOf({ one: () => Promise.resolve(done()) })]);
  const foreign = await begin({ kind: 'test.other', resourceId: 'thing-2' });
  await ended(await begin());
  expect(await find(foreign)).toMatchObject({ active: 1, lease_owner: null });
});
