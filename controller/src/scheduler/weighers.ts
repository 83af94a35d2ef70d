// What makes one host better than another, each a number from 0 to 1 and a factor.
import type { Resources } from '../db/entities/tasks';
import type { HostView, PlacementRequest } from './scheduler';

export interface Weigher {
  readonly name: string;
  readonly factor: number;
  readonly weigh: (host: HostView, request: PlacementRequest) => number;
}

const free =
  (key: keyof Resources) =>
  (host: HostView): number =>
    host.capacity[key] <= 0 ? 0 : Math.max(0, host.capacity[key] - host.used[key]) / host.capacity[key];

export const weighers: readonly Weigher[] = [
  { name: 'free memory', factor: 1, weigh: free('memoryMib') },
  { name: 'free vCPUs', factor: 1, weigh: free('vcpus') },
  { name: 'free disk', factor: 0.5, weigh: free('diskGib') },
];
