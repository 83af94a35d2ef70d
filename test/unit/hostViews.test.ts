// Hosts as a decision sees them: what is kept from one look to the next must never be older than the host's row.
import { MoreThan } from '../../controller/src/db';
import { agents, hosts, type Host } from '../../controller/src/db/entities/tasks';
import { claimHost, releaseClaims } from '../../controller/src/db/repositories/claims';
import type { HostView } from '../../controller/src/scheduler/scheduler';
import { recount } from '../../controller/src/services/audit/balances';
import { hostViews } from '../../controller/src/services/hosts';
import { startCloudWithHost, type CloudWithHost } from '../crash/cloudWithHost';

let world: CloudWithHost;
beforeEach(async () => {
  world = await startCloudWithHost(undefined, ['node-1', 'node-2', 'node-3']);
  // What a test writes stays: their agents are not heard again.
  for (const host of world.hosts) await host.stop();
});
afterEach(() => world.stop());

const look = async (): Promise<HostView[]> => {
  const { db, clock } = world.test.cloud;
  return db.read((session) => hostViews(session, clock.now()));
};
const node1 = async (): Promise<HostView | undefined> => (await look()).find(({ name }) => name === 'node-1');
const alive = async (): Promise<string[]> => (await look()).filter((host) => host.alive).map(({ name }) => name);
const set = (change: Partial<Host>): Promise<number> =>
  world.test.cloud.db.write((session) => session.update(hosts, { name: 'node-1' }, change));

test('a host is alive when all of its agents are there and were heard', async () => {
  const { db, clock } = world.test.cloud;
  const later = clock.now() + 3_600_000;
  await db.write((session) => session.update(agents, { heard_at: MoreThan(0) }, { heard_at: later }));
  expect(await alive()).toEqual(['node-1', 'node-2', 'node-3']);
  await db.write((session) => session.update(agents, { host: 'node-1', role: 'storage' }, { heard_at: 0 }));
  expect(await alive()).toEqual(['node-2', 'node-3']);
  await db.write((session) => session.delete(agents, { host: 'node-2', role: 'network' }));
  expect(await alive()).toEqual(['node-3']);
  await db.write((session) => session.update(agents, { host: 'node-3', role: 'compute' }, { heard_at: 0 }));
  expect(await alive()).toEqual([]);
});

test('what is claimed and given back is seen at once', async () => {
  const { db, clock } = world.test.cloud;
  const before = (await node1())?.used;
  const need = { vcpus: 2, memoryMib: 512, diskGib: 3 };
  await db.write((session) => claimHost(session, 'node-1', 'a-server', need, clock.now()));
  expect((await node1())?.used).toEqual(need);
  await db.write((session) => releaseClaims(session, 'a-server'));
  expect((await node1())?.used).toEqual(before);
});

test('so are a sum that was corrected, an inventory, traits, and what has no generation', async () => {
  await node1();
  await set({ used_vcpus: 7, generation: 100 });
  expect((await node1())?.used.vcpus).toBe(7);
  await world.test.cloud.db.write((session) => recount(session));
  expect((await node1())?.used.vcpus).toBe(0);
  await set({ generation: 200, traits: ['CUSTOM_X'], inventory: { virt_type: 'kvm', traits: ['HW_CPU_X86_AVX2'] } });
  const host = await node1();
  expect(host).toMatchObject({ virtType: 'kvm', architecture: undefined });
  expect(['CUSTOM_X', 'HW_CPU_X86_AVX2', 'CUSTOM_Y'].map((name) => host?.traits.has(name))).toEqual([
    true,
    true,
    false,
  ]);
  await set({ enabled: false, disabled_reason: 'broken', availability_zone: 'there', failed_builds: 3 });
  const changed = { enabled: false, disabledReason: 'broken', zone: 'there', failedBuilds: 3 };
  expect(await node1()).toMatchObject(changed);
});

test('a host that is gone is not seen, and one that came anew under its name is', async () => {
  const { db } = world.test.cloud;
  const [row] = await db.read((session) => session.find(hosts, { where: { name: 'node-1' } }));
  if (!row) throw new Error('there is no host');
  await look();
  await db.write((session) => session.delete(hosts, { name: 'node-1' }));
  expect((await look()).map(({ name }) => name)).toEqual(['node-2', 'node-3']);
  await db.write((session) => session.insert(hosts, { ...row, id: `${row.id.slice(0, -4)}ffff`, cap_vcpus: 3 }));
  expect((await node1())?.capacity.vcpus).toBe(3);
});

test('looks of two clouds at once see all of their hosts, whatever the other one forgets', async () => {
  const other = await startCloudWithHost(undefined, ['alone']);
  try {
    const { db, clock } = other.test.cloud;
    const lookThere = (): Promise<HostView[]> => db.read((session) => hostViews(session, clock.now()));
    for (let round = 0; round < 5; round++) {
      const seen = await Promise.all([look(), lookThere(), look(), lookThere(), look()]);
      expect(seen.map((hosts) => hosts.length)).toEqual([3, 1, 3, 1, 3]);
    }
  } finally {
    await other.stop();
  }
});
