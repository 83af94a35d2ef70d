// Resizes and migrations end as their owners say, also when the server is deleted on the way or a host is silent.
import { taskKinds } from '@cumulet/controller';
import { HostError } from '@cumulet/common';
import { servers, serverMigrations, type Server } from '../../controller/src/db/entities/compute';
import { agents, allocations, residues, tasks, type Task } from '../../controller/src/db/entities/tasks';
import { startCloudWithHost, type CloudWithHost } from './cloudWithHost';

let world: CloudWithHost;
/** What happens before a step runs; set by a test. */
let before: (task: Task) => Promise<void> | void;
beforeEach(() => {
  before = () => undefined;
});
afterEach(() => world.stop());

async function start(...names: string[]): Promise<string> {
  world = await startCloudWithHost(undefined, names);
  await world.startEngine({ beforeStep: (task) => before(task) });
  const id = await world.boot();
  await world.settled();
  return id;
}

const path = (id: string): string => `/compute/v2.1/servers/${id}`;

async function act(id: string, action: string, value: unknown = null): Promise<void> {
  const token = action === 'migrate' ? 'admin' : 'demo';
  const answer = await world.test.call('POST', `${path(id)}/action`, { token, body: { [action]: value } });
  expect(answer.status).toBe(action === 'confirmResize' ? 204 : 202);
}

async function server(id: string): Promise<Server> {
  const row = await world.test.cloud.db.read((session) => session.findOne(servers, { id }));
  if (!row) throw new Error('the server has no row');
  return row;
}

/** Hosts with their domains, revisions of disks and taps. */
const onHosts = (id: string) =>
  world.hosts.map(({ domains, disks, taps }) => [
    domains.get(id) ?? null,
    [...(disks.get(id) ?? [])].sort(),
    taps.size,
  ]);
const claims = () =>
  world.test.cloud.db.read(async (session) =>
    (await session.find(allocations, { order: { vcpus: 'ASC' } })).map(({ host, vcpus }) => [host, vcpus]),
  );
const used = async (): Promise<number[]> => {
  const { body } = await world.test.call('GET', '/compute/v2.1/limits');
  const { totalCoresUsed, totalRAMUsed, totalInstancesUsed } = body.limits.absolute;
  return [totalInstancesUsed, totalCoresUsed, totalRAMUsed];
};

describe('on the same host', () => {
  test('a resize keeps the old disk, room and quota until it is confirmed', async () => {
    const id = await start('node-1');
    await act(id, 'resize', { flavorRef: 'micro' });
    await world.settled();
    expect((await world.test.call('GET', path(id))).body.server.status).toBe('VERIFY_RESIZE');
    expect(onHosts(id)).toEqual([['running', [1, 2], 1]]);
    expect(world.host.vcpus.get(id)).toBe(2);
    expect(await claims()).toEqual([
      ['node-1', 1],
      ['node-1', 2],
    ]);
    expect(await used()).toEqual([1, 2, 256]);
    await world.expectClean();
    await act(id, 'confirmResize');
    await world.settled();
    expect((await world.test.call('GET', path(id))).body.server.status).toBe('ACTIVE');
    expect(onHosts(id)).toEqual([['running', [2], 1]]);
    expect(await claims()).toEqual([['node-1', 2]]);
    await world.expectClean();
  });

  test('a revert gives back what the resize took', async () => {
    const id = await start('node-1');
    await act(id, 'os-stop');
    await world.settled();
    await act(id, 'resize', { flavorRef: 'micro' });
    await world.settled();
    expect(onHosts(id)).toEqual([['shutdown', [1, 2], 1]]);
    await act(id, 'revertResize');
    await world.settled();
    expect((await world.test.call('GET', path(id))).body.server.status).toBe('SHUTOFF');
    expect(onHosts(id)).toEqual([['shutdown', [1], 1]]);
    expect(await claims()).toEqual([['node-1', 1]]);
    expect(await used()).toEqual([1, 1, 128]);
    await world.expectClean();
  });

  test('a smaller flavor gives its quota back when it is confirmed, not before', async () => {
    const id = await start('node-1');
    await world.test.call('POST', '/compute/v2.1/flavors', {
      token: 'admin',
      body: { flavor: { name: 'm1.pico', id: 'pico', vcpus: 1, ram: 64, disk: 1 } },
    });
    await act(id, 'resize', { flavorRef: 'pico' });
    await world.settled();
    expect(await used()).toEqual([1, 1, 128]);
    await act(id, 'confirmResize');
    await world.settled();
    expect(await used()).toEqual([1, 1, 64]);
    await world.expectClean();
  });

  test('a server that found no room stays as it is, and its timeline says why', async () => {
    const id = await start('node-1');
    await world.test.call('POST', '/compute/v2.1/flavors', {
      token: 'admin',
      body: { flavor: { name: 'm1.giant', id: 'giant', vcpus: 1, ram: 128, disk: 5000 } },
    });
    await act(id, 'resize', { flavorRef: 'giant' });
    await world.settled();
    expect(await server(id)).toMatchObject({ vm_state: 'active', task_state: null, flavor: { id: 'nano' } });
    expect(onHosts(id)).toEqual([['running', [1], 1]]);
    const { instanceActions } = (await world.test.call('GET', `${path(id)}/os-instance-actions`)).body;
    expect(instanceActions[0]).toMatchObject({ action: 'resize', message: 'Error' });
    await world.expectClean();
  });

  test('nobody is migrated where there is no other host, and the reason is told', async () => {
    const id = await start('node-1');
    await act(id, 'migrate');
    await world.settled();
    expect(await server(id)).toMatchObject({ vm_state: 'active', task_state: null });
    const timeline = (await world.test.call('GET', `/cumulet/v1/servers/${id}/timeline`)).body;
    expect(JSON.stringify(timeline)).toContain(
      'No valid host was found. 1 host: the server is there and shall leave it.',
    );
  });
});

