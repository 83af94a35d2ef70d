// The whole cloud in one process: the controller and the three agents of this machine, on the in-process bus.
import { createMemoryBus, createLogger, exec, systemClock, type HostApi } from '@cumulet/common';
import { createComputeAgent } from '@cumulet/compute-agent';
import { createController, type Controller } from '@cumulet/controller';
import { createNetworkAgent } from '@cumulet/network-agent';
import { createStorageAgent } from '@cumulet/storage-agent';
import type { Parts } from './config';

export interface Standalone {
  readonly controller: Controller;
  readonly host: HostApi;
  /** Opens the API and starts the agents. The API answers before all agents are ready: hosts may be slow to come. */
  start(): Promise<void>;
  /** Ends running steps and leaves servers, networks and disks as they are. */
  stop(): Promise<void>;
}

/** Composes the cloud; nothing runs before `start`. */
export async function createStandalone(parts: Parts): Promise<Standalone> {
  const { host } = parts;
  const bus = createMemoryBus();
  const clock = systemClock;
  const found: { api?: HostApi } = {};
  const controller = await createController({
    config: parts.controller,
    bus,
    clock,
    log: createLogger('controller'),
    host: (name) => (name === host ? found.api : undefined),
  });
  const common = { host, bus, api: controller.agentApi, exec, clock };
  const compute = createComputeAgent({ ...common, log: createLogger('compute-agent'), config: parts.compute });
  const network = createNetworkAgent({ ...common, log: createLogger('network-agent'), config: parts.network });
  const storage = createStorageAgent({ ...common, log: createLogger('storage-agent'), config: parts.storage });
  const agents = [network, storage, compute];
  const api: HostApi = {
    consoleLog: (serverId, maxBytes) => compute.consoleLog(serverId, maxBytes),
    inventoryOfResources: async () => {
      const parts = [compute.inventoryOfResources(), storage.inventoryOfResources(), network.inventory()];
      return (await Promise.all(parts)).flat();
    },
  };
  found.api = api;

  return {
    controller,
    host: api,
    async start() {
      await controller.start();
      await Promise.all(agents.map((agent) => agent.start()));
    },
    async stop() {
      // Agents first: a step that waits for one goes on after the next start.
      await Promise.all(agents.map((agent) => agent.stop()));
      await controller.stop();
    },
  };
}
