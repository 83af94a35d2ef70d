// The body of a port.
import type { Port, PortAddress } from '../../db/entities/network';
import { fullNameOf, hostnameOf } from '../../services/network/dnsNames';
import { standardView } from './standardView';

export interface PortParts {
  readonly addresses: readonly PortAddress[];
  readonly groupIds: readonly string[];
  readonly dnsDomain: string;
  readonly tags: readonly string[];
}

export function portView(row: Port, parts: PortParts): Record<string, unknown> {
  return {
    name: row.name,
    network_id: row.network_id,
    admin_state_up: row.admin_state_up,
    mac_address: row.mac_address,
    fixed_ips: parts.addresses.map(({ subnet_id, address }) => ({ subnet_id, ip_address: address })),
    device_id: row.device_id,
    device_owner: row.device_owner,
    status: row.status,
    security_groups: parts.groupIds,
    port_security_enabled: row.port_security_enabled,
    allowed_address_pairs: row.allowed_address_pairs,
    extra_dhcp_opts: row.extra_dhcp_opts,
    dns_name: row.dns_name,
    dns_assignment: parts.addresses.map(({ address }) => ({
      ip_address: address,
      hostname: hostnameOf(row.dns_name, address),
      fqdn: fullNameOf(row.dns_name, address, parts.dnsDomain),
    })),
    'binding:host_id': row.host,
    'binding:profile': row.profile,
    'binding:vnic_type': row.vnic_type,
    'binding:vif_type': row.host === '' ? 'unbound' : 'bridge',
    'binding:vif_details': {},
    ...standardView(row, parts.tags),
  };
}
