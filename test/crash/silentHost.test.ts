// A host that is silent when a server is asked for, as while the cloud starts: the server waits for it, but not for ever.
import { agents, tasks } from '../../controller/src/db/entities/tasks';
import { startCloudWithHost, type CloudWithHost } from './cloudWithHost';

let world: CloudWithHost;
beforeEach(async () => {
  world = await startCloudWithHost();
});
afterEach(() => world.stop());

const show = async (id: string) => (await world.test.call('GET', `/compute/v2.1/servers/${id}`)).body.server;
const silence = () =>
  world.test.cloud.db.write((session) => session.update(agents, { host: 'node-1' }, { heard_at: 0 }));

test('a server waits for a host that will be heard again', async () => {
  await world.host.stop();
  await silence();
  await world.startEngine();
  const id = await world.boot();
  const active = { where: { resource_id: id, active: 1 } };
  const tried = async () => (await world.test.cloud.db.read((session) => session.find(tasks, active)))[0]?.attempt ?? 0;
  for (let tries = 0; (await tried()) === 0 && tries < 500; tries++) await new Promise((next) => setTimeout(next, 10));
  expect(await show(id)).toMatchObject({ status: 'BUILD' });
  await world.host.start();
  await world.settled();
  expect(await show(id)).toMatchObject({ status: 'ACTIVE' });
  await world.expectClean();
});

test('when it stays silent for a minute the server is in ERROR and says why', async () => {
  await world.host.stop();
  await silence();
  const id = await world.boot();
  // The task of a minute ago.
  await world.test.cloud.db.write((session) =>
    session.update(tasks, { resource_id: id }, { created_at: Date.now() - 60_000 }),
  );
  await world.startEngine();
  await world.settled();
  const { status, fault } = await show(id);
  expect(status).toBe('ERROR');
  expect(fault.message).toContain('its agents have not been heard for 10 s');
});
