// The agent API of a purge, which must work when the rest of the cloud is gone.
import type { AgentApi } from './agentApi';

/** Refuses every question. */
export function noController(): AgentApi {
  const unasked = (): Promise<never> => Promise.reject(new Error('a purge asks no controller'));
  return {
    register: unasked,
    heartbeat: unasked,
    networkChanges: unasked,
    reportPorts: unasked,
    reportServers: unasked,
    openImage: unasked,
    openDisk: unasked,
    storeImage: unasked,
    metadata: unasked,
  };
}
