// Room on hosts is claimed as a whole or not at all, and given back once.
import { hosts, type Resources } from '../../controller/src/db/entities/tasks';
import { claimHost, releaseClaims } from '../../controller/src/db/repositories/claims';
import type { WriteSession } from '../../controller/src/db';
import { startCloudWithHost, type CloudWithHost } from '../crash/cloudWithHost';

let world: CloudWithHost;
beforeEach(async () => {
  world = await startCloudWithHost();
});
afterEach(() => world.stop());

const write = <T>(work: (session: WriteSession) => Promise<T>): Promise<T> => world.test.cloud.db.write(work);
const used = () =>
  write(async (session) => {
    const host = await session.findOne(hosts, { name: 'node-1' });
    return [host?.used_vcpus, host?.used_memory_mib, host?.used_disk_gib];
  });
const claim = (need: Partial<Resources> = {}): Promise<boolean> =>
  write((session) => claimHost(session, 'node-1', 'a', { vcpus: 1, memoryMib: 64, diskGib: 2, ...need }, 0));

test('what a claim takes is given back, once however often that is asked for', async () => {
  expect(await claim()).toBe(true);
  expect(await used()).toEqual([1, 64, 2]);
  for (let times = 0; times < 2; times++) await write((session) => releaseClaims(session, 'a'));
  expect(await used()).toEqual([0, 0, 0]);
});

test.each([['vcpus'], ['memoryMib'], ['diskGib']] as const)(
  'a host without enough %s gives nothing',
  async (resource) => {
    expect(await claim({ [resource]: 1_000_000 })).toBe(false);
    expect(await used()).toEqual([0, 0, 0]);
  },
);

test('a host that is disabled gives nothing', async () => {
  await write((session) => session.update(hosts, { name: 'node-1' }, { enabled: false }));
  expect(await claim()).toBe(false);
});

test('what somebody else gives back at the same time is not given back again', async () => {
  await claim();
  await write(async (session) => {
    // As where transactions overlap: the claim is gone once it was seen.
    const find: WriteSession['find'] = async (table, options) => {
      const found = await session.find(table, options);
      await releaseClaims(session, 'a');
      return found;
    };
    await releaseClaims({ ...session, find }, 'a');
  });
  expect(await used()).toEqual([0, 0, 0]);
});
