// The loop of all agents: registration, late and doubled commands, one at a time, replies, stop.
import { setTimeout as delay } from 'node:timers/promises';
import {
  createAgent,
  createMemoryBus,
  CumuletError,
  HostError,
  noController,
  silentLogger,
  systemClock,
  type Agent,
  type AgentApi,
  type AgentOptions,
  type Bus,
  type Command,
  type CommandHandlers,
  type Registered,
  type Reply,
} from '@cumulet/common';

const unused = (): never => {
  throw new Error('not used here');
};

const until = async (what: string, holds: () => boolean): Promise<void> => {
  for (let i = 0; i < 500; i++) {
    if (holds()) return;
    await delay(5);
  }
  throw new Error(`never came: ${what}`);
};

/** A handler whose runs the test ends one by one. */
function gate() {
  const runs: {
    command: Command;
    signal: AbortSignal;
    end: (value?: Record<string, unknown>) => void;
    fail: (e: unknown) => void;
  }[] = [];
  const handler: NonNullable<CommandHandlers['disk.remove']> = (command, { signal }) =>
    new Promise((resolve, reject) => {
      runs.push({ command, signal, end: (value = {}) => resolve(value), fail: reject });
      signal.addEventListener('abort', () => reject(new Error('aborted')));
    });
  return { runs, handler };
}

interface Scene {
  agent: Agent;
  bus: Bus;
  replies: Reply[];
  events: string[];
  readonly send: (changes?: Partial<Command<'disk.remove'>>) => Promise<void>;
}

const scenes: Agent[] = [];
afterEach(async () => {
  await Promise.all(scenes.splice(0).map((agent) => agent.stop()));
});

async function scene(
  handlers: CommandHandlers,
  api: Partial<AgentApi> = {},
  changes: Partial<AgentOptions> = {},
): Promise<Scene> {
  const bus = createMemoryBus();
  const replies: Reply[] = [];
  const events: string[] = [];
  await bus.onReply((reply) => {
    replies.push(reply);
    return Promise.resolve();
  });
  let session = 6;
  const fullApi: AgentApi = {
    register: (): Promise<Registered> => {
      events.push('register');
      return Promise.resolve({ session: ++session, expected: [{ id: 'known', generation: 5 }] });
    },
    heartbeat: () => Promise.resolve(void events.push('heartbeat')),
    networkChanges: unused,
    reportPorts: unused,
    reportServers: unused,
    openImage: unused,
    openDisk: unused,
    storeImage: unused,
    metadata: unused,
    ...api,
  };
  const agent = createAgent({
    host: 'h1',
    role: 'storage',
    bus,
    api: fullApi,
    clock: systemClock,
    log: silentLogger,
    handlers,
    inventory: () => Promise.resolve({ disk: 1 }),
    reconcile: () => Promise.resolve(void events.push('reconcile')),
    heartbeatMs: 10,
    ...changes,
  });
  scenes.push(agent);
  const send: Scene['send'] = (given = {}) =>
    bus.sendCommand({
      task: 't1',
      step: 's1',
      send: 1,
      host: 'h1',
      session: 7,
      generation: 1,
      resource: 'r1',
      kind: 'disk.remove',
      body: { server_id: 'r1' },
      ...given,
    });
  return { agent, bus, replies, events, send };
}

test('registers, reconciles, then takes commands and answers with task, step, send and what was observed', async () => {
  const { agent, replies, events, send } = await scene({ 'disk.remove': () => Promise.resolve({ gone: true }) });
  await agent.start();
  expect(events.slice(0, 2)).toEqual(['register', 'reconcile']);
  expect(agent.session()).toBe(7);
  await send({ send: 3 });
  await until('reply', () => replies.length === 1);
  expect(replies[0]).toEqual({
    task: 't1',
    step: 's1',
    send: 3,
    host: 'h1',
    kind: 'disk.remove',
    outcome: 'done',
    observed: { gone: true },
    fault: null,
  });
});

test('commands that arrive during the reconciliation run after it', async () => {
  let reconciled: () => void = unused;
  const { runs, handler } = gate();
  const { agent, send, events } = await scene(
    { 'disk.remove': handler },
    {},
    { reconcile: () => new Promise((resolve) => (reconciled = resolve)) },
  );
  const starting = agent.start();
  await until('registration', () => agent.session() === 7);
  await delay(10);
  await send();
  await until('a heartbeat', () => events.includes('heartbeat'));
  await delay(30);
  expect(runs).toHaveLength(0);
  reconciled();
  await starting;
  await until('run', () => runs.length === 1);
});

