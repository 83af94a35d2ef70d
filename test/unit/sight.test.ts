// Servers that come at once are placed by one look at the hosts, and each counts in those before it. Where reads overlap, as on MariaDB,
// a look may come before another's claim is committed: there it is only likely, and the claim refuses what has no room.
import { In } from '../../controller/src/db';
import { ports } from '../../controller/src/db/entities/network';
import { hosts } from '../../controller/src/db/entities/tasks';
import { servers } from '../../controller/src/db/entities/compute';
import { sightOf } from '../../controller/src/services/compute/sight';
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

test('who comes with the same list sees the same; who comes with another one sees what has changed since', async () => {
  const { cloud } = world.test;
  const together = ['a', 'b'];
  const [one, other] = await Promise.all([sightOf(cloud, together).hosts(), sightOf(cloud, together).hosts()]);
  expect(one).toBe(other);
  await cloud.db.write((session) => session.update(hosts, { name: 'node-2' }, { enabled: false }));
  expect(await sightOf(cloud, together).hosts()).toBe(one);
  const later = await sightOf(cloud, ['c']).hosts();
  expect(later.map(({ name, enabled }) => [name, enabled])).toEqual([
    ['node-1', true],
    ['node-2', false],
    ['node-3', true],
  ]);
});

test('hosts of an image, servers and ports are read once for all', async () => {
  const { cloud, statements } = world.test;
  const ids = [await world.boot('one'), await world.boot('two')];
  const [server] = await cloud.db.write(async (session) => {
    await session.update(servers, { id: In(ids) }, { host: 'node-2' });
    return session.find(servers);
  });
  const image = server?.image_id ?? '';
  const sight = sightOf(cloud, ids);
  statements.length = 0;
  const answers = await Promise.all([image, 'another', image].map((id) => sight.imageHosts(id)));
  expect(answers.map((names) => [...names])).toEqual([['node-2'], [], ['node-2']]);
  expect(statements).toHaveLength(2);
  const names = await Promise.all(ids.map(async (id) => (await sight.server(id)).name));
  expect(names).toEqual(['one', 'two']);
  expect(statements).toHaveLength(3);
  const rows = await cloud.db.read((session) => session.find(ports, { where: { server_id: In(ids) } }));
  statements.length = 0;
  for (const id of ids) expect(await sight.ports(id)).toEqual(rows.filter((row) => row.server_id === id));
  expect(statements).toHaveLength(1);
  await expect(sight.server('gone')).rejects.toThrow('server gone has no row');
});
