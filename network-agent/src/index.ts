export { createNetworkAgent, type NetworkAgent, type NetworkAgentParts } from './agent';
export { NetworkAgentConfig } from './config';
