// The body of a subnet.
import type { Subnet } from '../../db/entities/network';
import { standardView } from './standardView';

export function subnetView(row: Subnet, tags: readonly string[]): Record<string, unknown> {
  return {
    name: row.name,
    network_id: row.network_id,
    ip_version: row.ip_version,
    cidr: row.cidr,
    gateway_ip: row.gateway_ip,
    enable_dhcp: row.enable_dhcp,
    allocation_pools: row.allocation_pools,
    dns_nameservers: row.dns_nameservers,
    host_routes: row.host_routes,
    service_types: row.service_types,
    ipv6_ra_mode: row.ipv6_ra_mode,
    ipv6_address_mode: row.ipv6_address_mode,
    subnetpool_id: row.subnetpool_id,
    ...standardView(row, tags),
  };
}
