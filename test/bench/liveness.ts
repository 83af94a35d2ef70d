// Hosts on a machine whose processors others use up: none is taken for dead that lives, and one that dies is known to in time. Two
// controllers, MariaDB, RabbitMQ and a host's agents, each a process.
import { spawn, type ChildProcess } from 'node:child_process';
import { availableParallelism } from 'node:os';
import { setTimeout as pause } from 'node:timers/promises';
import { startProcessCloud, type ProcessCloud } from '../support/processCloud';
import { figure, type Figure } from './figure';

/** How long both are looked at, in milliseconds. */
const WATCH_MS = 600_000;
const LOOK_MS = 500;
/** How often the host dies, and comes back. */
const DEATHS = 3;
/** Milliseconds after which a host that still is not known to be up or down counts as never. */
const PATIENCE_MS = 60_000;
const AGENTS = ['compute-agent', 'network-agent', 'storage-agent'] as const;

interface Services {
  readonly services: readonly { readonly binary: string; readonly state: 'up' | 'down' }[];
}
interface Agents {
  readonly agents: readonly { readonly alive: boolean }[];
}

/** Two programs for each processor that do nothing but compute. */
function saturate(): () => void {
  const busy: ChildProcess[] = Array.from({ length: availableParallelism() * 2 }, () =>
    spawn(process.execPath, ['-e', 'for (;;);'], { stdio: 'ignore' }),
  );
  return () => busy.forEach((one) => one.kill('SIGKILL'));
}

/** Whether users are told that the host is up, as its compute service and as its network agent. */
async function isUp({ client }: ProcessCloud): Promise<boolean> {
  const { services } = await client.call<Services>('GET', '/compute/v2.1/os-services?binary=nova-compute');
  const { agents } = await client.call<Agents>('GET', '/network/v2.0/agents');
  if (services.length === 0 || agents.length === 0) throw new Error('the host is not listed');
  return services.every(({ state }) => state === 'up') && agents.every(({ alive }) => alive);
}

/** Milliseconds until the host is said to be up, or down. */
async function known(cloud: ProcessCloud, up: boolean): Promise<number> {
  const began = performance.now();
  while ((await isUp(cloud)) !== up && performance.now() - began < PATIENCE_MS) await pause(50);
  return performance.now() - began;
}

export async function benchLiveness(): Promise<Figure[]> {
  const cloud = await startProcessCloud();
  let rest: (() => void) | undefined;
  try {
    await known(cloud, true);
    rest = saturate();
    let [looks, wrong] = [0, 0];
    for (const end = Date.now() + WATCH_MS; Date.now() < end; await pause(LOOK_MS)) {
      looks++;
      if (!(await isUp(cloud))) wrong++;
    }
    const [dead, alive]: [number[], number[]] = [[], []];
    for (let round = 0; round < DEATHS; round++) {
      await Promise.all(AGENTS.map((name) => cloud.end(name, 'SIGKILL')));
      dead.push((await known(cloud, false)) / 1000);
      for (const name of AGENTS) cloud.start(name);
      alive.push((await known(cloud, true)) / 1000);
    }
    const [down, up] = [Math.max(...dead), Math.max(...alive)];
    const minutes = WATCH_MS / 60_000;
    return [
      figure(`false "down" in ${minutes} busy minutes, of ${looks} looks`, wrong, 'looks', '0', wrong === 0),
      figure(`a dead host is down, worst of ${DEATHS}, busy`, down, 's', '<= 10 s', down <= 10),
      figure(`a host is up after its agents were started, worst of ${DEATHS}, busy`, up, 's', '<= 10 s', up <= 10),
    ];
  } finally {
    rest?.();
    await cloud.stop();
  }
}