describe('on another host', () => {
  test('a migrated server leaves nothing behind once it is confirmed', async () => {
    const id = await start('node-1', 'node-2');
    await act(id, 'migrate');
    await world.settled();
    expect(onHosts(id)).toEqual([
      [null, [1], 0],
      ['running', [2], 1],
    ]);
    expect((await server(id)).host).toBe('node-2');
    await world.expectClean();
    await act(id, 'confirmResize');
    await world.settled();
    expect(onHosts(id)).toEqual([
      [null, [], 0],
      ['running', [2], 1],
    ]);
    expect(await claims()).toEqual([['node-2', 1]]);
    await world.expectClean();
  });

  test('the host that is left keeps the disk when its agents start anew', async () => {
    const id = await start('node-1', 'node-2');
    await act(id, 'migrate');
    await world.settled();
    await world.host.stop();
    await world.host.start();
    expect(onHosts(id)[0]).toEqual([null, [1], 0]);
    await act(id, 'revertResize');
    await world.settled();
    expect(onHosts(id)).toEqual([
      ['running', [1], 1],
      [null, [], 0],
    ]);
    await world.expectClean();
  });

  test('a disk that does not arrive leaves the server where it was', async () => {
    const id = await start('node-1', 'node-2');
    const [, other] = world.hosts;
    if (other)
      other.before = (kind) => {
        if (kind === 'disk.adopt') throw new HostError('disk_full', 'no room', { retryable: false });
      };
    await act(id, 'migrate');
    await world.settled();
    expect(await server(id)).toMatchObject({ vm_state: 'active', task_state: null, host: 'node-1', disk_revision: 1 });
    expect(onHosts(id)).toEqual([
      ['running', [1], 1],
      [null, [], 0],
    ]);
    expect(await claims()).toEqual([['node-1', 1]]);
    await world.expectClean();
  });

  test('a host that does not start the server again leaves it in ERROR, from where a hard reboot brings it back', async () => {
    const id = await start('node-1', 'node-2');
    await act(id, 'migrate');
    await world.settled();
    world.host.before = (kind) => {
      if (kind === 'server.ensure') throw new HostError('no_memory', 'not now', { retryable: false });
    };
    await act(id, 'revertResize');
    await world.settled();
    const { body } = await world.test.call('GET', path(id));
    expect(body.server.status).toBe('ERROR');
    expect(body.server.fault.message).toBe(
      'not now The host that the server came from does not start it again; a hard reboot tries anew.',
    );
    expect(onHosts(id)[1]).toEqual([null, [], 0]);
    await world.expectClean();
    world.host.before = () => undefined;
    await act(id, 'reboot', { type: 'HARD' });
    await world.settled();
    expect(await server(id)).toMatchObject({ vm_state: 'active', host: 'node-1', fault: null });
    expect(onHosts(id)[0]).toEqual(['running', [1], 1]);
    await world.expectClean();
  });

  test('a resize of a server whose new host can not give it back is reverted later', async () => {
    const id = await start('node-1', 'node-2');
    const [, other] = world.hosts;
    if (other)
      other.before = (kind) => {
        if (kind === 'server.ensure') throw new HostError('guest_refused', 'not here', { retryable: false });
        if (kind === 'server.remove') throw new HostError('still_there', 'it does not go', { retryable: true });
      };
    await act(id, 'migrate');
    await world.settled();
    const { body } = await world.test.call('GET', path(id));
    expect(body.server.status).toBe('ERROR');
    expect(body.server.fault.message).toBe(
      "not here The new host can't be asked to take the server back; revert again when it answers.",
    );
    for (const action of [{ reboot: { type: 'HARD' } }, { rebuild: { imageRef: body.server.image.id } }])
      expect((await world.test.call('POST', `${path(id)}/action`, { body: action })).status).toBe(409);
    if (other) other.before = () => undefined;
    await act(id, 'revertResize');
    await world.settled();
    expect(await server(id)).toMatchObject({ vm_state: 'active', host: 'node-1', fault: null });
    expect(onHosts(id)).toEqual([
      ['running', [1], 1],
      [null, [], 0],
    ]);
    await world.expectClean();
  });
});

