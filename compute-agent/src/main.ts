// The process cumulet-compute-agent.
import { runAgent } from '@cumulet/common';
import { createComputeAgent } from './agent';
import { ComputeConfig } from './config';

void runAgent({
  role: 'compute',
  config: ComputeConfig,
  create(parts, config) {
    const agent = createComputeAgent({ ...parts, config });
    return { ...agent, answers: agent, target: agent.target };
  },
});
