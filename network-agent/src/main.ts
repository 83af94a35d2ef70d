// The process cumulet-network-agent.
import { runAgent } from '@cumulet/common';
import { createNetworkAgent } from './agent';
import { NetworkAgentConfig } from './config';

void runAgent({
  role: 'network',
  config: NetworkAgentConfig,
  create(parts, config) {
    const agent = createNetworkAgent({ ...parts, config });
    return { ...agent, answers: { inventoryOfResources: () => agent.inventory() } };
  },
});
