// The task engine when its neighbours fail: the database, the bus, other dispatchers, a version that knows less.
import type { Bus, Command, Reply } from '@cumulet/common';
import { createEngine, done, fail, next, wait, type Step, type TaskKind } from '@cumulet/controller';
import type { Database } from '../../controller/src/db';
import { taskEvents, taskReplies, tasks } from '../../controller/src/db/entities/tasks';
import { recordReply } from '../../controller/src/conductor/asks';
import { createTask, requestDelete } from '../../controller/src/services/tasks';
import { kindOf, until } from '../support/engineTasks';
import { asking, engineScene, hasty, patient, question, replyTo, request } from '../support/engineScene';

const scene = engineScene();
const { run, begin, find, ended, timeline, addAgent } = scene;

/** A gate that a test opens. */
function gate(): { readonly passed: Promise<void>; open: () => void } {
  let open: () => void = () => undefined;
  const passed = new Promise<void>((resolve) => (open = resolve));
  return { passed, open: () => open() };
}

describe('the database', () => {
  test('fails while due tasks are looked for: they are found at a later poll', async () => {
    let reads = 0;
    const read: Database['read'] = (work) =>
      ++reads === 1 ? Promise.reject(new Error('database is away')) : scene.cloud.db.read(work);
    await run([kindOf({ one: () => Promise.resolve(done()) })], {}, { read });
    expect((await ended(await begin())).error).toBeNull();
    expect(reads).toBeGreaterThan(1);
  });

  test('fails while a result and its retry are written: the step runs again when the lease has ended', async () => {
    let runs = 0;
    let broken = false;
    const write: Database['write'] = (work) =>
      broken ? Promise.reject(new Error('disk is full')) : scene.cloud.db.write(work);
    const one: Step = () => {
      broken = ++runs === 1;
      return Promise.resolve(done());
    };
    await run([kindOf({ one })], { leaseMs: 200 }, { write });
    const id = await begin();
    await until('the step', () => runs === 1);
    await new Promise((resolve) => setTimeout(resolve, 50));
    expect((await find(id)).active).toBe(1);
    broken = false;
    expect((await ended(id)).error).toBeNull();
    expect(runs).toBe(2);
    expect(await timeline(id)).toEqual(['one done']);
  });

  test('fails while answers are read: they are read again', async () => {
    await addAgent();
    let [asked, reads] = [0, 0];
    await scene.bus.onCommand('h1', 'compute', (command) => {
      if (asked++ === 0) void recordReply(scene.cloud, replyTo(command));
    });
    const read: Database['read'] = (work) =>
      scene.cloud.db.read((session) => {
        const find: typeof session.find = session.find.bind(session);
        session.find = async (table, options) => {
          const rows = await find(table, options);
          if ((table as unknown) === taskReplies && rows.length > 0 && ++reads === 1)
            throw new Error('database is away');
          return rows;
        };
        return work(session);
      });
    await run([kindOf({ one: asking })], patient, { read });
    expect((await ended(await begin())).error).toBeNull();
    expect(reads).toBe(2);
  });

  test('fails while a reply is recorded: the reply comes again', async () => {
    let failures = 0;
    const write: Database['write'] = (work) => {
      if (failures > 0) return scene.cloud.db.write(work);
      failures++;
      return Promise.reject(new Error('database is away'));
    };
    // Nobody knows the kind, so no dispatcher holds the task: its replies are recorded.
    await run([], { leaseMs: 60_000 }, { write });
    const id = await begin();
    await scene.bus.sendReply(
      replyTo({ task: id, step: 'one', send: 1, kind: 'server.remove', ...question } as Command),
    );
    const noted = await until('the note', async () => ((lines) => lines.length > 0 && lines)(await timeline(id)));
    expect(noted).toEqual(['one late']);
    expect(failures).toBe(1);
  });

  test('refuses a task for another reason than a running one: the caller hears that reason', async () => {
    const broken = { ...request(), resourceId: null as unknown as string };
    const attempt = scene.cloud.db.write((session) => createTask(session, scene.cloud, broken));
    await expect(attempt).rejects.toThrow(/NOT NULL|cannot be null/i);
  });
});

