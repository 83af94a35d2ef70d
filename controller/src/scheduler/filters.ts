// The rules that a host must pass, each a small pure function that says why not.
import type { Resources } from '../db/entities/tasks';
import { hintFilters } from './hintFilters';
import type { HostView, PlacementRequest, Portions } from './scheduler';
import { specFilters } from './specFilters';

export interface Filter {
  readonly name: string;
  /** Whether it may refuse any host at all for this request; absent: always. A decision asks it once instead of for each host. */
  readonly concerns?: (request: PlacementRequest) => boolean;
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
    const free = host.capacity[key] - host.used[key];
    if (need[key] <= free) return undefined;
    return `not enough ${name}: ${need[key]}${unit} asked, ${Math.max(0, Math.floor(free))}${unit} free`;
  },
});

export const filters: readonly Filter[] = [
  {
    name: 'requested host',
    concerns: ({ host }) => host !== null,
    refuse: (host, { host: wanted }) =>
      wanted !== null && wanted !== host.name ? 'another host was asked for' : undefined,
  },
  {
    name: 'another host',
    concerns: ({ leaving }) => leaving !== null,
    refuse: (host, { leaving }) => (host.name === leaving ? 'the server is there and shall leave it' : undefined),
  },
  {
    name: 'tried before',
    concerns: ({ excludedHosts }) => excludedHosts.length > 0,
    refuse: (host, { excludedHosts }) => (excludedHosts.includes(host.name) ? 'it failed there already' : undefined),
  },
  {
    name: 'zone',
    concerns: ({ zone }) => zone !== null,
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
