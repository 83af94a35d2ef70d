// Two controllers over three nodes of Galera behind HAProxy and three of RabbitMQ, set up as documented: kill -9 of the node that is
// written to, and of nodes of the broker, under load. Nothing is lost, nothing is stuck, and the cloud works again within seconds.
import { setTimeout as pause } from 'node:timers/promises';
import type { Database } from '@cumulet/controller';
import { createAmqpBus, messageOf, REPLIES_QUEUE, silentLogger, type AmqpBus } from '@cumulet/common';
import { taskEvents } from '../../controller/src/db/entities/tasks';
import { controllerNames, createControllerFleet, type ControllerFleet } from '../support/controllerFleet';
import { command, eventually } from '../support/busContract';
import { machines, type Machine } from '../support/documentedFile';
import { killEngines } from '../support/engineKills';
import { audit, expectWhole } from '../support/fleetState';
import { loopbackPrefix, startGalera, type Galera } from '../support/galera';
import { nodeName, startRabbitCluster, type RabbitCluster } from '../support/rabbitCluster';
import {
  connect,
  createServer,
  deleteServer,
  liftQuotas,
  makeNetwork,
  until,
  type CloudClient,
  type Content,
} from '../support/realCloud';
import { connectToAny } from '../support/retryingClient';
import { emptyLoad, makeServers } from '../support/serverLoad';

/** How often a node of each cluster is killed; more by hand than for every change. */
const KILLS = Number(process.env['CUMULET_CLUSTER_KILLS'] ?? 2);
const WORKERS = 4;

jest.setTimeout(120_000 + KILLS * 90_000);

let galera: Galera;
let rabbits: RabbitCluster;
let fleet: ControllerFleet;
let db: Database;
let admin: CloudClient;
let content: Content;

async function makeContent(client: CloudClient): Promise<Content> {
  const wanted = { name: 'disk', disk_format: 'raw', container_format: 'bare' };
  const image = await client.call<{ id: string }>('POST', '/image/v2/images', wanted);
  await client.request('PUT', `/image/v2/images/${image.id}/file`, {
    body: Buffer.alloc(1024, 'image'),
    headers: { 'content-type': 'application/octet-stream' },
  });
  const { flavor } = await client.call<{ flavor: { id: string } }>('POST', '/compute/v2.1/flavors', {
    flavor: { name: 'm1.nano', vcpus: 1, ram: 128, disk: 1 },
  });
  return { image: image.id, flavor: flavor.id, network: await makeNetwork(client, 'net', '10.78.0.0/16') };
}

beforeAll(async () => {
  const prefix = loopbackPrefix();
  fleet = await createControllerFleet({
    hosts: ['host-1', 'host-2'],
    async engines(names) {
      [galera, rabbits] = await Promise.all([startGalera(prefix), startRabbitCluster(prefix, names)]);
      return {
        database: galera.options,
        broker: rabbits,
        async stop() {
          await Promise.all([galera.stop(), rabbits.stop()]);
        },
      };
    },
  });
  for (const name of controllerNames) fleet.controllers.start(name);
  for (const name of controllerNames) await fleet.controllers.ready(name);
  await fleet.startHosts();
  db = await fleet.openDatabase();
  admin = await connect(fleet.urls['controller-1']);
  content = await makeContent(admin);
  await liftQuotas(admin);
});
afterAll(() => fleet?.stop());

async function expectCopies(): Promise<void> {
  for (const machine of machines) {
    expect(await galera.status(machine, 'wsrep_cluster_size')).toBe('3');
    const rows = (await galera.query(machine, 'SELECT name FROM cumulet.host ORDER BY name')) as { name: string }[];
    expect(rows.map(({ name }) => name)).toEqual(['host-1', 'host-2']);
  }
  const columns = ['-p', 'cumulet', '--formatter', 'json', 'list_queues', 'name', 'online'];
  const queues = JSON.parse(await rabbits.control(1, 'rabbitmqctl', ...columns)) as {
    name: string;
    online: string[];
  }[];
  expect(queues.map(({ name }) => name)).toContain(REPLIES_QUEUE);
  for (const { name, online } of queues) expect([name, online.length]).toEqual([name, 3]);
}

test('every node has what was written to one of them, and a copy of every queue', expectCopies);

