// Load on controllers while nodes of their database and their broker are killed in turn: how long until the cloud works again.
import { setTimeout as pause } from 'node:timers/promises';
import { machines, type Machine } from './documentedFile';
import type { Galera } from './galera';
import type { RabbitCluster } from './rabbitCluster';
import type { ServerLoad } from './serverLoad';

export interface EngineKill {
  readonly engine: 'Galera' | 'RabbitMQ';
  readonly machine: Machine;
  /** Seconds until a server was ACTIVE that was asked for after the kill. */
  readonly seconds: number;
}

/** Service that is not back by then will not come back. */
const GIVE_UP_MS = 120_000;

/** Milliseconds from `since` until a server that was asked for later was made. */
async function servedAgain(load: ServerLoad, since: number): Promise<number> {
  for (;;) {
    const first = load.made.find(({ asked }) => asked > since);
    if (first) return first.active - since;
    if (performance.now() - since > GIVE_UP_MS) throw new Error(`no server was made: ${load.stuck.join()}`);
    await pause(20);
  }
}

/** Waits until another node can be missed: each queue then has its majority without this one. */
async function missable(rabbits: RabbitCluster, machine: Machine): Promise<void> {
  for (const until = Date.now() + GIVE_UP_MS; ; await pause(500)) {
    try {
      await rabbits.control(machine, 'rabbitmq-queues', 'check_if_node_is_quorum_critical');
      return;
    } catch (error) {
      if (Date.now() > until) throw error;
    }
  }
}

/**
 * Kills the node of the database that is written to and starts it again, then a node of the broker, and so on, while `load` goes
 * on beside it.
 * @param kills of each engine
 */
export async function killEngines(
  { galera, rabbits }: { readonly galera: Galera; readonly rabbits: RabbitCluster },
  load: ServerLoad,
  kills: number,
): Promise<readonly EngineKill[]> {
  const report: EngineKill[] = [];
  const note = async (engine: EngineKill['engine'], machine: Machine, kill: () => Promise<void>): Promise<void> => {
    const since = performance.now();
    await kill();
    report.push({ engine, machine, seconds: (await servedAgain(load, since)) / 1000 });
  };
  for (let round = 0; round < kills; round++) {
    const writer = await galera.writer();
    await note('Galera', writer, () => galera.kill(writer));
    await galera.start(writer);
    const machine = machines[round % machines.length] ?? 1;
    await missable(rabbits, machine);
    await note('RabbitMQ', machine, () => rabbits.kill(machine));
    await rabbits.start(machine);
  }
  return report;
}
