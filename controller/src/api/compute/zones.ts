// Handlers of /os-availability-zone.
import { computeHosts, type ComputeHost } from '../../services/compute/computeHosts';
import { DEFAULT_ZONE } from '../../services/compute/placement';
import type { Handler, Route } from '../route';
import { isoMicrosecondsOrNull } from './times';

/** Hosts by zone; the default zone is there even without hosts. */
function byZone(hosts: readonly ComputeHost[]): Map<string, ComputeHost[]> {
  const zones = new Map<string, ComputeHost[]>([[DEFAULT_ZONE, []]]);
  for (const one of hosts) {
    const known = zones.get(one.host.availability_zone);
    if (known) known.push(one);
    else zones.set(one.host.availability_zone, [one]);
  }
  return zones;
}

const hostView = (one: ComputeHost) => ({
  'nova-compute': {
    available: one.alive,
    active: one.host.enabled,
    updated_at: isoMicrosecondsOrNull(one.agent?.heard_at ?? null),
  },
});

const zonesHandler =
  (detailed: boolean): Handler =>
  (_request, cloud) =>
    cloud.db.read(async (session) => ({
      status: 200,
      body: {
        availabilityZoneInfo: [...byZone(await computeHosts(session, cloud))].map(([zoneName, hosts]) => ({
          zoneName,
          zoneState: { available: hosts.length === 0 || hosts.some((one) => one.host.enabled) },
          hosts: detailed ? Object.fromEntries(hosts.map((one) => [one.host.name, hostView(one)])) : null,
        })),
      },
    }));

const rule = (name: string): string => `os_compute_api:${name}`;
export const zoneRoutes: readonly Route[] = [
  {
    method: 'GET',
    path: '/os-availability-zone',
    handler: zonesHandler(false),
    policy: rule('os-availability-zone:list'),
  },
  {
    method: 'GET',
    path: '/os-availability-zone/detail',
    handler: zonesHandler(true),
    policy: rule('os-availability-zone:detail'),
  },
];
