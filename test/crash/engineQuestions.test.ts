// Questions of the task engine to agents: whatever is lost, late or doubled on the way, an answer ends the wait.
import type { Command, Reply } from '@cumulet/common';
import { done, wait, type Database, type Step } from '@cumulet/controller';
import { recordReply } from '../../controller/src/conductor/asks';
import { taskEvents, taskReplies } from '../../controller/src/db/entities/tasks';
import { kindOf, until } from '../support/engineTasks';
import { asking, engineScene, hasty, patient, replyTo } from '../support/engineScene';

const scene = engineScene();
const { run, begin, ended, timeline, addAgent } = scene;

/** Asks hosts together and waits for all of them. */
const askingBoth =
  (hosts: readonly string[]): Step =>
  async ({ ask }) => {
    const answers: unknown[] = [];
    for (const host of hosts)
      answers.push(await ask('server.remove', { host, resource: 'thing-1', generation: 3 }, { server_id: 's' }));
    return answers.includes(undefined) ? wait(60) : done();
  };
beforeEach(addAgent);

test('the answer ends the wait at once and carries the session', async () => {
  const commands: Command[] = [];
  await scene.bus.onCommand(
    'h1',
    'compute',
    (command) => (commands.push(command), void scene.bus.sendReply(replyTo(command))),
  );
  await run([kindOf({ one: asking })], patient);
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
  await scene.bus.onCommand('h1', 'compute', (command) => {
    commands.push(command);
    const [first] = commands;
    if (commands.length === 2 && first) void scene.bus.sendReply(replyTo(first));
  });
  await run([kindOf({ one: asking })], hasty);
  const id = await begin();
  await ended(id);
  expect(commands.map(({ send }) => send)).toEqual([1, 2]);
  expect(await timeline(id)).toEqual(['one wait', 'one done']);
});

test('a failure of an earlier round does not count any more and goes to the timeline', async () => {
  const commands: Command[] = [];
  const fault = { code: 'x', message: 'gone wrong', retryable: false };
  await scene.bus.onCommand('h1', 'compute', (command) => {
    commands.push(command);
    const [first] = commands;
    if (commands.length < 2 || !first) return;
    void scene.bus
      .sendReply(replyTo(first, { outcome: 'failed', fault }))
      .then(() => until('the late one', async () => (await timeline(command.task)).includes('one late')))
      .then(() => scene.bus.sendReply(replyTo(command)));
  });
  await run([kindOf({ one: asking })], hasty);
  const id = await begin();
  expect((await ended(id)).error).toBeNull();
  expect(await timeline(id)).toEqual(['one wait', 'one late', 'one done']);
});

/** Tells of progress more often than a question is asked again, and answers later than that. */
function tellProgress(command: Command): void {
  for (const ms of [500, 1_000, 1_500, 2_000])
    setTimeout(() => void scene.bus.sendReply(replyTo(command, { outcome: 'progress' })), ms);
  setTimeout(() => void scene.bus.sendReply(replyTo(command)), 2_500);
}

test('progress prolongs the wait instead of asking again', async () => {
  const commands: Command[] = [];
  await scene.bus.onCommand('h1', 'compute', (command) => {
    commands.push(command);
    tellProgress(command);
  });
  await run([kindOf({ one: asking })], hasty);
  await ended(await begin());
  expect(commands).toHaveLength(1);
});

test('progress and the answer count although another dispatcher hears them', async () => {
  // The bus gives replies to the first one, which knows no kinds and holds nothing.
  await run([]);
  const commands: Command[] = [];
  await scene.bus.onCommand('h1', 'compute', (command) => {
    commands.push(command);
    tellProgress(command);
  });
  await run([kindOf({ one: asking })], hasty);
  await ended(await begin());
  expect(commands).toHaveLength(1);
});

test('an answer from another host than the one asked does not count', async () => {
  const commands: Command[] = [];
  await scene.bus.onCommand('h1', 'compute', (command) => {
    commands.push(command);
    void scene.bus
      .sendReply(replyTo(command, { host: 'thief', observed: { said: 'stolen' } }))
      .then(() => (commands.length > 1 ? scene.bus.sendReply(replyTo(command)) : undefined));
  });
  await run([kindOf({ one: asking })], hasty);
  await ended(await begin());
  expect(commands).toHaveLength(2);
});

