// Memory of everything that is ours, helpers included, and CPU while nothing happens.
import { readdirSync, readFileSync } from 'node:fs';
import { createServer, deleteServer, makeNetwork, until, type Content, type RealCloud } from '../support/realCloud';
import { figure, type Figure } from './figure';

const read = (path: string): string => {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
};

interface Processes {
  /** The cloud, its children, and DHCP servers with files in its directory. */
  readonly ours: readonly number[];
  /** QEMU with a disk in its directory: what users run. */
  readonly guests: readonly number[];
}

function processesOf(cloud: RealCloud): Processes {
  const all = readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
    .filter((pid) => pid !== process.pid);
  const parent = new Map(
    all.map((pid) => [pid, Number(/^PPid:\s+(\d+)/m.exec(read(`/proc/${pid}/status`))?.[1] ?? 0)]),
  );
  const descends = (pid: number): boolean => pid === cloud.pid || (pid > 1 && descends(parent.get(pid) ?? 0));
  const named = all.filter((pid) => read(`/proc/${pid}/cmdline`).includes(cloud.directory));
  const guests = named.filter((pid) => read(`/proc/${pid}/comm`).startsWith('qemu-system'));
  return { ours: all.filter((pid) => descends(pid) || (named.includes(pid) && !guests.includes(pid))), guests };
}

/** Proportional set size of our processes in MB (10^6 bytes). */
function memoryMb(cloud: RealCloud): number {
  const kib = processesOf(cloud).ours.map((pid) =>
    Number(/^Pss:\s+(\d+)/m.exec(read(`/proc/${pid}/smaps_rollup`))?.[1] ?? 0),
  );
  return (kib.reduce((sum, one) => sum + one, 0) * 1024) / 1e6;
}

const TICKS_PER_SECOND = 100;

/** CPU time so far, with that of children that have ended. */
function cpuSeconds(pids: readonly number[]): number {
  const ticks = pids.map((pid) => {
    const fields = read(`/proc/${pid}/stat`).split(') ')[1]?.split(' ') ?? [];
    return [11, 12, 13, 14].reduce((sum, field) => sum + Number(fields[field] ?? 0), 0);
  });
  return ticks.reduce((sum, one) => sum + one, 0) / TICKS_PER_SECOND;
}

const sleep = (seconds: number): Promise<void> => new Promise((next) => setTimeout(next, seconds * 1000));

/** Percent of one core over the time. */
async function cpuPercent(pids: () => readonly number[], seconds: number): Promise<number> {
  const before = cpuSeconds(pids());
  await sleep(seconds);
  return ((cpuSeconds(pids()) - before) / seconds) * 100;
}

const SERVERS = 20;
const NETWORKS = 10;
/** Emulated guests that boot at the same time keep two cores busy for minutes; after this many seconds they are measured as they are. */
const BOOT_LIMIT = 240;

async function untilGuestsRest(cloud: RealCloud): Promise<void> {
  const end = Date.now() + BOOT_LIMIT * 1000;
  while (Date.now() < end && (await cpuPercent(() => processesOf(cloud).guests, 10)) > 50);
}

/** Idle, then with servers that have booted. The cloud must be fresh. */
export async function benchMemory(cloud: RealCloud, content: Content): Promise<Figure[]> {
  await sleep(10);
  const idle = memoryMb(cloud);
  const networks: string[] = [];
  for (let at = 0; at < NETWORKS; at++) networks.push(await makeNetwork(cloud, `memory-${at}`, `10.78.${at}.0/24`));
  const servers: string[] = [];
  for (let at = 0; at < SERVERS; at++) {
    const network = networks[at % NETWORKS] ?? '';
    const id = await createServer(cloud, { ...content, network }, `memory-${at}`);
    servers.push(id);
    await until(cloud, id, 'ACTIVE', 50);
  }
  await untilGuestsRest(cloud);
  const cpu = await cpuPercent(() => processesOf(cloud).ours, 60);
  const busy = memoryMb(cloud);
  for (const id of servers) await deleteServer(cloud, id);
  for (const id of networks) await cloud.call('DELETE', `/network/v2.0/networks/${id}`);
  const what = `${SERVERS} servers on ${NETWORKS} networks`;
  return [
    figure('memory idle (PSS of all our processes)', idle, 'MB', '<= 150 MB', idle <= 150),
    figure(`memory with ${what}`, busy, 'MB', '<= 200 MB', busy <= 200),
    figure(`CPU with ${SERVERS} idle servers, 60 s`, cpu, '% of a core', '<= 1 %', cpu <= 1),
  ];
}