describe('when a host falls silent', () => {
  /** The host's agents end, and nobody waits for them. */
  async function silence(name: string): Promise<void> {
    await world.hosts.find((host) => host.name === name)?.stop();
    await world.test.cloud.db.write((session) => session.update(agents, { host: name }, { heard_at: 0 }));
  }
  const wake = async (name: string) => world.hosts.find((host) => host.name === name)?.start();
  const silentAt = (kind: string, step: string, name: string): void => {
    let done = false;
    before = async (task) => {
      if (done || task.kind !== kind || task.step !== step) return;
      done = true;
      await silence(name);
    };
  };
  test('before anything was asked, the server is left alone', async () => {
    const id = await start('node-1', 'node-2');
    silentAt('server.migrate', 'ready', 'node-1');
    await act(id, 'migrate');
    await world.settled();
    expect(await server(id)).toMatchObject({ vm_state: 'active', task_state: null, host: 'node-1', fault: null });
    expect(await claims()).toEqual([['node-1', 1]]);
    await wake('node-1');
    expect(onHosts(id)[0]).toEqual(['running', [1], 1]);
    await world.expectClean();
  });

  test('the new one before it has the disk: the server runs on where it was', async () => {
    const id = await start('node-1', 'node-2');
    silentAt('server.migrate', 'copy', 'node-2');
    await act(id, 'migrate');
    await world.settled();
    expect(await server(id)).toMatchObject({ vm_state: 'active', task_state: null, host: 'node-1' });
    expect(onHosts(id)[0]).toEqual(['running', [1], 1]);
    const residue = await world.test.cloud.db.read((session) => session.find(residues));
    expect(residue).toMatchObject([{ host: 'node-2', resource_type: 'storage', resource_id: id }]);
    await wake('node-2');
    await world.expectClean();
  });

  test('the new one before it was told to start the server: it runs on where it was, and nothing is left', async () => {
    const id = await start('node-1', 'node-2');
    silentAt('server.migrate', 'prepare', 'node-2');
    await act(id, 'migrate');
    await world.settled();
    expect(await server(id)).toMatchObject({ vm_state: 'active', task_state: null, host: 'node-1', disk_revision: 1 });
    expect(onHosts(id)).toEqual([
      ['running', [1], 1],
      [null, [2], 0],
    ]);
    await wake('node-2');
    expect(onHosts(id)[1]).toEqual([null, [], 0]);
    await world.expectClean();
  });

  test('the new one when it may run the server: nothing is started elsewhere', async () => {
    const id = await start('node-1', 'node-2');
    silentAt('server.migrate', 'spawn', 'node-2');
    await act(id, 'migrate');
    await world.settled();
    expect(await server(id)).toMatchObject({ vm_state: 'error', task_state: null, host: 'node-2' });
    expect(onHosts(id)[0]?.[0]).toBeNull();
    await wake('node-2');
    await act(id, 'revertResize');
    await world.settled();
    expect(onHosts(id)).toEqual([
      ['running', [1], 1],
      [null, [], 0],
    ]);
    await world.expectClean();
  });

  test('the old one after its disk is copied: the server goes on, and the old one cleans up when it comes back', async () => {
    const id = await start('node-1', 'node-2');
    silentAt('server.migrate', 'depart', 'node-1');
    await act(id, 'migrate');
    await world.settled();
    expect(await server(id)).toMatchObject({ vm_state: 'resized', host: 'node-2' });
    // It is off, and a host that comes back starts nothing by itself.
    expect(onHosts(id)[0]?.[0]).toBe('shutdown');
    const refused = await world.test.call('POST', `${path(id)}/action`, { body: { revertResize: null } });
    expect([refused.status, refused.body.conflictingRequest.message]).toEqual([
      409,
      'Service is unavailable at this time.',
    ]);
    await act(id, 'confirmResize');
    await world.settled();
    expect(await server(id)).toMatchObject({ vm_state: 'active', task_state: null });
    expect(await claims()).toEqual([['node-2', 1]]);
    await wake('node-1');
    expect(onHosts(id)).toEqual([
      [null, [], 0],
      ['running', [2], 1],
    ]);
    await world.expectClean();
  });

  test('both: a deleted server is gone, and each removes its part when it comes back', async () => {
    const id = await start('node-1', 'node-2');
    await act(id, 'migrate');
    await world.settled();
    await silence('node-1');
    await silence('node-2');
    expect((await world.test.call('DELETE', path(id))).status).toBe(204);
    await world.settled();
    expect((await server(id)).deleted_at).not.toBeNull();
    expect(await used()).toEqual([0, 0, 0]);
    const residue = await world.test.cloud.db.read((session) => session.find(residues));
    expect(residue.map(({ host, resource_type }) => `${host} ${resource_type}`).sort()).toEqual(
      ['node-1', 'node-2'].flatMap((name) => [`${name} compute`, `${name} storage`]),
    );
    await wake('node-1');
    await wake('node-2');
    expect(onHosts(id).flatMap((host) => host.slice(0, 2))).toEqual([null, [], null, []]);
    await world.expectClean();
  });

  test('its own: the disk that a confirmed resize leaves goes with the next start', async () => {
    const id = await start('node-1');
    await act(id, 'resize', { flavorRef: 'micro' });
    await world.settled();
    await silence('node-1');
    await act(id, 'confirmResize');
    await world.settled();
    expect(await server(id)).toMatchObject({ vm_state: 'active', task_state: null, flavor: { id: 'micro' } });
    await wake('node-1');
    await act(id, 'reboot', { type: 'HARD' });
    await world.settled();
    expect(onHosts(id)).toEqual([['running', [2], 1]]);
    await world.expectClean();
  });

  test('all of them for a moment: a resize waits to hear one, for a minute at most', async () => {
    const id = await start('node-1');
    silentAt('server.resize', 'schedule', 'node-1');
    await act(id, 'resize', { flavorRef: 'micro' });
    const attempts = async () =>
      (await world.test.cloud.db.read((session) => session.find(tasks, { where: { resource_id: id, active: 1 } })))[0]
        ?.attempt ?? 0;
    while ((await attempts()) === 0) await new Promise((next) => setTimeout(next, 10));
    await wake('node-1');
    await world.settled();
    expect(await server(id)).toMatchObject({ vm_state: 'resized', flavor: { id: 'micro' } });
  });

  test('a server of a silent host is neither resized nor migrated', async () => {
    const id = await start('node-1', 'node-2');
    await silence('node-1');
    for (const body of [{ resize: { flavorRef: 'micro' } }, { migrate: null }])
      expect((await world.test.call('POST', `${path(id)}/action`, { token: 'admin', body })).status).toBe(409);
  });
});

