// A rebuild leaves a server as it found it: running ones run, stopped ones stay off.
import { startCloudWithHost, type CloudWithHost } from './cloudWithHost';

let world: CloudWithHost;
beforeAll(async () => {
  world = await startCloudWithHost();
  await world.startEngine();
});
afterAll(() => world.stop());

test.each([
  ['running', [], 'ACTIVE', 'running'],
  ['stopped', [{ 'os-stop': null }], 'SHUTOFF', 'shutdown'],
])('a %s server', async (_state, before, status, power) => {
  const id = await world.boot();
  await world.settled();
  const path = `/compute/v2.1/servers/${id}`;
  const { server } = (await world.test.call('GET', path)).body;
  for (const body of [...before, { rebuild: { imageRef: server.image.id } }]) {
    expect((await world.test.call('POST', `${path}/action`, { body })).status).toBe(202);
    await world.settled();
  }
  expect((await world.test.call('GET', path)).body.server.status).toBe(status);
  expect(world.host.domains.get(id)).toBe(power);
  await world.expectClean();
});
