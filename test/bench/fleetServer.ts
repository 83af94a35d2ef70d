// The child process of the fleet benchmark: one controller and many simulated hosts, which cost their share of the process.
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createMemoryBus, HostError, newId, parseConfig, silentLogger, systemClock, type Bus } from '@cumulet/common';
import {
  allocations,
  ControllerConfig,
  createController,
  hosts,
  hostViews,
  placementRequest,
  schedule,
  servers,
  taskKinds,
} from '@cumulet/controller';
import { createSimulatedHost, type SimulatedHost } from '../support/simulatedHost';
import { benchCaller } from './benchCaller';
import { fillServers } from './fill';

/** What the parent asks; the answers are plain data. */
export type FleetQuestion = 'fill' | 'calm' | 'counts' | 'decisions' | 'balance';

/** What the process has done since it started. */
export interface FleetCounts {
  readonly statements: number;
  readonly commits: number;
  readonly messages: number;
  /** Milliseconds of processor time. */
  readonly processor: number;
  /** Proportional set size in MB, simulated hosts included. */
  readonly memory: number;
}

/** How claims, sums and servers fit together. */
export interface FleetBalance {
  readonly claims: number;
  readonly serversWithoutClaim: number;
  readonly wrongSums: number;
}

const [HOSTS, SERVERS] = [1_000, 10_000];
/** Parts of the commands that fail and that are lost, until the fleet is told to be calm. */
let fails = 0.02;
let lost = 0.01;
/** Seconds that a host works on a server, half of them for each of the two rounds of commands. */
const [FASTEST, SLOWEST] = [0.2, 3];

let statements = 0;
let commits = 0;
let messages = 0;

function countingBus(): Bus {
  const bus = createMemoryBus();
  return {
    ...bus,
    async sendCommand(command) {
      messages++;
      // One of a hundred is lost on its way; the step asks again.
      if (Math.random() >= lost) await bus.sendCommand(command);
    },
    async sendReply(reply) {
      messages++;
      await bus.sendReply(reply);
    },
  };
}

async function main(): Promise<void> {
  const directory = mkdtempSync(join(tmpdir(), 'cumulet-fleet-'));
  const bus = countingBus();
  const fleet = new Map<string, SimulatedHost>();
  const controller = await createController({
    config: { ...parseConfig(ControllerConfig, '', 'defaults'), data_dir: directory, port: 0 },
    bus,
    clock: systemClock,
    log: silentLogger,
    host: (name) => fleet.get(name)?.api,
    engine: { kinds: taskKinds },
    tokens: { authenticate: () => Promise.resolve(benchCaller) },
    onStatement: (sql) => {
      statements++;
      if (sql.startsWith('COMMIT')) commits++;
    },
  });
  const server = await controller.start();
  const { cloud } = controller;
  for (let at = 1; at <= HOSTS; at++) {
    const host = createSimulatedHost(`node-${at}`, bus, controller.agentApi, 2_000);
    host.before = async () => {
      const seconds = FASTEST + Math.random() * (SLOWEST - FASTEST);
      await systemClock.sleep((seconds * 1000) / 2);
      if (Math.random() < fails) throw new HostError('bad_luck', 'the host had bad luck', { retryable: false });
    };
    fleet.set(host.name, host);
  }
  const all = [...fleet.values()];
  // Not all in one moment: no lab starts all its hosts at once.
  for (let at = 0; at < all.length; at += 50) await Promise.all(all.slice(at, at + 50).map((host) => host.start()));

  const decisions = async (): Promise<number[]> => {
    const [some] = await cloud.db.read((session) => session.find(servers, { limit: 1 }));
    if (!some) throw new Error('there is no server');
    const times: number[] = [];
    for (let round = 0; round < 300; round++) {
      const [views, request] = await cloud.db.read(async (session) => [
        await hostViews(session, cloud.clock.now()),
        await placementRequest(session, some, []),
      ]);
      const started = performance.now();
      const { candidates } = schedule(views, request);
      times.push(performance.now() - started);
      if (candidates.length === 0) throw new Error('no host fits');
    }
    return times;
  };
  const balance = (): Promise<FleetBalance> =>
    cloud.db.read(async (session) => {
      const claims = await session.find(allocations);
      const made = await session.find(servers, { where: { vm_state: 'active', user_id: benchCaller.userId } });
      const claimed = new Set(claims.map((claim) => claim.server_id));
      const used = new Map<string, number>();
      for (const { host, vcpus } of claims) used.set(host, (used.get(host) ?? 0) + vcpus);
      const known = await session.find(hosts);
      return {
        claims: claims.length,
        serversWithoutClaim: made.filter((one) => one.name.startsWith('fleet') && !claimed.has(one.id)).length,
        wrongSums: known.filter((host) => host.used_vcpus !== (used.get(host.name) ?? 0)).length,
      };
    });
  const counts = (): FleetCounts => {
    const pss = Number(/^Pss:\s+(\d+)/m.exec(readFileSync('/proc/self/smaps_rollup', 'utf8'))?.[1] ?? 0);
    const { user, system } = process.cpuUsage();
    const processor = (user + system) / 1000;
    return { statements, commits, messages, processor, memory: (pss * 1024) / 1e6 };
  };
  const answers: Readonly<Record<FleetQuestion, () => unknown>> = {
    fill: () => fillServers(cloud, SERVERS, newId, { hosts: HOSTS, networks: SERVERS / 100 }),
    calm: () => void ([fails, lost] = [0, 0]),
    counts,
    decisions,
    balance,
  };
  const fail = (error: unknown): void => {
    console.error(error);
    process.exit(1);
  };
  process.on('message', (question: FleetQuestion) => {
    Promise.resolve(answers[question]()).then((answer) => process.send?.({ answer }), fail);
  });
  process.on('disconnect', () => {
    // Nothing of this lasts: the hosts are simulated and the directory is ours.
    rmSync(directory, { recursive: true, force: true });
    process.exit(0);
  });
  process.send?.({ port: (server.address() as AddressInfo).port });
}

void main().catch((error: unknown) => {
  console.error(error);
  process.exit(1);
});
