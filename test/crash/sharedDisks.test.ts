// Hosts that have one directory of disks: what moves is the server, never its data; what is not the same directory is found out; what comes late removes nothing.
import { HostError } from '@cumulet/common';
import { servers, serverMigrations, type Server } from '../../controller/src/db/entities/compute';
import { agents, hosts } from '../../controller/src/db/entities/tasks';
import { until } from '../support/engineTasks';
import { createSharedPool, type SharedPool, type SimulatedHost } from '../support/simulatedHost';
import { startCloudWithHost, type CloudWithHost } from './cloudWithHost';

let world: CloudWithHost;
let pool: SharedPool;
let source: SimulatedHost;
let target: SimulatedHost;
let id: string;

/** A server on node-1, which shares its disks with node-2 but not with node-3, if there is one. */
async function start(...names: string[]): Promise<void> {
  pool = createSharedPool();
  world = await startCloudWithHost(
    undefined,
    ['node-1', 'node-2', ...names],
    { fence_command: ['true'] },
    {
      'node-1': pool,
      'node-2': pool,
    },
  );
  const [first, second] = world.hosts;
  if (!first || !second) throw new Error('two hosts are needed');
  [source, target] = [first, second];
  await world.startEngine();
  await only('node-1');
  id = await world.boot();
  await world.settled();
  await only('node-1', 'node-2', ...names);
}
afterEach(() => world.stop());

/** Puts these hosts in service, and no others. */
const only = async (...names: string[]): Promise<void> => {
  for (const { name } of world.hosts)
    await world.test.cloud.db.write((session) =>
      session.update(hosts, { name }, { enabled: names.includes(name), failed_builds: 0 }),
    );
};
async function act(action: string, value: unknown = null): Promise<void> {
  const headers = { 'x-openstack-nova-api-version': '2.90' };
  const path = `/compute/v2.1/servers/${id}/action`;
  const answer = await world.test.call('POST', path, { token: 'admin', headers, body: { [action]: value } });
  if (answer.status >= 300) throw new Error(`${action}: ${answer.status} ${JSON.stringify(answer.body)}`);
  await world.settled();
}
const row = async (): Promise<Server> => {
  const found = await world.test.cloud.db.read((session) => session.findOne(servers, { id }));
  if (!found) throw new Error('the server has no row');
  return found;
};
const story = async (): Promise<string> =>
  JSON.stringify((await world.test.call('GET', `/cumulet/v1/servers/${id}/timeline`)).body.tasks.at(-1));
/** Revisions of the server's disk, of which all hosts have one copy. */
const revisions = (): number[] => [...(pool.disks.get(id) ?? [])].sort();
const copies = (): number => world.hosts.reduce((sum, { done }) => sum + (done.get('disk.adopt') ?? 0), 0);
const evacuate = async (): Promise<void> => {
  await world.powerOff(source);
  await act('evacuate', {});
};

test('a server that runs goes with the disk that it has, and the old host leaves that alone', async () => {
  await start();
  await act('os-migrateLive', { host: null, block_migration: 'auto' });
  expect(await row()).toMatchObject({ host: 'node-2', disk_revision: 1, task_state: null });
  expect([revisions(), source.domains.size, target.domains.get(id)]).toEqual([[1], 0, 'running']);
  const [migration] = await world.test.cloud.db.read((session) => session.find(serverMigrations));
  expect(migration).toMatchObject({ shared_disk: true, status: 'completed' });
  await world.expectClean();
});

describe('when it is not known whether the new host has started the server', () => {
  const lost = new HostError('outcome_unknown', 'the other host does not answer any more', { retryable: true });
  const losesPower = async (kind: string): Promise<void> => {
    if (kind !== 'migration.sent') return;
    await world.powerOff(target);
    throw lost;
  };
  const missed = () => until('the host to be missed', async () => (await story()).includes('that host is not heard'));

  test.each<[string, boolean, (kind: string) => Promise<void> | void, () => Promise<unknown>]>([
    [
      'a host that was turned off may have written to the disk: the server begins anew where it was',
      true,
      losesPower,
      async () => {
        await missed();
        await world.test.cloud.db.write((session) =>
          session.update(serverMigrations, { server_id: id }, { wish: 'abort' }),
        );
      },
    ],
    [
      'a host that was off and is back does not know what it had done: the server begins anew where it was',
      true,
      losesPower,
      async () => {
        await missed();
        await target.start();
      },
    ],
    [
      'a host that knows that it did not start it has written nothing: the server goes on where it was',
      false,
      (kind) => {
        if (kind !== 'migration.send') return;
        source.domains.set(id, 'paused');
        throw lost;
      },
      () => Promise.resolve(),
    ],
  ])('%s', async (_, anew, before, meanwhile) => {
    await start();
    source.before = before;
    const migrating = act('os-migrateLive', { host: null, block_migration: 'auto' });
    await meanwhile();
    await migrating;
    expect(await story()).toContain(`the server ${anew ? 'begins anew' : 'goes on'} where it was`);
    expect(await row()).toMatchObject({ host: 'node-1', vm_state: 'active', task_state: null, disk_revision: 1 });
    expect([source.domains.get(id), source.done.get('server.remove') ?? 0, revisions()]).toEqual([
      ...['running', anew ? 1 : 0],
      [1],
    ]);
    await target.stop();
    await target.start();
    expect([target.domains.size, revisions()]).toEqual([0, [1]]);
    await world.expectClean();
  });
});

