export * from './agent';
export * from './config';
export type { Hypervisor } from './hypervisor';
export { detectVirtType } from './inventory';
