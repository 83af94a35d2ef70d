// A cloud for each test of a file, dispatchers over it, and an agent that they ask.
import { createMemoryBus, type Bus, type Command, type Reply } from '@cumulet/common';
import {
  createEngine,
  done,
  wait,
  type Cloud,
  type Database,
  type Engine,
  type EngineOptions,
  type Step,
  type TaskKind,
} from '@cumulet/controller';
import { agents, taskEvents, tasks, type Task } from '../../controller/src/db/entities/tasks';
import { createTask, type TaskRequest } from '../../controller/src/services/tasks';
import { until } from './engineTasks';
import { startTestCloud, type TestCloud } from './testCloud';

/** What is asked of the agent in tests. */
export const question = { host: 'h1', resource: 'thing-1', generation: 3 };

/** Asks the agent, and ends with its answer. */
export const asking: Step = async ({ ask }) => {
  const answer = await ask('server.remove', question, { server_id: 's' });
  return answer ? done({ message: String(answer['said']) }) : wait(0.2);
};

/** Dispatchers on a machine that may stand still for a moment: nobody else takes their tasks over, and {@link asking} asks again after 200 s. */
export const patient = { leaseMs: 60_000, askAgainFactor: 1000 };
/** The same, where a question must be asked again: after 2 s. */
export const hasty = { ...patient, askAgainFactor: 10 };

export const replyTo = (command: Command, changes: Partial<Reply> = {}): Reply => ({
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

export const request = (changes: Partial<TaskRequest> = {}): TaskRequest => ({
  kind: 'test.work',
  resourceType: 'thing',
  resourceId: 'thing-1',
  requestId: 'req-1',
  projectId: null,
  userId: null,
  ...changes,
});

export interface EngineScene {
  readonly cloud: Cloud;
  readonly bus: Bus;
  /** Starts a dispatcher; `db` changes its way to the database. */
  readonly run: (
    kinds: readonly TaskKind[],
    options?: Partial<EngineOptions>,
    db?: Partial<Database>,
  ) => Promise<Engine>;
  /** Has a dispatcher that the test made itself killed after the test. */
  readonly keep: (engine: Engine) => void;
  /** Makes a task and returns its id. */
  readonly begin: (changes?: Partial<TaskRequest>) => Promise<string>;
  readonly find: (id: string) => Promise<Task>;
  /** Resolves with the task when it has ended. */
  readonly ended: (id: string) => Promise<Task>;
  /** Step and outcome of each of its runs. */
  readonly timeline: (id: string) => Promise<string[]>;
  readonly addAgent: (host?: string) => Promise<unknown>;
}

/** Starts a cloud before each test; after it the test's dispatchers are killed. */
export function engineScene(): EngineScene {
  let world: TestCloud;
  let bus: Bus;
  const engines: Engine[] = [];
  beforeEach(async () => {
    bus = createMemoryBus();
    world = await startTestCloud({ bus });
  });
  afterEach(async () => {
    await Promise.all(engines.splice(0).map((engine) => engine.kill()));
    await world.stop();
  });

  const scene: EngineScene = {
    get cloud() {
      return world.cloud;
    },
    get bus() {
      return bus;
    },
    async run(kinds, options = {}, db = {}) {
      const own = { ...world.cloud, db: { ...world.cloud.db, ...db } };
      const engine = createEngine(own, { kinds, leaseMs: 300, pollMs: 20, maxBackoffMs: 10, ...options });
      engines.push(engine);
      await engine.start();
      return engine;
    },
    keep: (engine) => void engines.push(engine),
    begin: (changes) => world.cloud.db.write((session) => createTask(session, world.cloud, request(changes))),
    async find(id) {
      const task = await world.cloud.db.read((session) => session.findOne(tasks, { id }));
      if (!task) throw new Error('no such task');
      return task;
    },
    ended: (id) =>
      until('the end of the task', async () => ((task) => task.active === null && task)(await scene.find(id))),
    async timeline(id) {
      const options = { where: { task_id: id }, order: { sequence: 'ASC' } } as const;
      const events = await world.cloud.db.read((session) => session.find(taskEvents, options));
      return events.map((event) => `${event.step} ${event.outcome}`);
    },
    addAgent: (host = 'h1') =>
      world.cloud.db.write((session) =>
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
      ),
  };
  return scene;
}