test.each([
  ['shutdown', 4],
  ['crashed', 6],
] as const)('a guest that is found %s before the confirmation leaves a stopped server', async (power, power_state) => {
  const id = await start('node-1');
  await act(id, 'resize', { flavorRef: 'micro' });
  await world.settled();
  await world.test.controller.agentApi.reportServers('node-1', [{ id, power }]);
  expect(await server(id)).toMatchObject({ vm_state: 'resized', power_state });
  await act(id, 'confirmResize');
  await world.settled();
  expect(await server(id)).toMatchObject({ vm_state: 'stopped', power_state });
});

const kinds = taskKinds.filter(({ kind }) => /resize|migrate|Resize/.test(kind));
const reached = kinds.flatMap(({ kind, steps }) =>
  Object.keys(steps)
    .filter((step) => step !== 'strand')
    .map((step) => [kind, step] as const),
);

test.each(reached)('a server that is deleted in %s, step %s, leaves nothing', async (kind, step) => {
  const id = await start('node-1', 'node-2');
  const [, other] = world.hosts;
  if (kind === 'server.undoResize' && other)
    other.before = (command) => {
      if (command === 'server.ensure') throw new HostError('guest_refused', 'not here', { retryable: false });
    };
  let asked = false;
  before = async (task) => {
    if (asked || task.kind !== kind || task.step !== step) return;
    asked = true;
    expect((await world.test.call('DELETE', path(id))).status).toBe(204);
  };
  if (kind === 'server.resize') await act(id, 'resize', { flavorRef: 'micro' });
  else await act(id, 'migrate');
  await world.settled();
  if (/confirm|revert/.test(kind)) await act(id, kind.split('.')[1] ?? '');
  await world.settled();
  expect(asked).toBe(true);
  expect((await server(id)).deleted_at).not.toBeNull();
  expect(onHosts(id)).toEqual([
    [null, [], 0],
    [null, [], 0],
  ]);
  expect(await claims()).toEqual([]);
  expect(await used()).toEqual([0, 0, 0]);
  const left = await world.test.cloud.db.read((session) => session.find(serverMigrations, { where: { open: 1 } }));
  expect(left).toEqual([]);
  expect(await world.test.cloud.db.read((session) => session.count(tasks, { active: 1 }))).toBe(0);
  await world.expectClean();
});
