// The rules that a host must pass, each a small pure function that says why not.
import type { Resources } from '../db/entities/tasks';
import { hintFilters } from './hintFilters';
import type { HostView, PlacementRequest, Portions } from './scheduler';
import { specFilters } from './specFilters';

export interface Filter {
  readonly name: string;
  /** Why the host can't take the server, or undefined when it can. */
  readonly refuse: (host: HostView, request: PlacementRequest) => string | undefined;
}

/** Why an amount can't be given out in these portions, or undefined when it can. */
function refusePortion(asked: number, { min, max, step }: Portions, unit: string): string | undefined {
  if (asked < min) return `at least ${min}${unit} a server`;
  if (asked > max) return `at most ${max}${unit} a server`;
  return asked % step === 0 ? undefined : `only multiples of ${step}${unit}`;
}

const room = (name: string, key: keyof Resources, unit: string): Filter => ({
  name,
  refuse: (host, { need }) => {
    const portions = host.portions[key];
    const portion = portions && need[key] > 0 ? refusePortion(need[key], portions, unit) : undefined;
    if (portion !== undefined) return `${name}: ${portion}, ${need[key]}${unit} asked`;
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
    name: 'another host',
    refuse: (host, { leaving }) => (host.name === leaving ? 'the server is there and shall leave it' : undefined),
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
