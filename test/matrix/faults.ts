// What goes wrong in the crash matrix, on real processes: each fault strikes once and heals by itself.
import { setTimeout as pause } from 'node:timers/promises';
import type { MatrixWorld } from './world';

/** Strikes and sets right again; resolves when everything that was ended runs again. */
export type Fault = (world: MatrixWorld) => Promise<void>;

const killed =
  (name: 'controller-1' | 'compute-agent' | 'network-agent' | 'storage-agent'): Fault =>
  async ({ cloud }) => {
    await cloud.end(name, 'SIGKILL');
    cloud.start(name);
    await cloud.ready(name);
  };

const AGENTS = ['compute-agent', 'network-agent', 'storage-agent'] as const;
/** Three times as long as an agent may be silent. */
const FROZEN_MS = 30_000;

/** Each with each kind and step. */
export const crossed: Readonly<Record<string, Fault>> = {
  'controller killed': killed('controller-1'),
  /** While the step's result is being committed. */
  'controller killed at commit': async (world) => {
    await world.committing();
    await killed('controller-1')(world);
  },
  'compute agent killed': killed('compute-agent'),
  'network agent killed': killed('network-agent'),
  'storage agent killed': killed('storage-agent'),
};

/** As many of these with kinds and steps as there is time for. */
export const sampled: Readonly<Record<string, Fault>> = {
  'libvirtd killed': async ({ libvirtd }) => {
    await libvirtd.kill('SIGKILL');
    await libvirtd.start();
  },
  'broker killed': async ({ cloud }) => {
    await cloud.broker.kill();
    await cloud.broker.start();
  },
  'queues purged': async ({ cloud }) => {
    const queues = (await cloud.broker.control('list_queues', '-q', '-p', 'cumulet', 'name')).trim().split('\n');
    for (const queue of queues.slice(1)) await cloud.broker.control('purge_queue', '-p', 'cumulet', queue);
  },
  'database killed': async ({ cloud }) => {
    await cloud.mariadb.kill('SIGKILL');
    await cloud.mariadb.start();
  },
  'host silent': async ({ cloud }) => {
    for (const agent of AGENTS) process.kill(cloud.pid(agent), 'SIGSTOP');
    await pause(FROZEN_MS);
    for (const agent of AGENTS) process.kill(cloud.pid(agent), 'SIGCONT');
  },
};