test('commands that arrive before the answer to the registration run when they are of its session', async () => {
  const { runs, handler } = gate();
  const sessions = [7, 8];
  let answer: () => void = unused;
  const { agent, send, events } = await scene(
    { 'disk.remove': handler },
    {
      register: () =>
        new Promise((resolve) => {
          const session = sessions.shift() ?? 9;
          answer = () => resolve({ session, expected: [] });
          events.push('asked');
        }),
      heartbeat: (_host, _role, session) =>
        session === 7
          ? Promise.reject(new CumuletError('stale_session', 'register again'))
          : Promise.resolve(undefined),
    },
  );
  const starting = agent.start();
  await until('the first registration', () => events.includes('asked'));
  answer();
  await starting;
  await until('the second registration', () => events.filter((one) => one === 'asked').length === 2);
  await send({ session: 7, resource: 'old' });
  await send({ session: 8, resource: 'new' });
  await delay(10);
  answer();
  await until('run', () => runs.length > 0);
  expect(runs.map(({ command }) => command.resource)).toEqual(['new']);
});

test('a registration that fails is tried again', async () => {
  let attempts = 0;
  const { agent } = await scene(
    {},
    {
      register: () =>
        ++attempts === 1 ? Promise.reject(new Error('no controller')) : Promise.resolve({ session: 9, expected: [] }),
    },
  );
  await agent.start();
  expect([attempts, agent.session()]).toEqual([2, 9]);
});

test('stop ends a registration that never succeeds', async () => {
  const { agent } = await scene({}, { register: () => Promise.reject(new Error('no controller')) });
  const starting = agent.start();
  await delay(5);
  await agent.stop();
  await starting;
  expect(agent.session()).toBeUndefined();
});

test.each([
  ['of another session', { session: 6 }],
  ['older than what the registration named', { resource: 'known', generation: 4 }],
])('drops commands %s', async (_, changes) => {
  const { runs, handler } = gate();
  const { agent, send } = await scene({ 'disk.remove': handler });
  await agent.start();
  await send(changes);
  await delay(30);
  expect(runs).toHaveLength(0);
});

test('drops a command with a generation older than the newest seen, also while idle', async () => {
  const { agent, send, replies } = await scene({ 'disk.remove': () => Promise.resolve({}) });
  await agent.start();
  await send({ generation: 3 });
  await send({ generation: 2, task: 't0' });
  await send({ generation: 3, send: 2 });
  await until('replies', () => replies.length >= 2);
  await delay(20);
  expect(replies.map(({ task, send: n }) => [task, n])).toEqual([
    ['t1', 1],
    ['t1', 2],
  ]);
});

test('a late copy of an earlier step of the same generation does not run again, a later send of it does', async () => {
  const { agent, send, replies } = await scene({ 'disk.remove': () => Promise.resolve({}) });
  await agent.start();
  await send({ step: 'spawn', send: 2 });
  await send({ step: 'remove' });
  await until('replies', () => replies.length === 2);
  await send({ step: 'spawn', send: 2 });
  await send({ step: 'spawn', send: 1 });
  await send({ step: 'remove', send: 2 });
  await until('third reply', () => replies.length === 3);
  await send({ step: 'spawn', send: 3 });
  await until('fourth reply', () => replies.length === 4);
  expect(replies.map(({ step, send: n }) => `${step} ${n}`)).toEqual(['spawn 2', 'remove 1', 'remove 2', 'spawn 3']);
});

test('one command per resource runs at a time; other resources do not wait', async () => {
  const { runs, handler } = gate();
  const { agent, send, replies } = await scene({ 'disk.remove': handler });
  await agent.start();
  await send();
  await send({ send: 2 });
  await send({ resource: 'r2', task: 't2' });
  await until('two runs', () => runs.length === 2);
  await delay(20);
  expect(runs.map(({ command }) => command.resource)).toEqual(['r1', 'r2']);
  runs[0]?.end();
  await until('reply', () => replies.length === 1);
  // The repetition joined the run: its send is the one that is answered.
  expect(replies[0]).toMatchObject({ task: 't1', send: 2 });
});

test('a newer command aborts the running one, waits for its end and is the only one answered', async () => {
  const { runs, handler } = gate();
  const { agent, send, replies } = await scene({ 'disk.remove': handler });
  await agent.start();
  await send();
  await until('run', () => runs.length === 1);
  await send({ step: 's2' });
  await until('second run', () => runs.length === 2);
  expect(runs[0]?.signal.aborted).toBe(true);
  runs[1]?.end();
  await until('reply', () => replies.length === 1);
  await delay(20);
  expect(replies.map(({ step }) => step)).toEqual(['s2']);
});

test('progress is reported while the work runs', async () => {
  const { agent, send, replies } = await scene({
    'disk.remove': async (_, { progress }) => {
      await progress({ bytes: 5 });
      return {};
    },
  });
  await agent.start();
  await send();
  await until('replies', () => replies.length === 2);
  expect(replies.map(({ outcome, observed }) => [outcome, observed])).toEqual([
    ['progress', { bytes: 5 }],
    ['done', {}],
  ]);
});

