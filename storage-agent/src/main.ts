// The process cumulet-storage-agent.
import { runAgent } from '@cumulet/common';
import { createStorageAgent } from './agent';
import { StorageConfig } from './config';

void runAgent({
  role: 'storage',
  config: StorageConfig,
  create(parts, config) {
    const agent = createStorageAgent({ ...parts, config });
    const { openDisk, openImage } = agent;
    const answers = { inventoryOfResources: () => agent.inventoryOfResources(), openDisk, openImage };
    return { ...agent, answers };
  },
});
