// The process of one controller among several: broker, agent API, and clients of the hosts around the controller itself.
import {
  AGENT_TIMEOUT_MS,
  BrokerConfig,
  createAmqpBus,
  healthConfig,
  listenOn,
  observed,
  readTls,
  TlsConfig,
  type Logger,
  type Running,
} from '@cumulet/common';
import { Type, type Static } from '@sinclair/typebox';
import { createHostClients, type HostClients } from './agentApi/hostClient';
import { createAgentListener } from './agentApi/listener';
import type { Cloud } from './cloud';
import { ControllerConfig } from './config';
import { createController } from './controller';
import { agents, tasks } from './db/entities/tasks';
import { keepHeapSmall } from './heap';

const AgentApiConfig = Type.Object(
  {
    listen: Type.String({ default: '0.0.0.0', description: 'Address that the agent API listens on.' }),
    port: Type.Integer({ default: 5100, minimum: 1, maximum: 65535, description: 'Its TCP port.' }),
    tls: TlsConfig,
    revoked: Type.Array(Type.String({ pattern: '^[0-9A-Fa-f:]+$' }), {
      default: [],
      description: 'Serial numbers of certificates that are accepted no more.',
    }),
  },
  { default: {}, additionalProperties: false },
);

/** The controller's configuration file: its own keys and those of its process. */
export const ControllerProcessConfig = Type.Object(
  { ...ControllerConfig.properties, agent_api: AgentApiConfig, broker: BrokerConfig, health: healthConfig(5110) },
  { additionalProperties: false },
);
export type ControllerProcessConfig = Static<typeof ControllerProcessConfig>;

/** Numbers that only the database knows. */
function observeCloud({ db, clock }: Cloud): void {
  observed('cumulet_tasks_active', 'Operations under way.', [], async (set) =>
    set({}, await db.read((session) => session.count(tasks, { active: 1 }))),
  );
  observed('cumulet_agents', 'Agents by role, heard lately (up) or not (down).', ['role', 'state'], async (set) => {
    const known = await db.read((session) => session.find(agents));
    for (const role of ['compute', 'network', 'storage'])
      for (const state of ['up', 'down'])
        set(
          { role, state },
          known.filter(
            (one) => one.role === role && clock.now() - one.heard_at <= AGENT_TIMEOUT_MS === (state === 'up'),
          ).length,
        );
  });
}

/** Opens all listeners and starts to work. */
export async function startController(config: ControllerProcessConfig, log: Logger): Promise<Running> {
  keepHeapSmall();
  const tls = readTls(config.agent_api.tls);
  const bus = createAmqpBus({ config: config.broker, log });
  const found: { hosts?: HostClients } = {};
  const controller = await createController({
    config,
    bus,
    log,
    host: (name) => found.hosts?.host(name),
  });
  const { cloud } = controller;
  const hosts = (found.hosts = createHostClients(cloud.db, tls));
  observeCloud(cloud);
  const { listen, port, revoked } = config.agent_api;
  const agentListener = createAgentListener({ api: controller.agentApi, tls, log, revoked });
  await controller.start();
  await listenOn(agentListener, listen, port);
  return {
    async missing() {
      const database = await cloud.db
        .read((session) => session.count(tasks, { active: 1 }))
        .then(
          () => [],
          () => ['the database does not answer'],
        );
      const remote = controller.remote?.missing() ?? [];
      return [...database, ...remote, ...(bus.connected() ? [] : ['the message broker is not reached'])];
    },
    async stop() {
      // Agents go on with the next controller; steps that run here finish.
      agentListener.close();
      agentListener.closeAllConnections();
      await controller.stop();
      await bus.close();
      hosts.close();
    },
  };
}
