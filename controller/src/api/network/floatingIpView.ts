// The body of a floating IP.
import type { FloatingIp, Port } from '../../db/entities/network';
import { standardView } from './standardView';

export function floatingIpView(
  row: FloatingIp,
  port: Port | undefined,
  tags: readonly string[],
): Record<string, unknown> {
  return {
    floating_network_id: row.floating_network_id,
    floating_ip_address: row.floating_ip_address,
    fixed_ip_address: row.fixed_ip_address,
    port_id: row.port_id,
    router_id: row.router_id,
    status: row.status,
    port_details: port
      ? {
          name: port.name,
          network_id: port.network_id,
          mac_address: port.mac_address,
          admin_state_up: port.admin_state_up,
          status: port.status,
          device_id: port.device_id,
          device_owner: port.device_owner,
        }
      : null,
    dns_name: row.dns_name,
    dns_domain: row.dns_domain,
    ...standardView(row, tags),
  };
}