test.each([
  [
    'a host error speaks for itself',
    new HostError('disk_full', 'the disk is full', { retryable: true, facts: { path: '/x' } }),
    { code: 'disk_full', message: 'the disk is full', retryable: true },
    { path: '/x', error: 'the disk is full' },
  ],
  [
    'another error keeps its code and its words out of the fault',
    new CumuletError('odd', 'cannot open /secret', { path: '/secret' }, new Error('EACCES')),
    {
      code: 'odd',
      message: 'disk.remove failed on the host for an internal reason that its log names',
      retryable: true,
    },
    { path: '/secret', error: 'cannot open /secret', cause: 'EACCES' },
  ],
  [
    'an unknown error is internal',
    'a string',
    {
      code: 'internal_error',
      message: 'disk.remove failed on the host for an internal reason that its log names',
      retryable: true,
    },
    { error: 'a string' },
  ],
])('a failure is answered: %s', async (_, error, fault, observed) => {
  const { runs, handler } = gate();
  const { agent, send, replies } = await scene({ 'disk.remove': handler });
  await agent.start();
  await send();
  await until('run', () => runs.length === 1);
  runs[0]?.fail(error);
  await until('reply', () => replies.length === 1);
  expect(replies[0]).toMatchObject({ outcome: 'failed', fault, observed });
});

test('a command that the agent does not know fails in words', async () => {
  const { agent, send, replies } = await scene({});
  await agent.start();
  await send();
  await until('reply', () => replies.length === 1);
  expect(replies[0]?.fault).toEqual({
    code: 'unknown_command',
    message: "this host's agent can't carry out disk.remove",
    retryable: false,
  });
});

test('a reply that the bus refuses does not hurt the next command', async () => {
  const bus = createMemoryBus();
  let refused = 0;
  const { agent, replies } = await scene(
    { 'disk.remove': () => Promise.resolve({}) },
    {},
    {
      bus: {
        ...bus,
        sendReply: (reply: Reply) =>
          ++refused === 1 ? Promise.reject(new Error('broker gone')) : bus.sendReply(reply),
      },
    },
  );
  await bus.onReply((reply) => Promise.resolve(void replies.push(reply)));
  await agent.start();
  const command = {
    task: 't1',
    step: 's1',
    host: 'h1',
    session: 7,
    generation: 1,
    resource: 'r1',
    kind: 'disk.remove' as const,
    body: { server_id: 'r1' },
  };
  await bus.sendCommand({ ...command, send: 1 });
  await until('first try', () => refused === 1);
  await bus.sendCommand({ ...command, send: 2 });
  await until('reply', () => replies.length === 1);
  expect(replies[0]?.send).toBe(2);
});

test('heartbeats carry the session, survive failures, and a stale session registers again and aborts old work', async () => {
  const sessions: number[] = [];
  const { runs, handler } = gate();
  let answer: 'ok' | 'down' | 'stale' = 'ok';
  const { agent, send } = await scene(
    { 'disk.remove': handler },
    {
      heartbeat: (_host, _role, session) => {
        sessions.push(session);
        if (answer === 'down') return Promise.reject(new Error('controller is away'));
        if (answer === 'stale') {
          answer = 'ok';
          return Promise.reject(new CumuletError('stale_session', 'register again'));
        }
        return Promise.resolve(undefined);
      },
    },
  );
  await agent.start();
  await send();
  await until('run', () => runs.length === 1);
  answer = 'down';
  await delay(30);
  answer = 'ok';
  const before = sessions.length;
  await until('heartbeats go on', () => sessions.length > before + 1);
  answer = 'stale';
  await until('new session', () => sessions.at(-1) === 8);
  expect(runs[0]?.signal.aborted).toBe(true);
  await send({ session: 7, send: 2 });
  await send({ session: 8, send: 3 });
  await until('run in the new session', () => runs.length === 2);
  expect(runs[1]?.command.send).toBe(3);
});

test('stop takes nothing more, aborts what runs and waits for it', async () => {
  let [began, ended] = [false, false];
  const { agent, send, replies } = await scene({
    'disk.remove': (_, { signal }) =>
      new Promise((_resolve, reject) => {
        began = true;
        signal.addEventListener('abort', () => setTimeout(() => ((ended = true), reject(new Error('given up'))), 30));
      }),
  });
  await agent.start();
  await send();
  await until('the command', () => began);
  await agent.stop();
  expect(ended).toBe(true);
  await send({ send: 2 });
  await delay(20);
  expect(replies).toEqual([]);
});

test('a purge asks no controller', async () => {
  const words = 'a purge asks no controller';
  const api = noController();
  await expect(api.register({ host: 'h', role: 'compute', inventory: {} })).rejects.toThrow(words);
  await expect(api.networkChanges('h', 0)).rejects.toThrow(words);
});
