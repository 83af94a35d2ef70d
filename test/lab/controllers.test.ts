// Two equal controllers over one MariaDB and one RabbitMQ, one of them on a machine whose clock is half a minute ahead: any of them
// serves, what one changes holds at the other, and kill -9 of one after the other under load loses nothing.
import { randomUUID } from 'node:crypto';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import type { Database } from '@cumulet/controller';
import { controllerNames, createControllerFleet, type ControllerFleet } from '../support/controllerFleet';
import { killUnderLoad } from '../support/controllerKills';
import { audit, expectWhole } from '../support/fleetState';
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
import { removeServer } from '../support/serverLoad';

/** How long controllers are killed, and how many seconds lie between two kills; longer by hand than for every change. */
const SECONDS = Number(process.env['CUMULET_KILL_SECONDS'] ?? 40);
const EVERY = Number(process.env['CUMULET_KILL_EVERY'] ?? 13);

jest.setTimeout(240_000 + SECONDS * 1000);

let fleet: ControllerFleet;
let db: Database;
let first: CloudClient;
let second: CloudClient;
let content: Content;

const bytes = Buffer.alloc(1024, 'image');
async function makeImage(client: CloudClient): Promise<string> {
  const wanted = { name: 'disk', disk_format: 'raw', container_format: 'bare' };
  return (await client.call<{ id: string }>('POST', '/image/v2/images', wanted)).id;
}
const upload = (client: CloudClient, image: string): Promise<Response> =>
  client.request('PUT', `/image/v2/images/${image}/file`, {
    body: bytes,
    headers: { 'content-type': 'application/octet-stream' },
  });

beforeAll(async () => {
  fleet = await createControllerFleet({
    hosts: ['host-1', 'host-2'],
    node: { 'controller-2': ['--require', join(__dirname, '../support/wrongClock.js')] },
  });
  // At once, on an empty database.
  for (const name of controllerNames) fleet.controllers.start(name);
  for (const name of controllerNames) await fleet.controllers.ready(name);
  await fleet.startHosts();
  db = await fleet.openDatabase();
  first = await connect(fleet.urls['controller-1']);
  second = await connect(fleet.urls['controller-2']);
  const image = await makeImage(first);
  expect((await upload(first, image)).status).toBe(204);
  const { flavor } = await first.call<{ flavor: { id: string } }>('POST', '/compute/v2.1/flavors', {
    flavor: { name: 'm1.nano', vcpus: 1, ram: 128, disk: 1 },
  });
  content = { image, flavor: flavor.id, network: await makeNetwork(first, 'net', '10.77.0.0/16') };
  await liftQuotas(first);
});
afterAll(() => fleet?.stop());

test('a server that one controller was asked for is shown and deleted by the other, and the other way round', async () => {
  for (const [one, other] of [
    [first, second],
    [second, first],
  ] as const) {
    const id = await createServer(one, content, 'anywhere');
    await until(other, id, 'ACTIVE', 50);
    expect(await audit(other)).toEqual([]);
    const { output } = await other.call<{ output: string }>('POST', `/compute/v2.1/servers/${id}/action`, {
      'os-getConsoleOutput': {},
    });
    expect(output).toBe('simulated');
    await deleteServer(other, id);
  }
  expect(await audit(first)).toEqual([]);
});

test('the clock of a machine that is wrong changes no time that the cloud shows', async () => {
  const { flavors } = await second.call<{ flavors: unknown[] }>('GET', '/compute/v2.1/flavors');
  expect(flavors).toHaveLength(1);
  const { network } = await second.call<{ network: { id: string; created_at: string } }>(
    'POST',
    '/network/v2.0/networks',
    { network: { name: 'late' } },
  );
  expect(Math.abs(Date.parse(network.created_at) - Date.now())).toBeLessThan(15_000);
  await second.call('DELETE', `/network/v2.0/networks/${network.id}`);
  const { hypervisors } = await second.call<{ hypervisors: { state: string }[] }>(
    'GET',
    '/compute/v2.1/os-hypervisors/detail',
  );
  expect(hypervisors.map(({ state }) => state)).toEqual(['up', 'up']);
});

