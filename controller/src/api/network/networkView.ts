// The body of a network.
import type { Network, Subnet } from '../../db/entities/network';
import { standardView } from './standardView';

export interface NetworkParts {
  readonly subnets: readonly Subnet[];
  readonly shared: boolean;
  readonly zones: readonly string[];
  readonly tags: readonly string[];
}

export function networkView(row: Network, parts: NetworkParts): Record<string, unknown> {
  return {
    name: row.name,
    admin_state_up: row.admin_state_up,
    status: row.status,
    subnets: parts.subnets.map((subnet) => subnet.id),
    shared: parts.shared,
    'router:external': row.external,
    mtu: row.mtu,
    port_security_enabled: row.port_security_enabled,
    dns_domain: row.dns_domain,
    availability_zone_hints: row.availability_zone_hints,
    availability_zones: parts.zones,
    'provider:network_type': row.network_type,
    'provider:physical_network': row.physical_network,
    'provider:segmentation_id': row.segmentation_id,
    ...standardView(row, parts.tags),
  };
}
