// An agent that dies with a command is asked again when it registers, and not only when the wait for its answer ends.
import { createEngine, taskKinds, type Engine } from '@cumulet/controller';
import { tasks } from '../../controller/src/db/entities/tasks';
import { startCloudWithHost, type CloudWithHost } from './cloudWithHost';

let world: CloudWithHost;
let engine: Engine;
/** The kind of command that the agents die with, and whether one has. */
let fatal: string;
let died: boolean;

beforeEach(async () => {
  died = false;
  world = await startCloudWithHost((_direction, message) => {
    if (message.kind !== fatal || !('session' in message) || message.session !== 1) return 'deliver';
    died = true;
    return 'drop';
  });
  // Nobody is asked again because time has passed.
  engine = createEngine(world.test.cloud, {
    kinds: taskKinds,
    leaseMs: 1000,
    pollMs: 20,
    maxBackoffMs: 30,
    askAgainFactor: 1000,
  });
  await engine.start();
});
afterEach(async () => {
  await engine.kill();
  await world.stop();
});

async function untilDied(): Promise<void> {
  for (let tries = 0; !died; tries++) {
    if (tries > 500) throw new Error(`no agent was asked for ${fatal}`);
    await new Promise((next) => setTimeout(next, 10));
  }
}
const restartAgents = async (): Promise<void> => {
  await world.host.stop();
  await world.host.start();
};

test.each(['disk.ensure', 'ports.ensure', 'server.ensure'])('a create that waits for %s goes on', async (kind) => {
  fatal = kind;
  const id = await world.boot();
  await untilDied();
  await restartAgents();
  await world.settled(10);
  expect((await world.test.call('GET', `/compute/v2.1/servers/${id}`)).body.server.status).toBe('ACTIVE');
  // It is the same round: the host was not silent.
  const [task] = await world.test.cloud.db.read((session) => session.find(tasks, { where: { resource_id: id } }));
  expect(task?.send).toBe(1);
  await world.expectClean();
});

test.each(['server.remove', 'disk.remove'])('a deletion that waits for %s goes on', async (kind) => {
  fatal = kind;
  const id = await world.boot();
  await world.settled(10);
  await world.test.call('DELETE', `/compute/v2.1/servers/${id}`);
  await untilDied();
  await restartAgents();
  await world.settled(10);
  expect((await world.test.call('GET', `/compute/v2.1/servers/${id}`)).status).toBe(404);
  expect([world.host.domains.size, world.host.disks.size]).toEqual([0, 0]);
  await world.expectClean();
});
