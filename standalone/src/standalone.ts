// The whole cloud in one process: the controller and the three agents of this machine, on the in-process bus.
import {
  createExecThread,
  createMemoryBus,
  createLogger,
  noController,
  systemClock,
  type HostApi,
} from '@cumulet/common';
import { createComputeAgent } from '@cumulet/compute-agent';
import { createController } from '@cumulet/controller';
import { createNetworkAgent } from '@cumulet/network-agent';
import { createStorageAgent } from '@cumulet/storage-agent';
import type { Parts } from './config';

export interface Standalone {
  /** Opens the API and starts the agents. The API answers before all agents are ready: hosts may be slow to come. */
  start(): Promise<void>;
  /** What of it is not as configured, in words. */
  missing(): readonly string[];
  /** Ends running steps and leaves servers, networks and disks as they are. */
  stop(): Promise<void>;
}

type Wiring = Pick<Parameters<typeof createComputeAgent>[0], 'bus' | 'api'>;

function createAgents(parts: Parts, wiring: Wiring) {
  const common = { ...wiring, host: parts.host, exec: createExecThread(), clock: systemClock };
  return {
    network: createNetworkAgent({ ...common, log: createLogger('network-agent'), config: parts.network }),
    storage: createStorageAgent({ ...common, log: createLogger('storage-agent'), config: parts.storage }),
    compute: createComputeAgent({ ...common, log: createLogger('compute-agent'), config: parts.compute }),
  };
}

/** Composes the cloud; nothing runs before `start`. */
export async function createStandalone(parts: Parts): Promise<Standalone> {
  const bus = createMemoryBus();
  const found: { api?: HostApi } = {};
  const controller = await createController({
    config: parts.controller,
    bus,
    log: createLogger('controller'),
    host: (name) => (name === parts.host ? found.api : undefined),
  });
  const { compute, network, storage } = createAgents(parts, { bus, api: controller.agentApi });
  const agents = [network, storage, compute];
  const { consoleLog, diagnostics, openConsole, setPassword } = compute;
  found.api = {
    consoleLog,
    diagnostics,
    openConsole,
    setPassword,
    openDisk: storage.openDisk,
    openImage: storage.openImage,
    inventoryOfResources: async () => {
      const found = [compute.inventoryOfResources(), storage.inventoryOfResources(), network.inventory()];
      return (await Promise.all(found)).flat();
    },
  };
  return {
    async start() {
      await controller.start();
      await Promise.all(agents.map((agent) => agent.start()));
    },
    missing: () => controller.remote?.missing() ?? [],
    async stop() {
      // Agents first: a step that waits for one goes on after the next start.
      await Promise.all(agents.map((agent) => agent.stop()));
      await controller.stop();
    },
  };
}

/** The agents without a controller, to look at or clear up what is on the host. */
export const idleAgents = (parts: Parts): ReturnType<typeof createAgents> =>
  createAgents(parts, { bus: createMemoryBus(), api: noController() });

/** Removes servers, disks, networks and rules of ours from this machine, whatever the database says. Nothing else may run. */
export async function purgeHost(parts: Parts): Promise<void> {
  const { compute, storage, network } = idleAgents(parts);
  // Guests first: nothing they use may go while they run.
  await compute.purge();
  await compute.stop();
  await storage.purge();
  await network.purge();
}
