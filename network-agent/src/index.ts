export { createNetworkAgent, type NetworkAgent, type NetworkAgentParts } from './agent';
export { checkFloating } from './checkFloating';
export { FloatingConfig, NetworkAgentConfig } from './config';
