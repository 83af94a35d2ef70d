// The task engine keeps its promises: every step runs, none is counted twice, every task ends.
import { createMemoryBus, systemClock, type Bus, type Command, type Reply } from '@cumulet/common';
import {
  createEngine,
  done,
  fail,
  next,
  wait,
  type Cloud,
  type Engine,
  type EngineOptions,
  type ReadSession,
  type Step,
  type TaskKind,
} from '@cumulet/controller';
import { recordReply } from '../../controller/src/conductor/asks';
import { agents, taskEvents, tasks, type Task } from '../../controller/src/db/entities/tasks';
import { createTask, requestDelete, type TaskRequest } from '../../controller/src/services/tasks';
import { kindOf, until } from '../support/engineTasks';
import { startTestCloud, type TestCloud } from '../support/testCloud';

let test_: TestCloud;
let cloud: Cloud;
let bus: Bus;
const engines: Engine[] = [];

beforeEach(async () => {
  bus = createMemoryBus();
  test_ = await startTestCloud({ bus });
  cloud = test_.cloud;
});
afterEach(async () => {
  await Promise.all(engines.splice(0).map((engine) => engine.kill()));
  await test_.stop();
});

async function run(kinds: readonly TaskKind[], options: Partial<EngineOptions> = {}): Promise<Engine> {
  const engine = createEngine(cloud, { kinds, leaseMs: 300, pollMs: 20, maxBackoffMs: 10, ...options });
  engines.push(engine);
  await engine.start();
  return engine;
}

const request = (changes: Partial<TaskRequest> = {}): TaskRequest => ({
  kind: 'test.work',
  resourceType: 'thing',
  resourceId: 'thing-1',
  requestId: 'req-1',
  projectId: null,
  userId: null,
  ...changes,
});
const begin = (changes: Partial<TaskRequest> = {}) =>
  cloud.db.write((session) => createTask(session, cloud, request(changes)));
const find = async (id: string): Promise<Task> => {
  const task = await cloud.db.read((session) => session.findOne(tasks, { id }));
  if (!task) throw new Error('no such task');
  return task;
};
const ended = (id: string) => until('the end of the task', async () => ((t) => t.active === null && t)(await find(id)));
const timeline = async (id: string) =>
  (
    await cloud.db.read((session) => session.find(taskEvents, { where: { task_id: id }, order: { sequence: 'ASC' } }))
  ).map((event) => `${event.step} ${event.outcome}`);
const addAgent = (host = 'h1') =>
  cloud.db.write((session) =>
    session.insert(agents, {
      id: host,
      host,
      role: 'compute',
      session: 7,
      started_at: 0,
      heard_at: Date.now(),
      inventory: {},
      listener: null,
    }),
  );
const asking: Step = async ({ ask }) => {
  const answer = await ask('server.remove', { host: 'h1', resource: 'thing-1', generation: 3 }, { server_id: 's' });
  return answer ? done({ message: String(answer['said']) }) : wait(0.2);
};
/** Asks hosts together and waits for all of them. */
const askingBoth =
  (hosts: readonly string[]): Step =>
  async ({ ask }) => {
    const answers: unknown[] = [];
    for (const host of hosts)
      answers.push(await ask('server.remove', { host, resource: 'thing-1', generation: 3 }, { server_id: 's' }));
    return answers.includes(undefined) ? wait(60) : done();
  };
const replyTo = (command: Command, changes: Partial<Reply> = {}): Reply => ({
  task: command.task,
  step: command.step,
  send: command.send,
  host: command.host,
  kind: command.kind,
  outcome: 'done',
  observed: { said: 'yes' },
  fault: null,
  ...changes,
});

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
  await cloud.db.write(async (session) => {
    for (let at = 0; at < 1000; at++) await createTask(session, cloud, request({ resourceId: `thing-${at}` }));
  });
  // Leases and steps may take long: a slow machine must not look like a dead dispatcher or a step that hangs.
  const patient = { leaseMs: 300_000, stepMs: 300_000 };
  await Promise.all([run([kind], patient), run([kind], patient)]);
  await until(
    'the end of all tasks',
    async () => (await cloud.db.read((session) => session.count(tasks, { active: 1 }))) === 0,
    150,
  );
  expect(counts.size).toBe(2000);
  expect([...counts.values()].every((value) => value === 1)).toBe(true);
}, 180_000);

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