describe('what one controller takes away, the other refuses within a second', () => {
  /** Milliseconds until a token is refused by a controller. */
  async function refusedAfter(client: CloudClient, token: string): Promise<number> {
    const began = performance.now();
    for (;;) {
      const { status } = await client.request('GET', '/identity/v3/auth/projects', {
        headers: { 'x-auth-token': token },
      });
      if (status === 401) return performance.now() - began;
      if (performance.now() - began > 20_000) throw new Error('the token is never refused');
      await pause(10);
    }
  }

  interface Person {
    readonly id: string;
    readonly project: string;
    readonly role: string;
    token(): Promise<string>;
  }
  async function makePerson(): Promise<Person> {
    const name = `person-${randomUUID()}`;
    const { project } = await first.call<{ project: { id: string } }>('POST', '/identity/v3/projects', {
      project: { name },
    });
    const { user } = await first.call<{ user: { id: string } }>('POST', '/identity/v3/users', {
      user: { name, password: 'secret' },
    });
    const { roles } = await first.call<{ roles: { id: string }[] }>('GET', '/identity/v3/roles?name=member');
    const role = roles[0]?.id ?? '';
    await first.call('PUT', `/identity/v3/projects/${project.id}/users/${user.id}/roles/${role}`);
    const auth = {
      identity: { methods: ['password'], password: { user: { id: user.id, password: 'secret' } } },
      scope: { project: { id: project.id } },
    };
    return {
      id: user.id,
      project: project.id,
      role,
      async token() {
        const issued = await first.request('POST', '/identity/v3/auth/tokens', {
          body: JSON.stringify({ auth }),
          headers: { 'content-type': 'application/json' },
        });
        return issued.headers.get('x-subject-token') ?? '';
      },
    };
  }

  test.each([
    [
      'a token',
      async (_person: Person, token: string) => {
        await first.request('DELETE', '/identity/v3/auth/tokens', { headers: { 'x-subject-token': token } });
      },
    ],
    [
      'a role',
      async ({ id, project, role }: Person) => {
        await first.call('DELETE', `/identity/v3/projects/${project}/users/${id}/roles/${role}`);
      },
    ],
    [
      'a user',
      async ({ id }: Person) => {
        await first.call('PATCH', `/identity/v3/users/${id}`, { user: { enabled: false } });
      },
    ],
  ])('%s', async (_what, take) => {
    const person = await makePerson();
    const token = await person.token();
    const seen = await second.request('GET', '/identity/v3/auth/projects', { headers: { 'x-auth-token': token } });
    expect(seen.status).toBe(200);
    await take(person, token);
    expect(await refusedAfter(second, token)).toBeLessThan(1000);
  });
});

test('an upload that kill -9 cut off is queued again by the other controller, which takes the next one', async () => {
  const image = await makeImage(first);
  const body = new ReadableStream({
    async start(controller) {
      controller.enqueue(bytes);
      await pause(60_000);
    },
  });
  const cutOff = first
    .request('PUT', `/image/v2/images/${image}/file`, {
      body,
      headers: { 'content-type': 'application/octet-stream' },
      duplex: 'half',
    })
    .then(
      (answer) => answer.status,
      () => 'cut off',
    );
  const status = async (): Promise<string> =>
    (await second.call<{ status: string }>('GET', `/image/v2/images/${image}`)).status;
  while ((await status()) !== 'saving') await pause(50);
  await fleet.controllers.end('controller-1', 'SIGKILL');
  fleet.controllers.start('controller-1');
  expect(await cutOff).toBe('cut off');
  for (const end = Date.now() + 30_000; (await status()) !== 'queued' && Date.now() < end;) await pause(200);
  expect((await upload(second, image)).status).toBe(204);
  await fleet.controllers.ready('controller-1');
  const download = await first.request('GET', `/image/v2/images/${image}/file`);
  expect(Buffer.from(await download.arrayBuffer())).toEqual(bytes);
});

test('controllers that are stopped one after the other hand their tasks over at once, and no request fails', async () => {
  const client = await connectToAny(Object.values(fleet.urls));
  for (const host of fleet.hosts) host.before = () => pause(100 + Math.random() * 900);
  const stops = { seconds: 10, every: 5, signal: 'SIGTERM', workers: 4, atLeast: 2 } as const;
  const report = await killUnderLoad(fleet, db, client, content, stops);
  expect([client.seen.failed, report.stuck]).toEqual([[], []]);
  expect(report).toMatchObject({ exits: [0, 0], orphans: 0 });
  const { body } = await client.must('GET', '/compute/v2.1/servers');
  await Promise.all((body.servers as { id: string }[]).map(({ id }) => removeServer(client, id)));
});

test('kill -9 of one controller after the other under load: no request fails, and nothing is lost or stuck', async () => {
  const client = await connectToAny(Object.values(fleet.urls));
  for (const host of fleet.hosts) host.before = () => pause(100 + Math.random() * 900);
  const report = await killUnderLoad(fleet, db, client, content, {
    seconds: SECONDS,
    every: EVERY,
    signal: 'SIGKILL',
    workers: 6,
  });
  if (process.env['CUMULET_KILL_SECONDS'] !== undefined)
    process.stderr.write(`${JSON.stringify({ ...report, left: report.left.length, ...client.seen })}\n`);

  expect([client.seen.failed, report.stuck]).toEqual([[], []]);
  expect(report.kills).toBeGreaterThan(1);
  expect(report.active).toBeGreaterThan(report.kills);
  expect(client.seen.slowest).toBeLessThan(3_000);
  expect(report.slowestHandover).toBeLessThan(12_000);

  await expectWhole(fleet, db, client, [first, second], report.left);
});