describe('other dispatchers', () => {
  const cleanup: TaskKind = {
    kind: 'test.cleanup',
    first: 'clean',
    steps: { clean: () => Promise.resolve(done()) },
    onFail: 'never',
  };

  test('a teardown that this version does not know is left for one that knows it', async () => {
    const broken = kindOf(
      { one: () => Promise.resolve(fail({ code: 'broken', message: 'it broke' })) },
      { onFail: { teardown: 'test.cleanup' } },
    );
    await run([broken]);
    const id = await begin();
    await until('the change of kind', async () => (await find(id)).kind === 'test.cleanup');
    expect(await find(id)).toMatchObject({ active: 1, step: 'new' });
    await run([cleanup]);
    await ended(id);
    expect(await timeline(id)).toEqual(['one fail', 'clean done']);
  });

  test('a task that another dispatcher took over meanwhile is let go without a word', async () => {
    let runs = 0;
    const one: Step = () => Promise.resolve(++runs === 1 ? wait(0.1) : done());
    const taken = { lease_owner: 'another', lease_until: Date.now() + 3_600_000 };
    await run([kindOf({ one })], {
      observer: {
        afterStep: async (task) => {
          await scene.cloud.db.write((session) => session.update(tasks, { id: task.id }, taken));
        },
      },
    });
    const id = await begin();
    await until('the first run', () => runs === 1);
    await new Promise((resolve) => setTimeout(resolve, 300));
    expect(runs).toBe(1);
    expect(await find(id)).toMatchObject({ active: 1, ...taken });
    expect(await timeline(id)).toEqual([]);
  });

  test('a task that was taken over while it waited is not run again when news come', async () => {
    let runs = 0;
    const commands: Command[] = [];
    await addAgent();
    await scene.bus.onCommand('h1', 'compute', (command) => void commands.push(command));
    const one: Step = async ({ ask }) => {
      runs += 1;
      return (await ask('server.remove', question, { server_id: 's' })) ? done() : wait(60);
    };
    let away = false;
    const write: Database['write'] = (work) =>
      away ? Promise.reject(new Error('the database is away')) : scene.cloud.db.write(work);
    await run([kindOf({ one })], {}, { write });
    const id = await begin();
    const asked = await until('the question', () => commands[0]);
    // Its lease ends, because it could not be renewed.
    away = true;
    await new Promise((resolve) => setTimeout(resolve, 400));
    const taken = { lease_owner: 'another', lease_until: Date.now() + 3_600_000 };
    await scene.cloud.db.write((session) => session.update(tasks, { id }, taken));
    away = false;
    await scene.bus.sendReply(replyTo(asked));
    await new Promise((resolve) => setTimeout(resolve, 100));
    expect(runs).toBe(1);
    expect(await find(id)).toMatchObject({ active: 1, ...taken });
  });

  test.each([undefined, 'test.cleanup'])(
    'an answer that another one records while the last step ends goes with the task (its deletion: %s)',
    async (onDelete) => {
      await addAgent();
      const asked: Command[] = [];
      await scene.bus.onCommand('h1', 'compute', (command) => void asked.push(command));
      const one: Step = async ({ ask }) => {
        await ask('server.remove', question, { server_id: 's' });
        const command = await until('the question', () => asked[0]);
        await recordReply(scene.cloud, replyTo(command));
        return done();
      };
      await run([{ ...kindOf({ one }), ...(onDelete === undefined ? {} : { onDelete }) }, cleanup]);
      const id = await begin();
      await ended(id);
      expect(await timeline(id)).toEqual(['one done']);
      expect(await scene.cloud.db.read((session) => session.count(taskReplies, { task_id: id }))).toBe(0);
    },
  );

  test('a dead dispatcher refuses replies, so that the broker keeps them for a living one', async () => {
    let deliver: ((reply: Reply) => Promise<void>) | undefined;
    const onReply: Bus['onReply'] = (handler) => {
      deliver = handler;
      return scene.bus.onReply(handler);
    };
    const engine = createEngine({ ...scene.cloud, bus: { ...scene.bus, onReply } }, { kinds: [] });
    await engine.start();
    await engine.kill();
    const late = replyTo({ task: 't', step: 'one', send: 1, kind: 'server.remove', ...question } as Command);
    await expect(deliver?.(late)).rejects.toThrow('dead');
  });
});

