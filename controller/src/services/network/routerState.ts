// A router as its host's agent gets it: interfaces, gateway, floating IPs and routes.
import type { RouterState } from '@cumulet/common';
import type { FloatingIp, PortAddress, Router, Subnet } from '../../db/entities/network';
import { storedCidr } from './cidr';
import type { AgentPort } from './networkRows';

export interface RouterParts {
  readonly ports: ReadonlyMap<string, AgentPort>;
  readonly addresses: ReadonlyMap<string, readonly PortAddress[]>;
  readonly subnets: ReadonlyMap<string, Subnet>;
  readonly subnetsOf: ReadonlyMap<string, readonly Subnet[]>;
}

function interfaceState(portId: string, parts: RouterParts): RouterState['interfaces'][number] | undefined {
  const port = parts.ports.get(portId);
  if (!port) return undefined;
  const addresses = (parts.addresses.get(portId) ?? []).flatMap((row) => {
    const subnet = parts.subnets.get(row.subnet_id);
    return subnet ? [`${row.address}/${storedCidr(subnet.cidr).prefix}`] : [];
  });
  return { port_id: port.id, network_id: port.network_id, mac: port.mac_address, addresses };
}

/** Builds the state from rows that were read together. */
export function routerState(
  router: Router,
  interfacePortIds: readonly string[],
  floating: readonly FloatingIp[],
  parts: RouterParts,
): RouterState {
  const gateway = router.gateway_port_id === null ? undefined : interfaceState(router.gateway_port_id, parts);
  const used = new Set((parts.addresses.get(router.gateway_port_id ?? '') ?? []).map((row) => row.subnet_id));
  const hops = (parts.subnetsOf.get(gateway?.network_id ?? '') ?? []).flatMap((subnet) =>
    used.has(subnet.id) && subnet.gateway_ip !== null ? [subnet.gateway_ip] : [],
  );
  return {
    kind: 'router',
    id: router.id,
    admin_state_up: router.admin_state_up,
    interfaces: [...interfacePortIds].sort().flatMap((id) => interfaceState(id, parts) ?? []),
    gateway: gateway ? { ...gateway, next_hops: hops, enable_snat: router.enable_snat } : null,
    floating_ips: floating.flatMap((one) =>
      one.fixed_ip_address === null
        ? []
        : [{ id: one.id, floating_address: one.floating_ip_address, fixed_address: one.fixed_ip_address }],
    ),
    routes: router.routes.map(({ destination, nexthop }) => ({ destination, nexthop })),
  };
}
