// The process cumulet-storage-agent.
import { runAgent } from '@cumulet/common';
import { createStorageAgent } from './agent';
import { StorageConfig } from './config';

void runAgent({
  role: 'storage',
  config: StorageConfig,
  create(parts, config) {
    const agent = createStorageAgent({ ...parts, config });
    const answers = { inventoryOfResources: () => agent.inventoryOfResources(), openDisk: agent.openDisk };
    return { ...agent, answers };
  },
});