test('kill -9 of the written node of Galera and of a node of RabbitMQ, in turn, under load: nothing is lost or stuck', async () => {
  const client = await connectToAny(Object.values(fleet.urls), { unavailable: true });
  for (const host of fleet.hosts) host.before = () => pause(50 + Math.random() * 200);
  const load = emptyLoad();
  let isOver = false;
  const working = Array.from({ length: WORKERS }, (_, at) =>
    makeServers(client, content, `worker-${at}`, () => isOver, load),
  );
  await pause(2_000);
  const kills = await killEngines({ galera, rabbits }, load, KILLS).finally(() => (isOver = true));
  const left = (await Promise.all(working)).filter((id) => id !== undefined);
  const [slowest] = load.made
    .map(({ id, asked, active }) => ({ id, took: active - asked }))
    .sort((one, other) => other.took - one.took);
  const story = await db.read((session) => session.find(taskEvents, { where: { resource_id: slowest?.id ?? '' } }));
  process.stderr.write(
    `${JSON.stringify({ kills, active: load.made.length, deleted: load.deleted, slowestServer: slowest?.took, ...client.seen })}\n`,
  );

  expect([client.seen.failed, load.stuck]).toEqual([[], []]);
  expect(kills).toHaveLength(2 * KILLS);
  await expectWhole(fleet, db, client, [admin], left);
  for (const kill of kills) expect(kill.seconds).toBeLessThan(10);
  // A step whose question or answer got lost would ask again after 30 s only.
  if (slowest && slowest.took > 20_000) throw new Error(`a server took ${slowest.took} ms: ${JSON.stringify(story)}`);
});

test('a queue is written to again whose leader had died before a new connection knew another', async () => {
  const bus = (machine: Machine): AmqpBus => {
    const config = rabbits.config();
    return createAmqpBus({ config: { ...config, urls: config.urls.slice(machine - 1, machine) }, log: silentLogger });
  };
  const [first, second] = [bus(1), bus(2)];
  try {
    const works = (work: Promise<void>): Promise<boolean> =>
      work.then(
        () => true,
        () => false,
      );
    // The node that declares a queue leads it. The other connection has never written to it.
    await eventually('a queue', () => works(first.declareHost('spare')));
    await eventually('another connection', () => works(second.declareHost('spare')));
    rabbits.signal(3, 'SIGSTOP');
    await rabbits.kill(1);
    const early = await second.sendCommand(command({ host: 'spare' })).catch(messageOf);
    rabbits.signal(3, 'SIGCONT');
    expect(early).toEqual(expect.any(String));
    await eventually('a message in the queue', () => works(second.sendCommand(command({ host: 'spare' }))));
  } finally {
    await Promise.all([first.close(), second.close()]);
    await rabbits.start(1);
  }
});

test('with one node of the database left everything waits and says why; after the end of all three the cloud goes on where it was', async () => {
  const id = await createServer(admin, content, 'kept');
  await until(admin, id, 'ACTIVE', 100);
  const writer = await galera.writer();
  await Promise.all(machines.filter((machine) => machine !== writer).map((machine) => galera.kill(machine)));
  while ((await galera.status(writer, 'wsrep_ready')) !== 'OFF') await pause(100);
  const body = JSON.stringify({ network: { name: 'never' } });
  const wanted = { method: 'POST', body, headers: { 'content-type': 'application/json' } };
  const refused = await admin.request('POST', '/network/v2.0/networks', wanted);
  expect([refused.status, await refused.text()]).toEqual([
    503,
    expect.stringContaining('The database could not be reached and nothing was changed: try again.'),
  ]);
  expect(fleet.hosts.flatMap(({ domains }) => [...domains.keys()])).toEqual([id]);

  await galera.kill(writer);
  await Promise.all(machines.map((machine) => galera.start(machine)));
  for (const name of controllerNames) await fleet.controllers.ready(name);
  await until(admin, id, 'ACTIVE', 100);
  const { networks } = await admin.call<{ networks: unknown[] }>('GET', '/network/v2.0/networks?name=never');
  expect(networks).toEqual([]);
  await deleteServer(admin, id);
  expect(await audit(admin)).toEqual([]);
});

test('a node of each that has lost everything is replaced, and gets it from the others', async () => {
  const writer = await galera.writer();
  const machine = machines.find((one) => one !== writer && one !== 1) ?? 2;
  await galera.replace(machine);
  await rabbits.replace(machine);
  await rabbits.control(1, 'rabbitmqctl', 'forget_cluster_node', nodeName(machine));
  await Promise.all([galera.start(machine), rabbits.start(machine)]);
  await rabbits.control(1, 'rabbitmq-queues', 'grow', nodeName(machine), 'all');
  await expectCopies();
});

test('a back-up of one node is restored for all of them', async () => {
  const writer = await galera.writer();
  const other = machines.find((one) => one !== writer) ?? 1;
  const backup = await galera.dump(other);
  await makeNetwork(admin, 'after the back-up', '10.79.0.0/16');
  for (const name of controllerNames) await fleet.controllers.end(name);
  await galera.restore(writer, backup);
  for (const name of controllerNames) fleet.controllers.start(name);
  for (const name of controllerNames) await fleet.controllers.ready(name);
  const { networks } = await admin.call<{ networks: { name: string }[] }>('GET', '/network/v2.0/networks');
  expect(networks.map(({ name }) => name)).toEqual(['net']);
  await expectCopies();
  expect(await audit(admin)).toEqual([]);
});
