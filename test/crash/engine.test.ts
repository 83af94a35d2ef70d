// What comes of a task's steps: each is run, tried again or given up, and every task ends.
import { systemClock, type Command } from '@cumulet/common';
import { done, fail, next, wait, type Step, type TaskKind } from '@cumulet/controller';
import { agents, tasks } from '../../controller/src/db/entities/tasks';
import { requestDelete } from '../../controller/src/services/tasks';
import { kindOf, until } from '../support/engineTasks';
import { asking, engineScene, request } from '../support/engineScene';

const scene = engineScene();
const { run, begin, find, ended, timeline, addAgent } = scene;

test('steps run in order, hand on their facts and leave a timeline', async () => {
  const seen: unknown[] = [];
  await run([
    kindOf({
      one: () => Promise.resolve(next('two', { facts: { a: 1 } })),
      two: ({ task }) => (seen.push(task.state), Promise.resolve(next('three', { facts: { b: 2 } }))),
      three: ({ task }) => (seen.push(task.state), Promise.resolve(done())),
    }),
  ]);
  const id = await begin();
  expect(await ended(id)).toMatchObject({ error: null, step: 'three', lease_owner: null });
  expect(seen).toEqual([{ a: 1 }, { a: 1, b: 2 }]);
  expect(await timeline(id)).toEqual(['one next', 'two next', 'three done']);
});

test('a deletion that is asked for while the last step ends is not lost with the task', async () => {
  const removal = kindOf({ gone: () => Promise.resolve(done()) }, { kind: 'test.remove' });
  const work = kindOf({ one: () => Promise.resolve(done()) }, { onDelete: 'test.remove' });
  let asked = false;
  const observer = {
    async afterStep() {
      if (asked) return;
      asked = true;
      await scene.cloud.db.write((session) => requestDelete(session, scene.cloud, request({ kind: 'test.remove' })));
    },
  };
  const id = await begin();
  await run([work, removal], { observer });
  expect(await ended(id)).toMatchObject({ kind: 'test.remove' });
});

test('a thrown error is tried again, and success afterwards leaves no error', async () => {
  let runs = 0;
  await run([kindOf({ one: () => (++runs < 3 ? Promise.reject(new Error('not yet')) : Promise.resolve(done())) })]);
  const id = await begin();
  expect(await ended(id)).toMatchObject({ error: null });
  expect(await timeline(id)).toEqual(['one retry', 'one retry', 'one done']);
});

test('the number of tries starts anew with each step', async () => {
  const attempts: number[] = [];
  const twice =
    (result: ReturnType<typeof done>): Step =>
    ({ task }) => {
      attempts.push(task.attempt);
      return task.attempt === 0 ? Promise.reject(new Error('once')) : Promise.resolve(result);
    };
  await run([kindOf({ one: twice(next('two')), two: twice(done()) })]);
  await ended(await begin());
  expect(attempts).toEqual([0, 1, 0, 1]);
});

test('at its deadline a task fails with the last problem in words', async () => {
  const faults: string[] = [];
  await run([
    kindOf(
      { one: () => Promise.reject(new Error('the disk is full')) },
      { onFail: { write: (_s, _t, fault) => (faults.push(fault.message), Promise.resolve()) } },
    ),
  ]);
  const task = await ended(await begin({ deadlineSeconds: 2 }));
  expect(faults).toHaveLength(1);
  expect(task.error).toMatch(/Not finished within 2 s, in step one\. Last problem: the disk is full/);
});

test('a waiting task is woken by its deadline, not by the end of its wait', async () => {
  await run([kindOf({ one: () => Promise.resolve(wait(60)) })]);
  expect((await ended(await begin({ deadlineSeconds: 0.2 }))).error).toMatch(/Not finished/);
});

test('a failure turns into the teardown, which knows the fault and has no deadline', async () => {
  let state: unknown;
  const teardown: TaskKind = {
    kind: 'test.cleanup',
    first: 'clean',
    steps: { clean: ({ task }) => ((state = task.state), Promise.resolve(done())) },
    onFail: 'never',
  };
  await run([
    kindOf(
      { one: () => Promise.resolve(fail({ code: 'broken', message: 'it broke' })) },
      { onFail: { teardown: 'test.cleanup' } },
    ),
    teardown,
  ]);
  const task = await ended(await begin({ deadlineSeconds: 60 }));
  expect(task).toMatchObject({ kind: 'test.cleanup', deadline_at: null });
  expect(state).toEqual({ fault: { code: 'broken', message: 'it broke' } });
});

test('a teardown never fails: its failures are tried again', async () => {
  let runs = 0;
  const kind = kindOf(
    { one: () => Promise.resolve(++runs < 3 ? fail({ code: 'x', message: 'host away' }) : done()) },
    { onFail: 'never' },
  );
  await run([kind]);
  const id = await begin();
  await ended(id);
  expect(await timeline(id)).toEqual(['one retry', 'one retry', 'one done']);
});

