// Servers that come at once are placed by one look at the hosts, and each counts in those before it. Where reads overlap, as on MariaDB,
// a look may come before another's claim is committed: there it is only likely, and the claim refuses what has no room.
import { hosts } from '../../controller/src/db/entities/tasks';
import { servers } from '../../controller/src/db/entities/compute';
import { hostsOfRound, imageHostsOfRound } from '../../controller/src/services/compute/hostRounds';
import { startCloudWithHost, type CloudWithHost } from '../crash/cloudWithHost';

let world: CloudWithHost;
beforeEach(async () => {
  world = await startCloudWithHost(undefined, ['node-1', 'node-2', 'node-3']);
});
afterEach(() => world.stop());

test('as many servers as hosts, asked for at once, go to one host each', async () => {
  await Promise.all(['one', 'two', 'three'].map((name) => world.boot(name)));
  await world.startEngine();
  await world.settled();
  const rows = await world.test.cloud.db.read((session) => session.find(servers));
  expect(rows.map(({ host }) => host).sort()).toEqual(['node-1', 'node-2', 'node-3']);
  await world.expectClean();
});

test('who asks together looks once; who asks later sees what has changed since', async () => {
  const { cloud } = world.test;
  const [one, other] = await Promise.all([hostsOfRound(cloud), hostsOfRound(cloud)]);
  expect(one).toBe(other);
  await cloud.db.write((session) => session.update(hosts, { name: 'node-2' }, { enabled: false }));
  const later = await hostsOfRound(cloud);
  expect(later.map(({ name, enabled }) => [name, enabled])).toEqual([
    ['node-1', true],
    ['node-2', false],
    ['node-3', true],
  ]);
});

test('the hosts of an image are read once for all that ask together', async () => {
  const { cloud, statements } = world.test;
  await world.boot('one');
  const [server] = await cloud.db.write(async (session) => {
    await session.update(servers, {}, { host: 'node-2' });
    return session.find(servers);
  });
  const image = server?.image_id ?? '';
  statements.length = 0;
  const answers = await Promise.all([image, 'another', image].map((id) => imageHostsOfRound(cloud, id)));
  expect(answers.map((names) => [...names])).toEqual([['node-2'], [], ['node-2']]);
  expect(statements).toHaveLength(2);
});