describe('news', () => {
  test('an answer that comes while the step still runs is not slept over', async () => {
    await addAgent();
    let runs = 0;
    await scene.bus.onCommand('h1', 'compute', (command) => void scene.bus.sendReply(replyTo(command)));
    const one: Step = async ({ ask }) => {
      if (await ask('server.remove', question, { server_id: 's' })) return runs < 2 ? next('two') : done();
      runs++;
      await until('the reply', () => heard >= runs);
      return wait(3600);
    };
    let heard = 0;
    const onReply: Bus['onReply'] = (handler) =>
      scene.bus.onReply(async (reply) => {
        await handler(reply);
        heard++;
      });
    const id = await begin();
    const patient = { leaseMs: 60_000, pollMs: 3_600_000 };
    const engine = createEngine(
      { ...scene.cloud, bus: { ...scene.bus, onReply } },
      { kinds: [kindOf({ one, two: one })], ...patient },
    );
    scene.keep(engine);
    await engine.start();
    await ended(id);
    expect(await timeline(id)).toEqual(['one next', 'two done']);
  });

  test('a wake during a poll is not lost', async () => {
    const firstPoll = gate();
    let polls = 0;
    const read: Database['read'] = async (work) => {
      if (++polls > 1) return scene.cloud.db.read(work);
      const found = await scene.cloud.db.read(work);
      await firstPoll.passed;
      return found;
    };
    const engine = await run([kindOf({ one: () => Promise.resolve(done()) })], { pollMs: 3_600_000 }, { read });
    await until('the first poll', () => polls === 1);
    const id = await begin();
    engine.wake();
    firstPoll.open();
    await ended(id);
  });

  test('a dispatcher that has not started is not disturbed by a wake', async () => {
    const engine = createEngine(scene.cloud, { kinds: [kindOf({ one: () => Promise.resolve(done()) })] });
    scene.keep(engine);
    const id = await begin();
    engine.wake();
    expect(await find(id)).toMatchObject({ active: 1, lease_owner: null });
    await engine.start();
    await ended(id);
  });
});

test('facts that only the transaction of a result knows reach the next step', async () => {
  let state: unknown;
  await run([
    kindOf({
      one: () => Promise.resolve(next('two', { facts: { a: 1 }, write: () => Promise.resolve({ b: 2 }) })),
      two: ({ task }) => ((state = task.state), Promise.resolve(done())),
    }),
  ]);
  await ended(await begin());
  expect(state).toEqual({ a: 1, b: 2 });
});

test('a host that fails without a reason is said to have done so, and is asked again', async () => {
  await addAgent();
  let asked = 0;
  await scene.bus.onCommand('h1', 'compute', (command) => {
    void scene.bus.sendReply(replyTo(command, ++asked === 1 ? { outcome: 'failed' } : {}));
  });
  await run([kindOf({ one: asking })], patient);
  const id = await begin();
  await ended(id);
  const events = await scene.cloud.db.read((session) => session.find(taskEvents, { where: { task_id: id } }));
  expect(events.map(({ message }) => message)).toContain('The host failed without saying why.');
  expect(asked).toBe(2);
});

test('a host whose agent has never registered is asked once it has', async () => {
  let asked = 0;
  await scene.bus.onCommand('h1', 'compute', (command) => (asked++, void scene.bus.sendReply(replyTo(command))));
  await run([kindOf({ one: asking })], hasty);
  const id = await begin();
  await until('the wait', async () => (await timeline(id)).includes('one wait'));
  expect(asked).toBe(0);
  await addAgent();
  await ended(id);
  expect(asked).toBe(1);
});

test('a deletion that is asked for during the teardown changes nothing', async () => {
  let runs = 0;
  const teardown: TaskKind = {
    kind: 'test.work',
    first: 'clean',
    steps: { clean: () => Promise.resolve(++runs === 1 ? wait(60) : done()) },
    onFail: 'never',
  };
  await run([teardown]);
  const id = await begin();
  await until('the wait', () => runs === 1);
  await scene.cloud.db.write((session) => requestDelete(session, scene.cloud, request()));
  await ended(id);
  expect(await timeline(id)).toEqual(['clean done']);
});

test('a deletion that comes while a step fails is heeded at once, not when the step would be tried again', async () => {
  const steps = {
    one: async () => {
      await scene.cloud.db.write((session) => requestDelete(session, scene.cloud, request()));
      throw new Error('no luck');
    },
  };
  const teardown: TaskKind = {
    kind: 'test.clean',
    first: 'clean',
    steps: { clean: () => Promise.resolve(done()) },
    onFail: 'never',
  };
  await run([{ ...kindOf(steps), onDelete: 'test.clean' }, teardown]);
  const id = await begin();
  await ended(id);
  expect(await timeline(id)).toEqual(['one retry', 'one next', 'clean done']);
});
