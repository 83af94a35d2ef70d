// GET /servers/detail with 0, 100 and 1,000 servers in the database, and what it does to other requests meanwhile.
import { createMemoryBus, newId, parseConfig, messageOf, silentLogger, systemClock } from '@cumulet/common';
import { ControllerConfig, createController } from '@cumulet/controller';
import { mkdtempSync, rmSync } from 'node:fs';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fork } from 'node:child_process';
import { benchCaller } from './benchCaller';
import { figure, type Figure } from './figure';
import { fillServers } from './fill';
import { load, type LoadResult } from './load';

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
    tokens: { authenticate: () => Promise.resolve(benchCaller) },
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

const DETAIL = '/compute/v2.1/servers/detail?limit=1000';

export async function benchLists(): Promise<Figure[]> {
  const child = fork(join(__dirname, 'listServer.js'));
  const answer = <T>(): Promise<T> => new Promise((done) => child.once('message', (message) => done(message as T)));
  const { port } = await answer<{ port: number }>();
  const url = `http://127.0.0.1:${port}`;
  const headers = { 'x-auth-token': 't', 'openstack-api-version': 'compute 2.79' };
  const get = (path: string, seconds: number): Promise<LoadResult> =>
    load({ url: url + path, method: 'GET', headers, connections: 1, seconds });
  const count = async (): Promise<number> => {
    child.send('count');
    return (await answer<{ statements: number }>()).statements;
  };
  /** Statements of one list; the fewest of some tries, because the cloud also looks after itself. */
  const statements = async (): Promise<number> => {
    const tries: number[] = [];
    for (let round = 0; round < 5; round++) {
      const before = await count();
      const response = await fetch(url + DETAIL, { headers });
      await response.arrayBuffer();
      tries.push((await count()) - before);
    }
    return Math.min(...tries);
  };
  const figures: Figure[] = [];
  const queries: number[] = [];
  for (const total of [0, 100, 1000]) {
    child.send(total);
    await answer();
    const { p50 } = await get(DETAIL, 4);
    queries.push(await statements());
    const [target, met] = total === 1000 ? ['<= 150 ms', p50 <= 150] : ['reported', true];
    figures.push(figure(`GET /servers/detail with ${total} servers, p50`, p50, 'ms', target, met));
  }
  const alone = await get('/compute/v2.1/flavors', 2);
  const [, others] = await Promise.all([get(DETAIL, 6), get('/compute/v2.1/flavors', 5)]);
  child.disconnect();
  const [, few = NaN, many = NaN] = queries;
  return [
    ...figures,
    figure(
      'other requests, p95 while 1,000 servers are listed',
      others.p95,
      'ms',
      '<= 50 ms',
      others.p95 <= 50,
      alone.p95,
    ),
    figure('statements of that list', many, 'statements', 'as many as with 100 servers', many === few, few),
  ];
}
