// The process of one agent: its bus, its controllers, its listener. What the three agents differ in is handed in.
import { hostname } from 'node:os';
import { Type, type Static, type TObject, type TProperties } from '@sinclair/typebox';
import type { AgentApi, HostApi } from './agentApi';
import { createAgentApiClient } from './agentApiClient';
import { createAmqpBus } from './amqpBus';
import { checkBroker } from './broker/check';
import { BrokerConfig } from './broker/config';
import { isHostName } from './broker/names';
import type { Bus } from './bus';
import { systemClock, type Clock } from './clock';
import { ConfigError } from './errors';
import { exec, type Exec } from './exec';
import { healthConfig } from './health';
import { createHostListener } from './hostListener';
import { createNeighbours, type MigrationTarget, type Neighbours } from './hostMigration';
import { createLogger, type Logger } from './log';
import { createMemoryBus } from './memoryBus';
import type { AgentRole } from './messages/commands';
import { noController } from './noController';
import { listenOn, runProcess, type Running } from './process';
import { readTls, TlsConfig } from './tls';

/** What every agent is made of. */
export interface AgentParts {
  readonly host: string;
  readonly bus: Bus;
  readonly api: AgentApi;
  readonly exec: Exec;
  readonly log: Logger;
  readonly clock: Clock;
  /** How other hosts are reached; absent where there is only one process. */
  readonly neighbours?: Neighbours;
}

/** What a process needs of its agent. */
export interface ProcessAgent {
  start(): Promise<void>;
  stop(): Promise<void>;
  /** Removes everything of its role from the host. Instead of `start`. */
  purge(): Promise<void>;
  /** What controllers may ask it. */
  readonly answers: Partial<HostApi>;
  /** What other hosts may ask it whose servers come. */
  readonly target?: MigrationTarget;
}

/** TCP ports unless configured: of the listener for controllers, and of health and metrics. */
const PORTS: Readonly<Record<AgentRole, readonly [number, number]>> = {
  compute: [5101, 5111],
  network: [5102, 5112],
  storage: [5103, 5113],
};
/** An agent whose heartbeats were not taken for this long is not ready. */
const SILENCE_MS = 10_000;

const processKeys = (role: AgentRole) => {
  const [port, healthPort] = PORTS[role];
  return {
    host: Type.Union([Type.String(), Type.Null()], {
      default: null,
      description: "The host's name in the cloud, as in its certificate; the machine's host name unless set.",
    }),
    controllers: Type.Array(Type.String({ pattern: '^https://[^/@?#]+$' }), {
      minItems: 1,
      description: 'The agent API of every controller: https://address:port.',
    }),
    address: Type.String({
      description: 'Address of this host at which controllers reach the agent; it listens there.',
    }),
    port: Type.Integer({ default: port, minimum: 1, maximum: 65535, description: 'TCP port of that listener.' }),
    tls: TlsConfig,
    broker: BrokerConfig,
    health: healthConfig(healthPort),
  };
};
type ProcessKeys = Static<TObject<ReturnType<typeof processKeys>>>;

/** An agent's configuration file: the keys of its process and its own. */
export function agentProcessConfig<P extends TProperties>(role: AgentRole, own: TObject<P>) {
  return Type.Object({ ...processKeys(role), ...own.properties }, { additionalProperties: false });
}

/** Follows whether a controller takes the agent for alive. */
function watched(api: AgentApi): { api: AgentApi; silentFor: () => number } {
  let heard = 0;
  const hear = <T>(value: T): T => {
    heard = performance.now();
    return value;
  };
  return {
    api: {
      ...api,
      register: (registration) => api.register(registration).then(hear),
      heartbeat: (...args) => api.heartbeat(...args).then(hear),
    },
    silentFor: () => (heard === 0 ? Infinity : performance.now() - heard),
  };
}

const urlHost = (address: string): string => (address.includes(':') ? `[${address}]` : address);

async function startAgent<C extends ProcessKeys>(
  host: string,
  config: C,
  create: (parts: AgentParts, config: C) => ProcessAgent,
  log: Logger,
  fail: (error: unknown) => void,
): Promise<Running> {
  const tls = readTls(config.tls);
  const bus = createAmqpBus({ config: config.broker, log, host });
  const listenerAddress = `${urlHost(config.address)}:${config.port}`;
  const client = createAgentApiClient({
    controllers: config.controllers,
    tls,
    clock: systemClock,
    log,
    listener: listenerAddress,
  });
  const { api, silentFor } = watched(client);
  const agent = create({ host, bus, api, exec, log, clock: systemClock, neighbours: createNeighbours(tls) }, config);
  const listener = createHostListener(agent.answers, tls, log, agent.target);
  await listenOn(listener, config.address, config.port);
  // Controllers may be away for long: the process is up all the same, and ready later.
  agent.start().catch(fail);
  return {
    missing: () =>
      Promise.resolve([
        ...(bus.connected() ? [] : ['the message broker is not reached']),
        ...(silentFor() < SILENCE_MS ? [] : ['no controller answers']),
      ]),
    async stop() {
      await agent.stop();
      listener.close();
      listener.closeAllConnections();
      await bus.close();
      client.close();
    },
  };
}

export interface AgentProcess<P extends TProperties> {
  readonly role: AgentRole;
  /** The agent's own configuration. */
  readonly config: TObject<P>;
  readonly create: (parts: AgentParts, config: Static<TObject<P>>) => ProcessAgent;
}

/** Runs an agent as a process of its own. */
export async function runAgent<P extends TProperties>({ role, config: own, create }: AgentProcess<P>): Promise<void> {
  type Config = ProcessKeys & Static<TObject<P>>;
  await runProcess({
    name: `cumulet-${role}-agent`,
    schema: agentProcessConfig(role, own),
    prepare: (file, source) => {
      // TypeScript can't add up the keys of a generic object.
      const config = file as unknown as Config;
      const host = config.host ?? hostname();
      if (!isHostName(host)) throw new ConfigError(`${source}: host: '${host}' can't be the name of a host`);
      return { host, config };
    },
    check: ({ config }) => {
      readTls(config.tls);
      checkBroker(config.broker);
      return Promise.resolve([]);
    },
    health: ({ config }) => config.health,
    start: ({ host, config }, log, fail) => startAgent(host, config, create, log, fail),
    actions: {
      purge: {
        help: 'remove everything of the cloud that this agent made on the host and exit; it must not be running',
        async run({ host, config }) {
          const log = createLogger(`${role}-agent`);
          const parts = { host, bus: createMemoryBus(), api: noController(), exec, log, clock: systemClock };
          const agent = create(parts, config);
          await agent.purge();
          await agent.stop();
          return `nothing that the ${role} agent made is left on this host but its files`;
        },
      },
    },
  });
}