test('tasks that another dispatcher holds do not hide those that are free, however many they are', async () => {
  const waiting = kindOf({ one: () => Promise.resolve(wait(600)) }, { kind: 'test.wait' });
  const long = { leaseMs: 60_000, pollMs: 3_600_000 };
  for (let at = 0; at < 4; at++) await begin({ kind: 'test.wait', resourceId: `held-${at}` });
  const full = await run([waiting], { ...long, concurrency: 4 });
  const leased = (session: ReadSession) => session.count(tasks, { active: 1, step: 'one' });
  await until('the leases', async () => (await cloud.db.read(leased)) === 4);
  full.wake();
  const id = await begin();
  await run([kindOf({ one: () => Promise.resolve(done()) }), waiting], { ...long, concurrency: 2 });
  await ended(id);
});

test('tasks of unknown kinds do not hide others', async () => {
  for (let at = 0; at < 3; at++) await begin({ kind: 'test.other', resourceId: `other-${at}` });
  const id = await begin();
  await run([kindOf({ one: () => Promise.resolve(done()) })], { concurrency: 2, pollMs: 3_600_000 });
  await ended(id);
});

test('a deletion that is asked for while the last step ends is not lost with the task', async () => {
  const removal = kindOf({ gone: () => Promise.resolve(done()) }, { kind: 'test.remove' });
  const work = kindOf({ one: () => Promise.resolve(done()) }, { onDelete: 'test.remove' });
  let asked = false;
  const observer = {
    async afterStep() {
      if (asked) return;
      asked = true;
      await cloud.db.write((session) => requestDelete(session, cloud, request({ kind: 'test.remove' })));
    },
  };
  const id = await begin();
  await run([work, removal], { observer });
  expect(await ended(id)).toMatchObject({ kind: 'test.remove' });
});

test('a second task on a resource is refused while one runs, and allowed afterwards', async () => {
  const id = await begin();
  await expect(begin()).rejects.toMatchObject({ status: 409, code: 'OperationInProgress' });
  await run([kindOf({ one: () => Promise.resolve(done()) })]);
  await ended(id);
  await ended(await begin());
});

test('a thrown error is tried again, and success afterwards leaves no error', async () => {
  let runs = 0;
  await run([kindOf({ one: () => (++runs < 3 ? Promise.reject(new Error('not yet')) : Promise.resolve(done())) })]);
  const id = await begin();
  expect(await ended(id)).toMatchObject({ error: null });
  expect(await timeline(id)).toEqual(['one retry', 'one retry', 'one done']);
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
  const task = await ended(await begin({ deadlineSeconds: 0.2 }));
  expect(faults).toHaveLength(1);
  expect(task.error).toMatch(/Not finished within 0 s, in step one\. Last problem: the disk is full/);
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
        await cloud.db.write((session) =>
          session.update(
            tasks,
            { id: task.id },
            { lease_owner: 'somebody else', lease_until: systemClock.now() + 150 },
          ),
        );
        expect((await cloud.db.read((session) => session.findOne(agents, { host: 'h1' })))?.session).toBe(7);
      },
    },
  });
  const id = await begin();
  await until('the lost result', async () => !first);
  await new Promise((resolve) => setTimeout(resolve, 50));
  expect((await find(id)).active).toBe(1);
  expect((await cloud.db.read((session) => session.findOne(agents, { host: 'h1' })))?.session).toBe(7);
  await ended(id);
  expect((await cloud.db.read((session) => session.findOne(agents, { host: 'h1' })))?.session).toBe(99);
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

test('a step that takes too long is aborted and tried again', async () => {
  let runs = 0;
  const kind = kindOf({ one: () => (++runs === 1 ? new Promise<never>(() => undefined) : Promise.resolve(done())) });
  await run([kind], { stepMs: 50 });
  const id = await begin();
  await ended(id);
  expect(await timeline(id)).toEqual(['one retry', 'one done']);
});

