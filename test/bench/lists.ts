// GET /servers/detail with 0, 100 and 1,000 servers in the database, and what it does to other requests meanwhile.
import { createMemoryBus, newId, parseConfig, messageOf, silentLogger, systemClock } from '@cumulet/common';
import { ControllerConfig, createController, type Caller } from '@cumulet/controller';
import { mkdtempSync, rmSync } from 'node:fs';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fork } from 'node:child_process';
import { figure, percentile, timed, type Figure } from './figure';
import { fillServers } from './fill';

const caller: Caller = {
  userId: 'u',
  userName: 'u',
  userDomainId: 'default',
  projectId: 'bench',
  projectName: 'bench',
  projectDomainId: 'default',
  domainId: null,
  systemScope: false,
  roles: ['admin', 'member', 'reader'],
  isAdmin: true,
  auditIds: ['a'],
  expiresAt: 4e12,
  methods: ['password'],
};

/** The process that holds the controller: it fills its database on "N" and answers with its port and statement count. */
export async function serveLists(): Promise<void> {
  const directory = mkdtempSync(join(tmpdir(), 'cumulet-lists-'));
  let statements = 0;
  const controller = await createController({
    config: { ...parseConfig(ControllerConfig, '', 'defaults'), data_dir: directory, port: 0, durable: false },
    bus: createMemoryBus(),
    clock: systemClock,
    log: silentLogger,
    host: () => undefined,
    engine: false,
    tokens: { authenticate: () => Promise.resolve(caller) },
    onStatement: () => void statements++,
  });
  const server = await controller.start();
  process.on('message', (message: number | 'count') => {
    if (message === 'count') process.send?.({ statements });
    else
      void fillServers(controller.cloud, message, newId).then(
        () => process.send?.({ statements }),
        (error: unknown) => {
          console.error(messageOf(error).slice(0, 500));
          process.exit(1);
        },
      );
  });
  process.on(
    'disconnect',
    () =>
      void controller.stop().finally(() => {
        rmSync(directory, { recursive: true, force: true });
        process.exit(0);
      }),
  );
  process.send?.({ port: (server.address() as AddressInfo).port });
}

export async function benchLists(): Promise<Figure[]> {
  const child = fork(join(__dirname, 'listServer.js'));
  const answer = <T>(): Promise<T> => new Promise((done) => child.once('message', (message) => done(message as T)));
  const { port } = await answer<{ port: number }>();
  const get = async (path: string): Promise<number> => {
    const response = await fetch(`http://127.0.0.1:${port}${path}`, {
      headers: { 'x-auth-token': 't', 'openstack-api-version': 'compute 2.79' },
    });
    const text = await response.text();
    if (response.status !== 200) throw new Error(`${path}: ${response.status} ${text.slice(0, 300)}`);
    return text.length;
  };
  const count = async (): Promise<number> => {
    child.send('count');
    return (await answer<{ statements: number }>()).statements;
  };
  const figures: Figure[] = [];
  const queries: number[] = [];
  for (const total of [0, 100, 1000]) {
    child.send(total);
    await answer();
    const before = await count();
    await get('/compute/v2.1/servers/detail?limit=1000');
    queries.push((await count()) - before);
    const times: number[] = [];
    for (let round = 0; round < 20; round++)
      times.push(await timed(() => get('/compute/v2.1/servers/detail?limit=1000')));
    const p50 = percentile(times, 0.5);
    figures.push(
      figure(
        `GET /servers/detail with ${total} servers, p50`,
        p50,
        'ms',
        total === 1000 ? '<= 150 ms' : 'reported',
        total < 1000 || p50 <= 150,
      ),
    );
  }
  const others: number[] = [];
  let listing = true;
  const lists = (async () => {
    for (let round = 0; round < 20; round++) await get('/compute/v2.1/servers/detail?limit=1000');
    listing = false;
  })();
  while (listing) others.push(await timed(() => get('/compute/v2.1/flavors')));
  await lists;
  const p95 = percentile(others, 0.95);
  figures.push(figure("other requests' p95 while 1,000 servers are listed", p95, 'ms', '<= 50 ms', p95 <= 50));
  const same = queries.length === 3 && queries[1] === queries[2];
  figures.push(
    figure(
      'statements of GET /servers/detail with 1,000 servers',
      queries[2] ?? NaN,
      'statements',
      'as many as with 100',
      same,
      queries[1] ?? null,
    ),
  );
  child.disconnect();
  return figures;
}
