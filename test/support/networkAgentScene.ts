// A cloud with a network host for each test of a file, and what conductor and compute do to the ports of servers in it.
import { systemClock, type Clock } from '@cumulet/common';
import { createAgentApi } from '../../controller/src/agentApi/agentApi';
import {
  bindServerPorts,
  createServerPorts,
  releaseServerPorts,
  type ServerPortRequest,
} from '../../controller/src/services/network/serverPorts';
import { networkCalls } from './networkFixtures';
import { startTestCloud, type TestCloud } from './testCloud';

/** The network host that is registered. */
export const HOST = 'host-a';

const owner = { projectId: 'demo-project', userId: 'demo-user' };

/** Sets the scene up before each test and takes it down after. */
export function networkAgentScene(clock: Clock = systemClock) {
  let cloud: TestCloud;
  beforeEach(async () => {
    cloud = await startTestCloud({ clock });
    const api = createAgentApi(cloud.cloud);
    await api.register({ host: HOST, role: 'network', inventory: { physical_networks: ['lan'], underlay_mtu: 1400 } });
  });
  afterEach(() => cloud.stop());
  return {
    get cloud() {
      return cloud;
    },
    ...networkCalls(() => cloud),
    /** Makes the ports of a server, which are not on a host yet. */
    create: (
      serverId: string,
      requests: ServerPortRequest[],
      groups: string[] = [],
      changes: { isAdmin?: boolean } = {},
    ) =>
      cloud.cloud.db.write((session) =>
        createServerPorts(
          session,
          cloud.cloud,
          { ...owner, ...changes },
          { id: serverId, availabilityZone: 'nova', hostname: 'web' },
          requests,
          groups,
        ),
      ),
    bind: (serverId: string, host = HOST) =>
      cloud.cloud.db.write((session) => bindServerPorts(session, cloud.cloud, serverId, host)),
    release: (serverId: string) =>
      cloud.cloud.db.write((session) => releaseServerPorts(session, cloud.cloud, serverId)),
  };
}