test('kinds that a dispatcher does not know stay for others', async () => {
  await run([kindOf({ one: () => Promise.resolve(done()) })]);
  const foreign = await begin({ kind: 'test.other', resourceId: 'thing-2' });
  await ended(await begin());
  expect(await find(foreign)).toMatchObject({ active: 1, lease_owner: null });
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
  const askDelete = () => cloud.db.write((session) => requestDelete(session, cloud, request({ kind: 'test.delete' })));

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
    expect(await cloud.db.read((session) => session.count(tasks))).toBe(1);
  });
});

describe('questions to agents', () => {
  beforeEach(addAgent);

  test('the answer ends the wait at once and carries the session', async () => {
    const commands: Command[] = [];
    await bus.onCommand('h1', 'compute', (command) => (commands.push(command), void bus.sendReply(replyTo(command))));
    await run([kindOf({ one: asking })]);
    const id = await begin();
    await ended(id);
    expect(commands).toHaveLength(1);
    expect(commands[0]).toMatchObject({
      task: id,
      step: 'one',
      send: 1,
      session: 7,
      generation: 3,
      kind: 'server.remove',
    });
  });

  test('an unanswered question is asked again, and whatever round is answered first ends the wait', async () => {
    const commands: Command[] = [];
    await bus.onCommand('h1', 'compute', (command) => {
      commands.push(command);
      const [first] = commands;
      if (commands.length === 2 && first) void bus.sendReply(replyTo(first));
    });
    await run([kindOf({ one: asking })]);
    const id = await begin();
    await ended(id);
    expect(commands.map(({ send }) => send)).toEqual([1, 2]);
    expect(await timeline(id)).toEqual(['one wait', 'one done']);
  });

  test('a failure of an earlier round does not count any more and goes to the timeline', async () => {
    const commands: Command[] = [];
    const fault = { code: 'x', message: 'gone wrong', retryable: false };
    await bus.onCommand('h1', 'compute', (command) => {
      commands.push(command);
      const [first] = commands;
      if (commands.length < 2 || !first) return;
      void bus.sendReply(replyTo(first, { outcome: 'failed', fault })).then(() => bus.sendReply(replyTo(command)));
    });
    await run([kindOf({ one: asking })]);
    const id = await begin();
    expect((await ended(id)).error).toBeNull();
    // Where transactions run side by side the late one may be written last.
    expect((await timeline(id)).sort()).toEqual(['one done', 'one late', 'one wait']);
  });

  test('progress prolongs the wait instead of asking again', async () => {
    const commands: Command[] = [];
    await bus.onCommand('h1', 'compute', (command) => {
      commands.push(command);
      for (const ms of [100, 200, 300])
        setTimeout(() => void bus.sendReply(replyTo(command, { outcome: 'progress' })), ms);
      setTimeout(() => void bus.sendReply(replyTo(command)), 400);
    });
    await run([kindOf({ one: asking })]);
    await ended(await begin());
    expect(commands).toHaveLength(1);
  });

  test('progress and the answer count although another dispatcher hears them', async () => {
    // The bus gives replies to the first one, which knows no kinds and holds nothing.
    await run([]);
    const commands: Command[] = [];
    await bus.onCommand('h1', 'compute', (command) => {
      commands.push(command);
      for (const ms of [100, 200, 300])
        setTimeout(() => void bus.sendReply(replyTo(command, { outcome: 'progress' })), ms);
      setTimeout(() => void bus.sendReply(replyTo(command)), 400);
    });
    await run([kindOf({ one: asking })]);
    await ended(await begin());
    expect(commands).toHaveLength(1);
  });

  test('an answer from another host than the one asked does not count', async () => {
    const commands: Command[] = [];
    await bus.onCommand('h1', 'compute', (command) => {
      commands.push(command);
      void bus
        .sendReply(replyTo(command, { host: 'thief', observed: { said: 'stolen' } }))
        .then(() => (commands.length > 1 ? bus.sendReply(replyTo(command)) : undefined));
    });
    await run([kindOf({ one: asking })]);
    await ended(await begin());
    expect(commands).toHaveLength(2);
  });

  test.each([true, false])('a fault of the host that is retryable: %s', async (retryable) => {
    let asked = 0;
    const fault = { code: 'disk_full', message: 'no room for the disk', retryable };
    await bus.onCommand(
      'h1',
      'compute',
      (command) => void bus.sendReply(replyTo(command, ++asked === 1 ? { outcome: 'failed', fault } : {})),
    );
    await run([kindOf({ one: asking })]);
    const task = await ended(await begin());
    expect(task.error).toBe(retryable ? null : 'no room for the disk');
    expect(asked).toBe(retryable ? 2 : 1);
  });

  test('a bus that fails is asked again', async () => {
    let tries = 0;
    const real = { ...bus };
    bus.sendCommand = (command) =>
      ++tries === 1 ? Promise.reject(new Error('broker away')) : real.sendCommand(command);
    await bus.onCommand('h1', 'compute', (command) => void bus.sendReply(replyTo(command)));
    await run([kindOf({ one: asking })]);
    await ended(await begin());
    expect(tries).toBe(2);
  });

  test('a reply to an unknown task is dropped', async () => {
    await run([]);
    const command = {
      task: 'none',
      step: 'one',
      send: 1,
      host: 'h1',
      session: 7,
      generation: 1,
      resource: 'r',
      kind: 'server.remove',
      body: { server_id: 's' },
    } as const;
    await bus.sendReply(replyTo(command));
    await new Promise((resolve) => setTimeout(resolve, 50));
    expect(await cloud.db.read((session) => session.count(taskEvents))).toBe(0);
  });

  test('what a dispatcher was answered before it died is asked again by the next one', async () => {
    let asked = 0;
    await bus.onCommand('h1', 'compute', (command) => (asked++, void bus.sendReply(replyTo(command))));
    let killed: Promise<void> | undefined;
    const engine = await run([kindOf({ one: asking })], {
      observer: {
        afterStep: async (_task, result) => {
          if (result.type !== 'done') return;
          killed = engine.kill();
          await new Promise((resolve) => setImmediate(resolve));
        },
      },
    });
    const id = await begin();
    await until('the death', () => Promise.resolve(killed !== undefined));
    await run([kindOf({ one: asking })]);
    await ended(id);
    expect(asked).toBe(2);
  });

  test('an answer that another controller has recorded is found', async () => {
    await bus.onCommand('h1', 'compute', (command) => void recordReply(cloud, replyTo(command)));
    await run([kindOf({ one: askingBoth(['h1']) })], { leaseMs: 60_000 });
    const id = await begin();
    expect((await ended(id)).error).toBeNull();
    expect(await timeline(id)).toEqual(['one done']);
  });

  describe('of which one host has answered and another one has not', () => {
    let commands: Command[];
    let runs: number;
    let id: string;
    beforeEach(async () => {
      commands = [];
      runs = 0;
      await addAgent('h2');
      for (const host of ['h1', 'h2']) await bus.onCommand(host, 'compute', (command) => void commands.push(command));
      await run([kindOf({ one: askingBoth(['h1', 'h2']) })], {
        leaseMs: 60_000,
        observer: { afterStep: () => void runs++ },
      });
      id = await begin();
      await until('the questions', () => Promise.resolve(commands.length === 2 && runs === 1));
      await new Promise((resolve) => setTimeout(resolve, 20));
    });
    const answer = (host: string, changes: Partial<Reply> = {}): Promise<void>[] =>
      commands.filter((command) => command.host === host).map((command) => bus.sendReply(replyTo(command, changes)));

    test('the step runs when both have', async () => {
      await Promise.all(answer('h2'));
      await new Promise((resolve) => setTimeout(resolve, 50));
      expect(runs).toBe(1);
      await Promise.all(answer('h1'));
      expect((await ended(id)).error).toBeNull();
      expect(runs).toBe(2);
      expect(await timeline(id)).toEqual(['one done']);
    });

    test('the step runs at once when one has failed', async () => {
      const fault = { code: 'no', message: 'it can not', retryable: false };
      await Promise.all(answer('h2', { outcome: 'failed', fault }));
      expect(await ended(id)).toMatchObject({ error: 'it can not' });
    });
  });
});
