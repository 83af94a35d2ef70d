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
/** How long creates are made on hosts that do not fail, to see what one costs. */
const CALM_SECONDS = 10;
const IDLE_SECONDS = 10;
/** Milliseconds between looks at the servers that are being built. */
const LOOK_MS = 500;
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

/** Resolves when a server is built or has failed; false when it is not within the patience. */
type Watch = (id: string) => Promise<boolean>;

/** Looks at all servers that are being built by one request, as whoever makes hundreds does. */
function watchBuilds({ call }: Fleet): { readonly built: Watch; readonly end: () => void } {
  const waiting = new Map<string, { readonly since: number; readonly tell: (built: boolean) => void }>();
  let ended = false;
  const look = async (): Promise<void> => {
    for (; !ended; await pause(LOOK_MS)) {
      const began = performance.now();
      const { servers } = await call<{ servers: { id: string }[] }>('GET', '/compute/v2.1/servers?status=BUILD');
      const building = new Set(servers.map(({ id }) => id));
      for (const [id, { since, tell }] of waiting) {
        const built = since < began && !building.has(id);
        if (!built && began - since < PATIENCE_SECONDS * 1000) continue;
        waiting.delete(id);
        tell(built);
      }
    }
  };
  void look().catch((error: unknown) => {
    console.error(error);
    process.exit(1);
  });
  return {
    built: (id) => new Promise((tell) => waiting.set(id, { since: performance.now(), tell })),
    end: () => void (ended = true),
  };
}

interface Shown {
  readonly server: { readonly id: string; readonly status: string; readonly fault?: { readonly message: string } };
}

/** Keeps 200 creates under way for the time, and waits for all that were begun. */
async function createMany(fleet: Fleet, { networks, ...body }: Content, milliseconds: number): Promise<Creates> {
  const { call } = fleet;
  const watch = watchBuilds(fleet);
  const end = Date.now() + milliseconds;
  const result = { active: 0, explained: 0, stuck: 0 };
  let inTime = 0;
  const one = async (name: string, uuid: string): Promise<void> => {
    const server = { name, ...body, networks: [{ uuid }] };
    const { id } = (await call<Shown>('POST', '/compute/v2.1/servers', { server })).server;
    const built = await watch.built(id);
    if (Date.now() <= end) inTime++;
    const { status, fault } = (await call<Shown>('GET', `/compute/v2.1/servers/${id}`)).server;
    if (built && status === 'ACTIVE') result.active++;
    else if (built && fault?.message) result.explained++;
    else result.stuck++;
  };
  const worker = async (_: unknown, at: number): Promise<void> => {
    for (let round = 0; Date.now() < end; round++)
      await one(`fleet-${at}-${round}`, networks[at % networks.length] ?? '');
  };
  await Promise.all(Array.from({ length: IN_FLIGHT }, worker));
  watch.end();
  return { ...result, perSecond: inTime / (milliseconds / 1000) };
}

const PAGES = [
  'limit=1000',
  'limit=1000&sort_key=display_name&sort_dir=asc',
  'limit=1000&status=ACTIVE&sort_key=created_at&sort_dir=desc',
  'limit=1000&name=server-1',
  'limit=1000&all_tenants=1&host=node-7',
] as const;

/** What the process does for one create, without what it does anyway; the requests that make it and look at it count. */
async function costOf(fleet: Fleet, work: () => Promise<Creates>): Promise<Omit<FleetCounts, 'memory'>> {
  const counts = (): Promise<FleetCounts> => fleet.ask('counts');
  const idle = await counts();
  await pause(IDLE_SECONDS * 1000);
  const [before, started] = [await counts(), Date.now()];
  const { active, explained, stuck } = await work();
  const [after, seconds] = [await counts(), (Date.now() - started) / 1000];
  const each = (key: 'messages' | 'commits' | 'statements' | 'processor'): number =>
    (after[key] - before[key] - (seconds * (before[key] - idle[key])) / IDLE_SECONDS) / (active + explained + stuck);
  return {
    messages: each('messages'),
    commits: each('commits'),
    statements: each('statements'),
    processor: each('processor'),
  };
}

export async function benchFleet(): Promise<Figure[]> {
  const fleet = await startFleet();
  try {
    const body = await content(fleet);
    await fleet.ask('fill');
    await pause(5_000);
    const decisions = await fleet.ask<number[]>('decisions');
    const creates = await createMany(fleet, body, LOAD_SECONDS * 1000);
    const claims = await fleet.ask<number[]>('claims');
    const { memory } = await fleet.ask<FleetCounts>('counts');
    await fleet.ask('calm');
    const calm = await costOf(fleet, () => createMany(fleet, body, CALM_SECONDS * 1000));
    const made = creates.active + creates.explained + creates.stuck;
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
    const [p99, claimed] = [percentile(decisions, 0.99), percentile(claims, 0.99)];
    const [slowest, slowed] = [Math.max(...pages), others?.p95 ?? NaN];
    const wrong = balance.serversWithoutClaim + balance.wrongSums;
    return [
      figure('decision among 1,000 hosts, p99', p99, 'ms', '<= 5 ms', p99 <= 5),
      figure('the same with its claim, 200 creates at a time, p99', claimed, 'ms', '<= 20 ms', claimed <= 20),
      figure('creates, 200 at a time', creates.perSecond, '/s', '>= 50 /s', creates.perSecond >= 50),
      figure(`creates neither ACTIVE nor explained, of ${made}`, creates.stuck, 'creates', '0', creates.stuck === 0),
      figure('claims and sums that do not fit the servers', wrong, 'rows', '0', wrong === 0),
      figure('messages per create', calm.messages, 'messages', '<= 8', calm.messages <= 8),
      figure('commits per create', calm.commits, 'commits', '<= 8', calm.commits <= 8),
      figure('statements per create', calm.statements, 'statements', '<= 25', calm.statements <= 25),
      figure('processor time per create', calm.processor, 'ms', 'reported', true),
      figure(
        'a page of 1,000 servers of 10,000, p95 of the slowest filter',
        slowest,
        'ms',
        '<= 150 ms',
        slowest <= 150,
      ),
      figure('other requests meanwhile, p95', slowed, 'ms', '<= 50 ms', slowed <= 50),
      figure('memory of the controller of 1,000 hosts', memory, 'MB', '<= 300 MB', memory <= 300),
    ];
  } finally {
    fleet.end();
  }
}
