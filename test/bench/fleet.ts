// One controller with 1,000 simulated hosts and 10,000 servers: decisions, 200 creates at a time, pages of long lists, memory.
import { fork, type ChildProcess } from 'node:child_process';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { qcow2Header } from '../support/qcow2';
import { figure, percentile, type Figure } from './figure';
import type { FleetBalance, FleetCounts, FleetQuestion } from './fleetServer';
import { load, type LoadResult } from './load';

const IN_FLIGHT = 200;
/** Tenant networks that the servers are spread over. */
const NETWORKS = 50;
const LOAD_SECONDS = 30;
/** A create whose command was lost waits for the next round; after this many seconds it counts as stuck. */
const PATIENCE_SECONDS = 180;
const HEADERS = { 'x-auth-token': 't', 'openstack-api-version': 'compute 2.79' };

interface Fleet {
  readonly url: string;
  readonly ask: <T>(question: FleetQuestion) => Promise<T>;
  readonly call: <T>(method: string, path: string, body?: unknown, headers?: Record<string, string>) => Promise<T>;
  readonly end: () => void;
}

async function startFleet(): Promise<Fleet> {
  const child: ChildProcess = fork(join(__dirname, 'fleetServer.js'));
  const message = <T>(): Promise<T> =>
    new Promise((done, fail) => {
      child.once('message', (value) => done(value as T));
      child.once('exit', (code) => fail(new Error(`the fleet ended with ${code}`)));
    });
  const { port } = await message<{ port: number }>();
  const url = `http://127.0.0.1:${port}`;
  return {
    url,
    ask: async <T>(question: FleetQuestion) => {
      const answer = message<{ answer: T }>();
      child.send(question);
      return (await answer).answer;
    },
    call: async <T>(method: string, path: string, body?: unknown, headers: Record<string, string> = {}) => {
      const raw = Buffer.isBuffer(body);
      const answer = await fetch(url + path, {
        method,
        headers: {
          ...HEADERS,
          ...(body === undefined || raw ? {} : { 'content-type': 'application/json' }),
          ...headers,
        },
        ...(body === undefined ? {} : { body: raw ? new Uint8Array(body) : JSON.stringify(body) }),
      });
      const text = await answer.text();
      if (answer.status >= 400) throw new Error(`${method} ${path}: ${answer.status} ${text}`);
      return (text ? JSON.parse(text) : {}) as T;
    },
    end: () => child.disconnect(),
  };
}

interface Content {
  readonly imageRef: string;
  readonly flavorRef: string;
  readonly networks: readonly string[];
}

async function content({ call }: Fleet): Promise<Content> {
  const { id } = await call<{ id: string }>('POST', '/image/v2/images', {
    name: 'small',
    disk_format: 'qcow2',
    container_format: 'bare',
  });
  const type = { 'content-type': 'application/octet-stream' };
  await call('PUT', `/image/v2/images/${id}/file`, qcow2Header(), type);
  const flavor = { name: 'nano', vcpus: 1, ram: 128, disk: 1 };
  const made = await call<{ flavor: { id: string } }>('POST', '/compute/v2.1/flavors', { flavor });
  const networks: string[] = [];
  for (let at = 0; at < NETWORKS; at++) {
    const { network } = await call<{ network: { id: string } }>('POST', '/network/v2.0/networks', {
      network: { name: `fleet-${at}` },
    });
    networks.push(network.id);
    const subnet = { network_id: network.id, ip_version: 4, cidr: '10.64.0.0/16' };
    await call('POST', '/network/v2.0/subnets', { subnet });
  }
  await call('PUT', '/compute/v2.1/os-quota-sets/bench', { quota_set: { instances: -1, cores: -1, ram: -1 } });
  await call('PUT', '/network/v2.0/quotas/bench', { quota: { port: -1 } });
  return { imageRef: id, flavorRef: made.flavor.id, networks };
}

interface Creates {
  readonly active: number;
  readonly explained: number;
  readonly stuck: number;
  readonly perSecond: number;
}

