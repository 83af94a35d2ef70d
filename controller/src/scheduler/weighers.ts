// What makes one host better than another, each a number from 0 to 1 and a factor.
import type { Resources } from '../db/entities/tasks';
import type { HostView, PlacementRequest } from './scheduler';

export interface Weigher {
  readonly name: string;
  readonly factor: number;
  /** How it weighs each host for this request, or undefined when all weigh the same. A decision calls it once. */
  readonly weighs: (request: PlacementRequest) => Weight | undefined;
}

/** From 0 to 1. */
type Weight = (host: HostView) => number;

const free = (key: keyof Resources) => (): Weight => (host) =>
  host.capacity[key] <= 0 ? 0 : Math.max(0, host.capacity[key] - host.used[key]) / host.capacity[key];

/** Where other members of the group are, for the soft policies: the share of them that this host has. */
function groupShare({ group }: PlacementRequest): Weight | undefined {
  if (group?.policy !== 'soft-affinity' && group?.policy !== 'soft-anti-affinity') return undefined;
  const { members, policy } = group;
  const all = [...members.values()].reduce((sum, count) => sum + count, 0);
  return ({ name }) => {
    const share = all === 0 ? 0 : (members.get(name) ?? 0) / all;
    return policy === 'soft-affinity' ? share : 1 - share;
  };
}

export const weighers: readonly Weigher[] = [
  { name: 'free memory', factor: 1, weighs: free('memoryMib') },
  { name: 'free vCPUs', factor: 1, weighs: free('vcpus') },
  { name: 'free disk', factor: 0.5, weighs: free('diskGib') },
  // Stronger than all room together: a soft policy gives way only when no other host is left.
  { name: 'soft affinity', factor: 4, weighs: groupShare },
  {
    name: 'image is there',
    factor: 0.25,
    weighs: ({ hostsWithImage }) =>
      hostsWithImage.size === 0 ? undefined : ({ name }) => (hostsWithImage.has(name) ? 1 : 0),
  },
  // One failure outweighs any amount of room; a host that only fails comes last.
  {
    name: 'failed builds',
    factor: -10,
    weighs:
      () =>
      ({ failedBuilds }) =>
        failedBuilds / (failedBuilds + 1),
  },
];
