// After a host was restarted its servers run again, except those that had been stopped.
import { startCloudWithHost, type CloudWithHost } from './cloudWithHost';
import { servers, type Server } from '../../controller/src/db/entities/compute';
import { tasks } from '../../controller/src/db/entities/tasks';
import { reportServers } from '../../controller/src/agentApi/serverReports';

let cloud: CloudWithHost;
afterEach(() => cloud.stop());

const serverOf = (id: string) => cloud.test.cloud.db.read((session) => session.findOne(servers, { id }));
/** How often a server was started since it was made. */
const startsOf = (id: string) =>
  cloud.test.cloud.db.read((session) => session.count(tasks, { resource_id: id, kind: 'server.start' }));
/** The host's agent, whose session ends with that, may register again by itself: it must tell the same. */
const register = (bootId: string) => {
  cloud.host.bootId = bootId;
  return cloud.test.controller.agentApi.register({
    host: 'node-1',
    role: 'compute',
    inventory: { vcpus: 8, memory_mib: 8192, boot_id: bootId },
  });
};

test('a restarted host starts what ran on it, and only that', async () => {
  cloud = await startCloudWithHost();
  await cloud.startEngine();
  const running = await cloud.boot('running');
  const stopped = await cloud.boot('stopped');
  await cloud.settled();
  const stop = await cloud.test.call('POST', `/compute/v2.1/servers/${stopped}/action`, {
    token: 'admin',
    body: { 'os-stop': null },
  });
  expect(stop.status).toBe(202);
  await cloud.settled();
  await register('first boot');
  await register('first boot');
  expect(await startsOf(running)).toBe(0);
  await register('second boot');
  expect([await startsOf(running), await startsOf(stopped)]).toEqual([1, 0]);
  await cloud.settled();
  expect(await serverOf(running)).toMatchObject({ vm_state: 'active', task_state: null });
  expect(await serverOf(stopped)).toMatchObject({ vm_state: 'stopped', task_state: null });
});

test('a restarted host starts a resized server that ran, which still waits for its confirmation', async () => {
  cloud = await startCloudWithHost();
  await cloud.startEngine();
  const [running, stopped] = [await cloud.boot('running'), await cloud.boot('stopped')];
  const act = async (id: string, body: object) => {
    expect((await cloud.test.call('POST', `/compute/v2.1/servers/${id}/action`, { body })).status).toBeLessThan(300);
    await cloud.settled();
  };
  await cloud.settled();
  await act(stopped, { 'os-stop': null });
  for (const id of [running, stopped]) await act(id, { resize: { flavorRef: 'micro' } });
  await register('first boot');
  cloud.host.domains.set(running, 'shutdown');
  await register('second boot');
  await cloud.settled();
  expect([await startsOf(running), await startsOf(stopped)]).toEqual([1, 0]);
  expect([cloud.host.domains.get(running), cloud.host.domains.get(stopped)]).toEqual(['running', 'shutdown']);
  for (const id of [running, stopped]) {
    expect(await serverOf(id)).toMatchObject({ vm_state: 'resized', task_state: null });
    await act(id, { revertResize: null });
  }
  expect([(await serverOf(running))?.vm_state, (await serverOf(stopped))?.vm_state]).toEqual(['active', 'stopped']);
  await cloud.expectClean();
});

test.each([
  ['active', 'shutdown', 'SHUTOFF'],
  ['paused', 'shutdown', 'SHUTOFF'],
  ['paused', 'crashed', 'SHUTOFF'],
  ['paused', 'paused', 'PAUSED'],
  ['suspended', 'shutdown', 'SUSPENDED'],
  ['active', 'running', 'ACTIVE'],
] as const)('a server that is %s and found %s is shown as %s', async (vmState, power, status) => {
  cloud = await startCloudWithHost();
  await cloud.startEngine();
  const id = await cloud.boot();
  await cloud.settled();
  await cloud.test.cloud.db.write((session) => session.update(servers, { id }, { vm_state: vmState }));
  const before = (await serverOf(id))?.updated_at;
  const unknown = { id: '00000000-0000-0000-0000-000000000000', power: 'crashed' } as const;
  await cloud.test.controller.agentApi.reportServers('node-1', [unknown, { id, power, why: 'of the test' }]);
  if (power === 'running') expect((await serverOf(id))?.updated_at).toBe(before);
  expect((await cloud.test.call('GET', `/compute/v2.1/servers/${id}`)).body.server.status).toBe(status);
  const actions = (await cloud.test.call('GET', `/compute/v2.1/servers/${id}/os-instance-actions`)).body;
  const names = actions.instanceActions.map(({ action }: { action: string }) => action);
  expect(names).toEqual(status === 'SHUTOFF' ? ['stop', 'create'] : ['create']);
  const timeline = (await cloud.test.call('GET', `/cumulet/v1/servers/${id}/timeline`)).body;
  if (status === 'SHUTOFF') expect(timeline.tasks[1].steps[0].message).toBe('of the test');
});

test('a report that comes as the operation on its server ends does not take back what the operation has made of it', async () => {
  cloud = await startCloudWithHost();
  await cloud.startEngine();
  const id = await cloud.boot();
  await cloud.settled();
  const { db } = cloud.test.cloud;
  const set = (values: Partial<Server>): Promise<number> =>
    db.write((session) => session.update(servers, { id }, values));
  await set({ vm_state: 'building', task_state: 'spawning', power_state: 0 });
  // The last step is committed after the server was looked at.
  const read: typeof db.read = async (work) => {
    const found = await db.read(work);
    await set({ vm_state: 'active', task_state: null });
    return found;
  };
  await reportServers({ ...cloud.test.cloud, db: { ...db, read } }, 'node-1', [{ id, power: 'running' }]);
  expect(await serverOf(id)).toMatchObject({ vm_state: 'active', task_state: null });
});