/** Keeps 200 creates under way for the time, and waits for all that were begun. */
async function createMany({ call }: Fleet, { networks, ...body }: Content): Promise<Creates> {
  const end = Date.now() + LOAD_SECONDS * 1000;
  const result = { active: 0, explained: 0, stuck: 0 };
  let inTime = 0;
  const one = async (name: string, uuid: string): Promise<void> => {
    const { server } = await call<{ server: { id: string } }>('POST', '/compute/v2.1/servers', {
      server: { name, ...body, networks: [{ uuid }] },
    });
    for (const asked = Date.now(); Date.now() - asked < PATIENCE_SECONDS * 1000; await pause(2_000)) {
      const { server: now } = await call<{ server: { status: string; fault?: { message: string } } }>(
        'GET',
        `/compute/v2.1/servers/${server.id}`,
      );
      if (now.status === 'BUILD') continue;
      if (now.status === 'ACTIVE') result.active++;
      else if (now.fault?.message) result.explained++;
      else break;
      if (Date.now() <= end) inTime++;
      return;
    }
    result.stuck++;
  };
  const worker = async (_: unknown, at: number): Promise<void> => {
    for (let round = 0; Date.now() < end; round++)
      await one(`fleet-${at}-${round}`, networks[at % networks.length] ?? '');
  };
  await Promise.all(Array.from({ length: IN_FLIGHT }, worker));
  return { ...result, perSecond: inTime / LOAD_SECONDS };
}

const PAGES = [
  'limit=1000',
  'limit=1000&sort_key=display_name&sort_dir=asc',
  'limit=1000&status=ACTIVE&sort_key=created_at&sort_dir=desc',
  'limit=1000&name=server-1',
  'limit=1000&all_tenants=1&host=node-7',
] as const;

export async function benchFleet(): Promise<Figure[]> {
  const fleet = await startFleet();
  try {
    const body = await content(fleet);
    await fleet.ask('fill');
    await pause(5_000);
    const decisions = await fleet.ask<number[]>('decisions');
    const idle = [await fleet.ask<FleetCounts>('counts')];
    await pause(10_000);
    idle.push(await fleet.ask<FleetCounts>('counts'));
    const started = Date.now();
    const creates = await createMany(fleet, body);
    const seconds = (Date.now() - started) / 1000;
    const after = await fleet.ask<FleetCounts>('counts');
    const made = creates.active + creates.explained + creates.stuck;
    /** Of one create, without what the process does anyway and without the requests that ask how far it is. */
    const each = (of: (counts: FleetCounts) => number): number => {
      const [first, second = after] = idle.map(of);
      return (of(after) - Number(second) - (seconds * (Number(second) - Number(first))) / 10) / made;
    };
    const balance = await fleet.ask<FleetBalance>('balance');
    const pages: number[] = [];
    let others: LoadResult | undefined;
    const get = (path: string, time: number): Promise<LoadResult> =>
      load({ url: fleet.url + path, method: 'GET', headers: HEADERS, connections: 1, seconds: time });
    for (const query of PAGES) {
      const path = `/compute/v2.1/servers/detail?${query}`;
      pages.push((await get(path, 4)).p95);
      const [, meanwhile] = await Promise.all([get(path, 5), get('/compute/v2.1/flavors', 4)]);
      if (!others || meanwhile.p95 > others.p95) others = meanwhile;
    }
    const p99 = percentile(decisions, 0.99);
    const [slowest, slowed] = [Math.max(...pages), others?.p95 ?? NaN];
    const wrong = balance.serversWithoutClaim + balance.wrongSums;
    const [messages, commits] = [each((counts) => counts.messages), each((counts) => counts.commits)];
    return [
      figure('decision among 1,000 hosts, p99', p99, 'ms', '<= 5 ms', p99 <= 5),
      figure('creates, 200 at a time', creates.perSecond, '/s', '>= 50 /s', creates.perSecond >= 50),
      figure(`creates neither ACTIVE nor explained, of ${made}`, creates.stuck, 'creates', '0', creates.stuck === 0),
      figure('claims and sums that do not fit the servers', wrong, 'rows', '0', wrong === 0),
      figure('messages per create', messages, 'messages', '<= 8', messages <= 8),
      figure('commits per create', commits, 'commits', '<= 8', commits <= 8),
      figure(
        'statements per create, with the requests that look at it',
        each((c) => c.statements),
        '',
        'reported',
        true,
      ),
      figure(
        'a page of 1,000 servers of 10,000, p95 of the slowest filter',
        slowest,
        'ms',
        '<= 150 ms',
        slowest <= 150,
      ),
      figure('other requests meanwhile, p95', slowed, 'ms', '<= 50 ms', slowed <= 50),
      figure(
        'memory of the controller and 1,000 simulated hosts',
        after.memory,
        'MB',
        '<= 300 MB',
        after.memory <= 300,
      ),
    ];
  } finally {
    fleet.end();
  }
}
