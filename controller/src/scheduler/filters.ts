// The rules that a host must pass, each a small pure function that says why not.
import type { Resources } from '../db/entities/tasks';
import { hintFilters } from './hintFilters';
import type { HostView, PlacementRequest, Portions } from './scheduler';
import { specFilters } from './specFilters';

export interface Filter {
  readonly name: string;
  /** What it asks of each host for this request, or undefined when it can refuse none. A decision calls it once. */
  readonly asks: (request: PlacementRequest) => Refusal | undefined;
}
/** Why a host can't take the server, or undefined when it can. */
export type Refusal = (host: HostView) => string | undefined;

/** Why an amount can't be given out in these portions, or undefined when it can. */
function refusePortion(asked: number, { min, max, step }: Portions, unit: string): string | undefined {
  if (asked < min) return `at least ${min}${unit} a server`;
  if (asked > max) return `at most ${max}${unit} a server`;
  return asked % step === 0 ? undefined : `only multiples of ${step}${unit}`;
}

const room = (name: string, key: keyof Resources, unit: string): Filter => ({
  name,
  asks:
    ({ need }) =>
    (host) => {
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
    asks: ({ host: wanted }) =>
      wanted === null ? undefined : ({ name }) => (name === wanted ? undefined : 'another host was asked for'),
  },
  {
    name: 'another host',
    asks: ({ leaving }) =>
      leaving === null
        ? undefined
        : ({ name }) => (name === leaving ? 'the server is there and shall leave it' : undefined),
  },
  {
    name: 'tried before',
    asks: ({ excludedHosts }) =>
      excludedHosts.length === 0
        ? undefined
        : ({ name }) => (excludedHosts.includes(name) ? 'it failed there already' : undefined),
  },
  {
    name: 'zone',
    asks: ({ zone }) =>
      zone === null ? undefined : (host) => (host.zone === zone ? undefined : `not in availability zone ${zone}`),
  },
  { name: 'enabled', asks: () => (host) => (host.enabled ? undefined : 'disabled by the administrator') },
  { name: 'alive', asks: () => (host) => (host.alive ? undefined : 'its agents have not been heard for 10 s') },
  ...specFilters,
  ...hintFilters,
  room('vCPUs', 'vcpus', ''),
  room('memory', 'memoryMib', ' MiB'),
  room('disk', 'diskGib', ' GiB'),
];