test('writes of a result are not made when its task has been lost', async () => {
  const kind = kindOf({
    one: () =>
      Promise.resolve(
        done({ write: (session) => session.update(agents, { host: 'h1' }, { session: 99 }).then(() => undefined) }),
      ),
  });
  await addAgent();
  let first = true;
  await run([kind], {
    observer: {
      afterStep: async (task) => {
        if (!first) return;
        first = false;
        await scene.cloud.db.write((session) =>
          session.update(
            tasks,
            { id: task.id },
            { lease_owner: 'somebody else', lease_until: systemClock.now() + 150 },
          ),
        );
        expect((await scene.cloud.db.read((session) => session.findOne(agents, { host: 'h1' })))?.session).toBe(7);
      },
    },
  });
  const id = await begin();
  await until('the lost result', async () => !first);
  await new Promise((resolve) => setTimeout(resolve, 50));
  expect((await find(id)).active).toBe(1);
  expect((await scene.cloud.db.read((session) => session.findOne(agents, { host: 'h1' })))?.session).toBe(7);
  await ended(id);
  expect((await scene.cloud.db.read((session) => session.findOne(agents, { host: 'h1' })))?.session).toBe(99);
});

test('a step that takes too long is aborted and tried again', async () => {
  let runs = 0;
  const kind = kindOf({ one: () => (++runs === 1 ? new Promise<never>(() => undefined) : Promise.resolve(done())) });
  await run([kind], { stepMs: 50 });
  const id = await begin();
  await ended(id);
  expect(await timeline(id)).toEqual(['one retry', 'one done']);
});

test('an unknown step is a failure in words', async () => {
  await run([kindOf({ one: () => Promise.resolve(next('nowhere')) })]);
  expect((await ended(await begin())).error).toBe('This version does not know step nowhere of test.work.');
});

describe('deletion', () => {
  const teardown: TaskKind = {
    kind: 'test.delete',
    first: 'clean',
    steps: { clean: () => Promise.resolve(done()) },
    onFail: 'never',
  };
  const askDelete = () =>
    scene.cloud.db.write((session) => requestDelete(session, scene.cloud, request({ kind: 'test.delete' })));

  test('turns a waiting task into the teardown at once', async () => {
    await run([kindOf({ one: () => Promise.resolve(wait(60)) }, { onDelete: 'test.delete' }), teardown]);
    const id = await begin();
    await until('the wait', async () => (await find(id)).lease_owner !== null);
    await askDelete();
    expect(await ended(id)).toMatchObject({ kind: 'test.delete', error: null });
  });

  test('aborts a running step without counting it as a failure', async () => {
    let signal: AbortSignal | undefined;
    await run([
      kindOf(
        { one: (context) => ((signal = context.signal), new Promise<never>(() => undefined)) },
        { onDelete: 'test.delete' },
      ),
      teardown,
    ]);
    const id = await begin();
    await until('the step', () => Promise.resolve(signal !== undefined));
    await askDelete();
    await ended(id);
    expect(signal?.aborted).toBe(true);
    expect(await timeline(id)).toEqual(['one next', 'clean done']);
  });

  test('ends what a step asks: one that goes on behind its abort has its say no more', async () => {
    await scene.addAgent();
    const commands: Command[] = [];
    await scene.bus.onCommand('h1', 'compute', (command) => void commands.push(command));
    let reached = false;
    let goOn: () => void = () => undefined;
    const deleted = new Promise<void>((resolve) => (goOn = resolve));
    let asked: Promise<unknown> | undefined;
    const slow: Step = async (context) => {
      reached = true;
      await deleted;
      return (asked = asking(context) as Promise<never>);
    };
    await run([kindOf({ one: slow }, { onDelete: 'test.delete' }), teardown]);
    const id = await begin();
    await until('the step', () => reached);
    await askDelete();
    await ended(id);
    goOn();
    await until('the question', () => asked !== undefined);
    await expect(asked).rejects.toThrow();
    expect(commands).toEqual([]);
  });

  test('interrupts the pause before another try', async () => {
    await run([kindOf({ one: () => Promise.reject(new Error('no')) }, { onDelete: 'test.delete' }), teardown], {
      maxBackoffMs: 60_000,
    });
    const id = await begin();
    await until('the failure', async () => (await find(id)).attempt === 1);
    await askDelete();
    await ended(id);
  });

  test('begins a task of its own when none runs, and asking twice is asking once', async () => {
    await askDelete();
    await askDelete();
    expect(await scene.cloud.db.read((session) => session.count(tasks))).toBe(1);
  });
});
