// Several dispatchers over one MariaDB: who holds a task does not depend on the clocks of their machines.
import { createMemoryBus, parseConfig, silentLogger, systemClock, type Clock } from '@cumulet/common';
import { createEngine, done, openDatabase, wait, type Database, type Engine } from '@cumulet/controller';
import { checkController } from '../../controller/src/checkConfig';
import { recordReply } from '../../controller/src/conductor/asks';
import { tasks } from '../../controller/src/db/entities/tasks';
import { openDatabaseClock, type DatabaseClock } from '../../controller/src/databaseClock';
import { ControllerProcessConfig } from '../../controller/src/process';
import { createTask, rouseTasks, type TaskRequest } from '../../controller/src/services/tasks';
import { makeTestCa } from '../support/certificates';
import { kindOf, until } from '../support/engineTasks';
import { optionsOf } from '../support/mariadb';
import { startTestCloud, type TestCloud } from '../support/testCloud';

const HALF_A_MINUTE = 30_000;
const machine = (off: number): Clock => ({ ...systemClock, now: () => Date.now() + off });

let test_: TestCloud;
let db: Database;
const clocks: DatabaseClock[] = [];
const engines: Engine[] = [];

beforeEach(async () => {
  test_ = await startTestCloud();
  const { database } = test_.cloud.config;
  db = await openDatabase(optionsOf(process.env['CUMULET_TEST_DATABASE'] ?? '', database.name));
});
afterEach(async () => {
  await Promise.all(engines.splice(0).map((engine) => engine.kill()));
  for (const clock of clocks.splice(0)) await clock.stop();
  await db.close();
  await test_.stop();
});

const request = (resourceId: string): TaskRequest => ({
  kind: 'test.work',
  resourceType: 'thing',
  resourceId,
  requestId: 'req-1',
  projectId: null,
  userId: null,
});
const ended = (id: string) =>
  until('the end', async () => (await db.read((session) => session.count(tasks, { id, active: 1 }))) === 0);

async function clockOf(off: number): Promise<Clock> {
  const clock = await openDatabaseClock(db, machine(off), silentLogger);
  clocks.push(clock);
  return clock;
}

test('the time is the server’s, to the millisecond and without a zone', async () => {
  const before = Date.now();
  const time = await db.time();
  expect(time).toBeGreaterThanOrEqual(before - 1);
  expect(time).toBeLessThanOrEqual(Date.now() + 1);
});

test.each([-HALF_A_MINUTE, HALF_A_MINUTE])(
  'a controller whose machine is %d ms off takes no lease from another one, and begins what is due',
  async (off) => {
    const ran: string[] = [];
    const start = async (name: string, clock: Clock): Promise<void> => {
      const held = kindOf({
        one: () => {
          ran.push(name);
          return Promise.resolve(ran.length > 5 ? done() : wait(0.2));
        },
      });
      const cloud = { ...test_.cloud, db, clock, bus: createMemoryBus() };
      const engine = createEngine(cloud, { kinds: [held], leaseMs: 5_000, pollMs: 20 });
      engines.push(engine);
      await engine.start();
    };
    const right = await clockOf(0);
    const wrong = await clockOf(off);
    const begin = (resourceId: string, clock: Clock) =>
      db.write((session) => createTask(session, { ...test_.cloud, clock }, request(resourceId)));
    await start('right', right);
    const first = await begin('one', right);
    await until('its first run', () => ran.length > 0);
    await start('wrong', wrong);
    await ended(first);
    expect(new Set(ran)).toEqual(new Set(['right']));
    // What the other one asks for is due at once for everybody.
    await ended(await begin('two', wrong));
  },
);

test('news that another controller wrote is heard without waiting for the next look for work', async () => {
  let runs = 0;
  const waiting = kindOf({ one: () => Promise.resolve(++runs > 1 ? done() : wait(600)) });
  const engine = createEngine(
    { ...test_.cloud, db, bus: createMemoryBus() },
    { kinds: [waiting], leaseMs: 60_000, pollMs: 3_600_000 },
  );
  engines.push(engine);
  const id = await db.write((session) => createTask(session, test_.cloud, request('thing-1')));
  await engine.start();
  await until('the first run', () => runs === 1);
  await test_.cloud.db.write((session) => rouseTasks(session, test_.cloud, 'thing', ['thing-1']));
  await ended(id);
  expect(runs).toBe(2);
});

test('two answers that another controller records within one millisecond are both heard', async () => {
  let runs = 0;
  const waiting = kindOf({ one: () => Promise.resolve(++runs > 2 ? done() : wait(600)) });
  const engine = createEngine(
    { ...test_.cloud, db, bus: createMemoryBus() },
    { kinds: [waiting], leaseMs: 60_000, pollMs: 3_600_000 },
  );
  engines.push(engine);
  const task = await db.write((session) => createTask(session, test_.cloud, request('thing-1')));
  await engine.start();
  await until('the first run', () => runs === 1);
  const moment = Date.now();
  const other = { ...test_.cloud, clock: { ...systemClock, now: () => moment } };
  const answer = { task, step: 'one', send: 1, outcome: 'done', observed: {}, fault: null } as const;
  await recordReply(other, { ...answer, host: 'h1', kind: 'disk.ensure' });
  await until('the second run', () => runs === 2);
  await recordReply(other, { ...answer, host: 'h1', kind: 'ports.ensure' });
  await ended(task);
  expect(runs).toBe(3);
});

test('a database that refuses the controller is wrong configuration, one with its keys is right', async () => {
  const ca = await makeTestCa();
  await ca.add('controller', 'c');
  const process = parseConfig(ControllerProcessConfig, '', 'defaults');
  const config = (change: object) => {
    const { config } = test_.cloud;
    const agent_api = { ...process.agent_api, tls: ca.config('c') };
    const broker = { ...process.broker, password_file: ca.config('c').key };
    return { ...process, ...config, agent_api, broker, database: { ...config.database, ...change } };
  };
  expect(await checkController(config({}))).toEqual([]);
  await expect(checkController(config({ name: 'nowhere' }))).rejects.toThrow(/^database: Unknown database/);
  await expect(checkController(config({ user: 'nobody' }))).rejects.toThrow(/^database: Access denied/);
  const [note] = await checkController(config({ socket: '/nowhere' }));
  expect(note).toMatch(/^not checked: whether the key file .* fit the database, because it is not reached: .*ENOENT/);
  ca.stop();
});
