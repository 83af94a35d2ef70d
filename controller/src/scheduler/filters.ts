// The rules that a host must pass, each a small pure function that says why not.
import type { Resources } from '../db/entities/tasks';
import { hintFilters } from './hintFilters';
import type { HostView, PlacementRequest } from './scheduler';
import { specFilters } from './specFilters';

export interface Filter {
  readonly name: string;
  /** Why the host can't take the server, or undefined when it can. */
  readonly refuse: (host: HostView, request: PlacementRequest) => string | undefined;
}

const room = (name: string, key: keyof Resources, unit: string): Filter => ({
  name,
  refuse: (host, { need }) => {
    const free = Math.max(0, Math.floor(host.capacity[key] - host.used[key]));
    return need[key] > host.capacity[key] - host.used[key]
      ? `not enough ${name}: ${need[key]}${unit} asked, ${free}${unit} free`
      : undefined;
  },
});

export const filters: readonly Filter[] = [
  {
    name: 'requested host',
    refuse: (host, { host: wanted }) =>
      wanted !== null && wanted !== host.name ? 'another host was asked for' : undefined,
  },
  {
    name: 'tried before',
    refuse: (host, { excludedHosts }) => (excludedHosts.includes(host.name) ? 'it failed there already' : undefined),
  },
  {
    name: 'zone',
    refuse: (host, { zone }) => (zone !== null && zone !== host.zone ? `not in availability zone ${zone}` : undefined),
  },
  { name: 'enabled', refuse: (host) => (host.enabled ? undefined : 'disabled by the administrator') },
  { name: 'alive', refuse: (host) => (host.alive ? undefined : 'its agents have not been heard for 10 s') },
  ...specFilters,
  ...hintFilters,
  room('vCPUs', 'vcpus', ''),
  room('memory', 'memoryMib', ' MiB'),
  room('disk', 'diskGib', ' GiB'),
];