test.each([true, false])('a fault of the host that is retryable: %s', async (retryable) => {
  let asked = 0;
  const fault = { code: 'disk_full', message: 'no room for the disk', retryable };
  await scene.bus.onCommand(
    'h1',
    'compute',
    (command) => void scene.bus.sendReply(replyTo(command, ++asked === 1 ? { outcome: 'failed', fault } : {})),
  );
  await run([kindOf({ one: asking })], patient);
  const task = await ended(await begin());
  expect(task.error).toBe(retryable ? null : 'no room for the disk');
  expect(asked).toBe(retryable ? 2 : 1);
});

test('a bus that fails is asked again', async () => {
  let tries = 0;
  const real = { ...scene.bus };
  scene.bus.sendCommand = (command) =>
    ++tries === 1 ? Promise.reject(new Error('broker away')) : real.sendCommand(command);
  await scene.bus.onCommand('h1', 'compute', (command) => void scene.bus.sendReply(replyTo(command)));
  await run([kindOf({ one: asking })], hasty);
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
  await scene.bus.sendReply(replyTo(command));
  await new Promise((resolve) => setTimeout(resolve, 50));
  expect(await scene.cloud.db.read((session) => session.count(taskEvents))).toBe(0);
});

test('what a dispatcher was answered before it died is asked again by the next one', async () => {
  let asked = 0;
  await scene.bus.onCommand('h1', 'compute', (command) => (asked++, void scene.bus.sendReply(replyTo(command))));
  let killed: Promise<void> | undefined;
  const engine = await run([kindOf({ one: asking })], {
    askAgainFactor: patient.askAgainFactor,
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
  await run([kindOf({ one: asking })], { askAgainFactor: patient.askAgainFactor });
  await ended(id);
  expect(asked).toBe(2);
});

test('an answer that another controller has recorded is found', async () => {
  await scene.bus.onCommand('h1', 'compute', (command) => void recordReply(scene.cloud, replyTo(command)));
  await run([kindOf({ one: askingBoth(['h1']) })], { leaseMs: 60_000 });
  const id = await begin();
  expect((await ended(id)).error).toBeNull();
  expect(await timeline(id)).toEqual(['one done']);
});

test('an answer that another controller records while the earlier ones are read is found', async () => {
  await addAgent('h2');
  const commands: Command[] = [];
  for (const host of ['h1', 'h2']) await scene.bus.onCommand(host, 'compute', (command) => void commands.push(command));
  const record = async (host: string): Promise<void> => {
    for (const command of commands.filter((one) => one.host === host)) await recordReply(scene.cloud, replyTo(command));
  };
  let reads = 0;
  const read: Database['read'] = (work) =>
    scene.cloud.db.read((session) => {
      const find: typeof session.find = session.find.bind(session);
      session.find = async (table, options) => {
        const rows = await find(table, options);
        // The first answer was read, and the second comes before anybody has made use of that.
        if ((table as unknown) === taskReplies && rows.length === 1 && ++reads === 1) {
          await record('h2');
          await new Promise((resolve) => setTimeout(resolve, 100));
        }
        return rows;
      };
      return work(session);
    });
  await run([kindOf({ one: askingBoth(['h1', 'h2']) })], { leaseMs: 60_000 }, { read });
  const id = await begin();
  await until('the questions', () => commands.length === 2);
  await record('h1');
  expect((await ended(id)).error).toBeNull();
  expect(reads).toBeGreaterThan(0);
});

describe('of which one host has answered and another one has not', () => {
  let commands: Command[];
  let runs: number;
  let id: string;
  beforeEach(async () => {
    commands = [];
    runs = 0;
    await addAgent('h2');
    for (const host of ['h1', 'h2'])
      await scene.bus.onCommand(host, 'compute', (command) => void commands.push(command));
    await run([kindOf({ one: askingBoth(['h1', 'h2']) })], {
      leaseMs: 60_000,
      observer: { afterStep: () => void runs++ },
    });
    id = await begin();
    await until('the questions', () => Promise.resolve(commands.length === 2 && runs === 1));
    await new Promise((resolve) => setTimeout(resolve, 20));
  });
  const answer = (host: string, changes: Partial<Reply> = {}): Promise<void>[] =>
    commands
      .filter((command) => command.host === host)
      .map((command) => scene.bus.sendReply(replyTo(command, changes)));

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
