// What makes one host better than another, each a number from 0 to 1 and a factor.
import type { Resources } from '../db/entities/tasks';
import type { HostView, PlacementRequest } from './scheduler';

export interface Weigher {
  readonly name: string;
  /** Whether it may tell any hosts apart for this request; absent: always. */
  readonly concerns?: (request: PlacementRequest) => boolean;
  readonly factor: number;
  readonly weigh: (host: HostView, request: PlacementRequest) => number;
}

const free =
  (key: keyof Resources) =>
  (host: HostView): number =>
    host.capacity[key] <= 0 ? 0 : Math.max(0, host.capacity[key] - host.used[key]) / host.capacity[key];

/** Where other members of the group are, for the soft policies: the share of them that this host has. */
function groupShare(host: HostView, { group }: PlacementRequest): number {
  if (!group) return 0;
  const all = [...group.members.values()].reduce((sum, count) => sum + count, 0);
  const share = all === 0 ? 0 : (group.members.get(host.name) ?? 0) / all;
  if (group.policy === 'soft-affinity') return share;
  return group.policy === 'soft-anti-affinity' ? 1 - share : 0;
}

export const weighers: readonly Weigher[] = [
  { name: 'free memory', factor: 1, weigh: free('memoryMib') },
  { name: 'free vCPUs', factor: 1, weigh: free('vcpus') },
  { name: 'free disk', factor: 0.5, weigh: free('diskGib') },
  // Stronger than all room together: a soft policy gives way only when no other host is left.
  { name: 'soft affinity', factor: 4, concerns: ({ group }) => group !== null, weigh: groupShare },
  {
    name: 'image is there',
    factor: 0.25,
    concerns: ({ hostsWithImage }) => hostsWithImage.size > 0,
    weigh: (host, { hostsWithImage }) => (hostsWithImage.has(host.name) ? 1 : 0),
  },
  // One failure outweighs any amount of room; a host that only fails comes last.
  { name: 'failed builds', factor: -10, weigh: ({ failedBuilds }) => failedBuilds / (failedBuilds + 1) },
];