test('what the old host was told before and does late removes nothing', async () => {
  await start();
  const { generation } = await row();
  await act('os-migrateLive', { host: null, block_migration: 'auto' });
  const session = await world.test.cloud.db.read((reader) =>
    reader.findOne(agents, { host: 'node-1', role: 'storage' }),
  );
  const removed = source.done.get('disk.remove') ?? 0;
  await world.bus.sendCommand({
    ...{ task: 'late', step: 'late', send: 1, host: 'node-1', session: session?.session ?? 0 },
    ...{ generation, resource: id, kind: 'disk.remove', body: { server_id: id } },
  });
  while ((source.done.get('disk.remove') ?? 0) === removed) await new Promise((resolve) => setTimeout(resolve, 10));
  expect(revisions()).toEqual([1]);
  await world.expectClean();
});

test('agents that start again remove no disk of another host, and their own when nobody has it', async () => {
  await start();
  await target.stop();
  await target.start();
  expect(revisions()).toEqual([1]);
  pool.disks.set('0b8b6f0e-4c3c-4ae4-9d3c-6f1f0f3c5a11', new Set([1]));
  await target.stop();
  await target.start();
  expect([...pool.disks.keys()]).toEqual([id]);
});

test('a migrated server goes without a copy and comes back with all that it wrote', async () => {
  await start();
  await act('migrate');
  expect(await row()).toMatchObject({ host: 'node-2', vm_state: 'resized', disk_revision: 1 });
  expect([revisions(), copies()]).toEqual([[1], 0]);
  await world.expectClean();
  await act('revertResize');
  expect(await row()).toMatchObject({ host: 'node-1', vm_state: 'active', disk_revision: 1 });
  await act('migrate');
  await act('confirmResize');
  expect(await row()).toMatchObject({ host: 'node-2', vm_state: 'active', disk_revision: 1 });
  expect([revisions(), copies()]).toEqual([[1], 0]);
  await world.expectClean();
});

test.each([
  ['revertResize', 'node-1', [1]],
  ['confirmResize', 'node-2', [2]],
])('a resized server gets a copy beside the disk, of which one stays: %s', async (end, host, left) => {
  await start();
  await only('node-2');
  await act('resize', { flavorRef: 'micro' });
  expect(await row()).toMatchObject({ host: 'node-2', vm_state: 'resized' });
  expect([revisions(), copies()]).toEqual([[1, 2], 1]);
  await world.expectClean();
  await act(end);
  expect(await row()).toMatchObject({ host, vm_state: 'active' });
  expect(revisions()).toEqual(left);
  await world.expectClean();
});

test('a server of a dead host goes on with its disk, and the host that comes back leaves that alone', async () => {
  await start('node-3');
  await evacuate();
  expect(await row()).toMatchObject({ host: 'node-2', vm_state: 'active', disk_revision: 1 });
  expect(await story()).toContain('the disk is the one that it had');
  await source.start();
  expect([revisions(), source.domains.size]).toEqual([[1], 0]);
  await world.expectClean();
});

test('only hosts that have the disk get it, unless one is named', async () => {
  await start('node-3');
  await only('node-1', 'node-3');
  await evacuate();
  expect(await row()).toMatchObject({ host: 'node-1', task_state: null });
  expect(await story()).toContain('it does not have the disks of the host of the server');
  await act('evacuate', { host: 'node-3' });
  expect(await row()).toMatchObject({ host: 'node-3', vm_state: 'active', disk_revision: 2 });
  expect(await story()).toContain('the disk is made anew');
});

test('who counts on shared storage is heard where there is some', async () => {
  await start('node-3');
  await world.powerOff(source);
  const ask = async (host?: string) => {
    const body = { evacuate: { onSharedStorage: 'True', ...(host === undefined ? {} : { host }) } };
    const { status } = await world.test.call('POST', `/compute/v2.1/servers/${id}/action`, { token: 'admin', body });
    return status;
  };
  expect(await ask('node-3')).toBe(400);
  expect(await ask()).toBe(200);
  await world.settled();
  expect(await row()).toMatchObject({ host: 'node-2', disk_revision: 1 });
});

test('where the disk is needs no image', async () => {
  await start();
  await world.test.cloud.db.write((session) => session.update(servers, { id }, { image_id: 'gone' }));
  await evacuate();
  expect(await row()).toMatchObject({ host: 'node-2', vm_state: 'active', disk_revision: 1 });
});

describe('a directory that only has the same mark', () => {
  beforeEach(async () => {
    await start();
    pool.cards.set('node-1', 'of another directory');
  });

  test('gets no server that runs', async () => {
    await act('os-migrateLive', { host: null, block_migration: 'auto' });
    expect(await row()).toMatchObject({ host: 'node-1', vm_state: 'active', task_state: null });
    expect(await story()).toContain('the disks of node-1 are not seen here');
    expect([source.domains.get(id), target.domains.size]).toEqual(['running', 0]);
    await world.expectClean();
  });

  test('gets no server that is migrated or resized', async () => {
    await act('migrate');
    expect(await row()).toMatchObject({ host: 'node-1', vm_state: 'active', task_state: null });
    expect(revisions()).toEqual([1]);
    await world.expectClean();
  });

  test('gets no server of a dead host: nothing is lost', async () => {
    await evacuate();
    expect(await row()).toMatchObject({ host: 'node-1', disk_revision: 1, task_state: null });
    expect(revisions()).toEqual([1]);
    expect(target.domains.size).toBe(0);
  });
});
