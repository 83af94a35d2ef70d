// The child process of the fleet benchmark: one controller, whose many hosts are simulated by a process of their own.
import { fork, type ChildProcess } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  CumuletError,
  messageOf,
  newId,
  parseConfig,
  silentLogger,
  systemClock,
  type AgentApi,
  type Bus,
} from '@cumulet/common';
import {
  allocations,
  ControllerConfig,
  createController,
  keepHeapSmall,
  hosts,
  hostViews,
  placementRequest,
  schedule,
  servers,
  taskEvents,
  taskKinds,
} from '@cumulet/controller';
import { benchCaller } from './benchCaller';
import { fillServers } from './fill';
import type { FromHosts, ToHosts } from './fleetHosts';

/** What the parent asks; the answers are plain data. */
export type FleetQuestion = 'fill' | 'calm' | 'counts' | 'decisions' | 'claims' | 'balance';

/** What the process has done since it started. */
export interface FleetCounts {
  readonly statements: number;
  readonly commits: number;
  readonly messages: number;
  /** Milliseconds of processor time. */
  readonly processor: number;
  /** Proportional set size in MB. */
  readonly memory: number;
}

/** How claims, sums and servers fit together. */
export interface FleetBalance {
  readonly claims: number;
  readonly serversWithoutClaim: number;
  readonly wrongSums: number;
}

const [HOSTS, SERVERS] = [1_000, 10_000];
/** Part of the commands that are lost, until the fleet is told to be calm. */
let lost = 0.01;

let statements = 0;
let commits = 0;
let messages = 0;

/** The bus to the process of the hosts: messages are JSON on a pipe. Agents' questions are answered by `api`. */
function busTo(hostsProcess: ChildProcess, api: () => AgentApi): Bus {
  const send = (message: ToHosts): void => void hostsProcess.send(message);
  const handlers: Parameters<Bus['onReply']>[0][] = [];
  const answer = async ({ ask, method, args }: Extract<FromHosts, { ask: number }>): Promise<void> => {
    try {
      const value = await (api()[method] as (...all: readonly unknown[]) => Promise<unknown>)(...args);
      send({ answer: ask, value });
    } catch (error) {
      const code = error instanceof CumuletError ? error.code : 'failed';
      send({ answer: ask, error: { code, message: messageOf(error) } });
    }
  };
  hostsProcess.on('message', (message: FromHosts) => {
    if ('ask' in message) void answer(message);
    if (!('reply' in message)) return;
    messages++;
    for (const handler of handlers) void handler(message.reply);
  });
  const noAgent = (): never => {
    throw new Error('agents are in the other process');
  };
  return {
    declareHost: () => Promise.resolve(),
    sendCommand(command) {
      messages++;
      // One of a hundred is lost on its way; the step asks again.
      if (Math.random() >= lost) send({ command });
      return Promise.resolve();
    },
    onCommand: noAgent,
    sendReply: noAgent,
    onReply(handler) {
      handlers.push(handler);
      return Promise.resolve({ close: () => Promise.resolve() });
    },
    hintChanges: (...changes) => Promise.resolve(send({ changes })),
    onChanges: noAgent,
  };
}

async function main(): Promise<void> {
  // As the process of a controller.
  keepHeapSmall();
  const directory = mkdtempSync(join(tmpdir(), 'cumulet-fleet-'));
  const hostsProcess = fork(join(__dirname, 'fleetHosts.js'), [String(HOSTS)]);
  hostsProcess.on('exit', () => process.exit(1));
  const bus = busTo(hostsProcess, () => controller.agentApi);
  const controller = await createController({
    config: { ...parseConfig(ControllerConfig, '', 'defaults'), data_dir: directory, port: 0 },
    bus,
    clock: systemClock,
    log: silentLogger,
    host: () => undefined,
    engine: { kinds: taskKinds },
    tokens: { authenticate: () => Promise.resolve(benchCaller) },
    onStatement: (sql) => {
      statements++;
      if (sql.startsWith('COMMIT')) commits++;
    },
  });
  const server = await controller.start();
  const { cloud } = controller;
  await new Promise<void>((done) => {
    hostsProcess.on('message', (message: FromHosts) => 'started' in message && done());
  });

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
  /**
   * What deciding and claiming took each create so far, in milliseconds: from the step's beginning to after its commit, when the next
   * step begins.
   */
  const claims = (): Promise<number[]> =>
    cloud.db.read(async (session) => {
      const began = async (step: string): Promise<Map<string, number>> => {
        const events = await session.find(taskEvents, { where: { step }, order: { sequence: 'DESC' } });
        return new Map(events.map(({ task_id, started_at }) => [task_id, started_at]));
      };
      const prepared = await began('prepare');
      return [...(await began('schedule'))].flatMap(([task, started]) => {
        const next = prepared.get(task);
        return next === undefined ? [] : [next - started];
      });
    });
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
    calm: () => {
      lost = 0;
      hostsProcess.send({ calm: true } satisfies ToHosts);
    },
    counts,
    decisions,
    claims,
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
