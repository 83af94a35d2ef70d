// The body of a router.
import type { PortAddress, Router } from '../../db/entities/network';
import { standardView } from './standardView';

export function routerView(
  row: Router,
  gateway: readonly PortAddress[],
  tags: readonly string[],
  zone: string | undefined,
): Record<string, unknown> {
  return {
    name: row.name,
    admin_state_up: row.admin_state_up,
    status: row.status,
    external_gateway_info:
      row.gateway_network_id === null
        ? null
        : {
            network_id: row.gateway_network_id,
            enable_snat: row.enable_snat,
            external_fixed_ips: gateway.map(({ subnet_id, address }) => ({ subnet_id, ip_address: address })),
          },
    routes: row.routes,
    availability_zone_hints: row.availability_zone_hints,
    availability_zones: zone === undefined ? [] : [zone],
    ...standardView(row, tags),
  };
}
