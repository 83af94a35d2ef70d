// An action that the host refuses: the server stays what it was, unless its guest may be neither; the action says that it failed.
import { HostError } from '@cumulet/common';
import { startCloudWithHost, type CloudWithHost } from './cloudWithHost';

let world: CloudWithHost;
beforeAll(async () => {
  world = await startCloudWithHost();
  await world.startEngine();
});
afterAll(() => world.stop());

test.each<[string, readonly object[], object, string]>([
  ['stop', [], { 'os-stop': null }, 'ACTIVE'],
  ['start', [{ 'os-stop': null }], { 'os-start': null }, 'SHUTOFF'],
  ['pause', [], { pause: null }, 'ACTIVE'],
  ['unpause', [{ pause: null }], { unpause: null }, 'PAUSED'],
  ['reboot', [], { reboot: { type: 'SOFT' } }, 'ERROR'],
  ['rebuild', [], { rebuild: {} }, 'ERROR'],
])('%s', async (name, before, action, status) => {
  const id = await world.boot();
  await world.settled();
  const path = `/compute/v2.1/servers/${id}`;
  const show = async () => (await world.test.call('GET', path)).body.server;
  const act = async (body: object) => {
    expect((await world.test.call('POST', `${path}/action`, { body })).status).toBe(202);
    await world.settled();
  };
  for (const body of before) await act(body);
  world.host.before = (kind) => {
    if (kind === 'server.ensure') throw new HostError('refused', 'not with this guest', { retryable: false });
  };
  await act(name === 'rebuild' ? { rebuild: { imageRef: (await show()).image.id } } : action);
  const server = await show();
  expect([server.status, server['OS-EXT-STS:task_state']]).toEqual([status, null]);
  expect(server.fault?.message).toBe(status === 'ERROR' ? 'not with this guest' : undefined);
  const [last] = (await world.test.call('GET', `${path}/os-instance-actions`)).body.instanceActions;
  expect(last).toMatchObject({ action: name, message: 'Error' });
  world.host.before = () => undefined;
  expect((await world.test.call('DELETE', path)).status).toBe(204);
  await world.settled();
  await world.expectClean();
});
