// What goes wrong in the crash matrix, on real processes: each fault strikes once, all that is held at the time, and heals by itself.
import { setTimeout as pause } from 'node:timers/promises';
import { agentOf, hostNames, roles, type AgentName, type MatrixCloud, type ProcessName, type Role } from './cloud';
import type { Held, Moment } from './director';
import type { MatrixWorld } from './world';

export interface Fault {
  readonly name: string;
  /** Where a step is held: one that asks hosts, or one that does not; undefined where it would mean nothing. */
  readonly moment: { readonly asking?: Moment; readonly alone?: Moment };
  /** Of steps that ask this agent only. */
  readonly role?: Role;
  /** Strikes and sets right again; resolves when everything that was ended runs again. What is still held then goes on. */
  strike(world: MatrixWorld, held: readonly Held[], chance: () => number): Promise<void>;
}

/** Within it what was let go is at one place or another of its work. */
const WORK_MS = 400;
/** Three times as long as an agent may be silent. */
const CUT_MS = 30_000;
/** Longer than a step waits before it asks again. */
const LATE_MS = 35_000;

async function restart(cloud: MatrixCloud, names: readonly ProcessName[]): Promise<void> {
  for (const name of names) cloud.start(name);
  await Promise.all(names.map((name) => cloud.ready(name)));
}

async function killAgain(cloud: MatrixCloud, names: readonly ProcessName[]): Promise<void> {
  await Promise.all(names.map((name) => cloud.end(name, 'SIGKILL')));
  await restart(cloud, names);
}

const release = (held: readonly Held[]): void => held.forEach((one) => one.release());

/** Lets all go on within a while, so that they are at different places of their work at its end. */
async function stagger(held: readonly Held[], chance: () => number): Promise<void> {
  await Promise.all(held.map((one) => pause(WORK_MS * chance()).then(() => one.release())));
}

const hostsOf = (held: readonly Held[]) => hostNames.filter((name) => held.some(({ host }) => host === name));
const agentsOf = (hosts: MatrixCloud['hosts']): AgentName[] =>
  hostNames.filter((name) => hosts[name].isOn).flatMap((name) => roles.map((role) => agentOf(name, role)));

const agentKilled = (role: Role): Fault[] => [
  {
    name: `${role} agent killed`,
    moment: { asking: 'work' },
    role,
    async strike({ cloud }, held, chance) {
      await stagger(held, chance);
      await killAgain(
        cloud,
        hostsOf(held).map((host) => agentOf(host, role)),
      );
    },
  },
  {
    name: `${role} agent killed before it answers`,
    moment: { asking: 'reply' },
    role,
    strike: ({ cloud }, held) =>
      killAgain(
        cloud,
        hostsOf(held).map((host) => agentOf(host, role)),
      ),
  },
];

const controllerKilled = ({ cloud }: MatrixWorld): Promise<void> => killAgain(cloud, ['controller-1']);

/** Each with each kind and step where it means something. */
export const crossed: readonly Fault[] = [
  { name: 'controller killed', moment: { asking: 'asked', alone: 'begin' }, strike: controllerKilled },
  {
    name: 'controller killed before it commits',
    moment: { asking: 'commit', alone: 'commit' },
    strike: controllerKilled,
  },
  ...roles.flatMap(agentKilled),
];

async function purge({ broker }: MatrixCloud): Promise<void> {
  const listed = await broker.control('list_queues', '-q', '-p', 'cumulet', 'name');
  for (const queue of listed.trim().split('\n').slice(1)) await broker.control('purge_queue', '-p', 'cumulet', queue);
}

/** The message that each is held at goes on in copies that come after so many milliseconds. */
const message = (name: string, moment: Moment, copies: (at: number) => readonly number[]): Fault => ({
  name,
  moment: { asking: moment },
  async strike(_world, held) {
    const all = held.map((_one, at) => copies(held.length - at));
    held.forEach((one, at) => one.release({ copies: all[at] ?? [] }));
    await pause(Math.max(...all.flat(), 0));
  },
});

const messages = (what: string, moment: Moment): Fault[] => [
  message(`${what} lost`, moment, () => []),
  message(`${what} doubled`, moment, () => [0, 1]),
  message(`${what} late`, moment, () => [LATE_MS]),
  message(`${what} in another order`, moment, (fromEnd) => [100 * fromEnd]),
];

/** Such that each kind meets each of them, and each step of any kind. */
export const sampled: readonly Fault[] = [
  {
    name: 'libvirtd killed',
    moment: { asking: 'work' },
    role: 'compute',
    async strike({ cloud: { hosts } }, held, chance) {
      await stagger(held, chance);
      const daemons = hostsOf(held).map((host) => hosts[host].libvirtd);
      await Promise.all(daemons.map((daemon) => daemon.kill('SIGKILL')));
      await pause(500);
      await Promise.all(daemons.map((daemon) => daemon.start()));
    },
  },
  {
    name: 'broker killed',
    moment: { asking: 'begin', alone: 'commit' },
    async strike({ cloud: { broker } }, held) {
      await broker.kill();
      release(held);
      await broker.start();
    },
  },
  {
    name: 'queues purged',
    moment: { asking: 'begin' },
    /** What waits in a queue is what nobody has taken. */
    async strike({ cloud }, held) {
      const agents = agentsOf(cloud.hosts);
      await Promise.all(agents.map((name) => cloud.end(name, 'SIGKILL')));
      release(held);
      await pause(500);
      await purge(cloud);
      await restart(cloud, agents);
    },
  },
  {
    name: 'database killed',
    moment: { asking: 'commit', alone: 'commit' },
    async strike({ cloud: { mariadb } }, held) {
      await mariadb.kill('SIGKILL');
      release(held);
      await pause(1_000);
      await mariadb.start();
    },
  },
  {
    name: 'hosts cut off',
    moment: { asking: 'begin' },
    async strike({ cloud: { hosts } }, held) {
      for (const name of hostNames) hosts[name].link('down');
      release(held);
      await pause(CUT_MS);
      for (const name of hostNames) hosts[name].link('up');
    },
  },
  ...messages('command', 'send'),
  ...messages('reply', 'hear'),
];
