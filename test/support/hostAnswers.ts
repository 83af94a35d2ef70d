// What the agents of a host answer together, as its process does.
import type { HostApi } from '@cumulet/common';
import type { ComputeAgent } from '@cumulet/compute-agent';
import type { NetworkAgent } from '@cumulet/network-agent';
import type { StorageAgent } from '@cumulet/storage-agent';

export const hostAnswers = (compute: ComputeAgent, storage: StorageAgent, network?: NetworkAgent): HostApi => ({
  consoleLog: (...wanted) => compute.consoleLog(...wanted),
  diagnostics: (...wanted) => compute.diagnostics(...wanted),
  setPassword: (...wanted) => compute.setPassword(...wanted),
  openConsole: (...wanted) => compute.openConsole(...wanted),
  openDisk: (...wanted) => storage.openDisk(...wanted),
  openImage: (...wanted) => storage.openImage(...wanted),
  inventoryOfResources: async () => [
    ...(await compute.inventoryOfResources()),
    ...(await storage.inventoryOfResources()),
    ...((await network?.inventory()) ?? []),
  ],
});
