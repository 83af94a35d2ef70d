// The body of a security group rule.
import type { SecurityGroupRule } from '../../db/entities/network';
import { formatCidr, storedCidr } from '../../services/network/cidr';
import { standardView } from './standardView';

export function ruleView(row: SecurityGroupRule): Record<string, unknown> {
  return {
    security_group_id: row.security_group_id,
    direction: row.direction,
    ethertype: row.ethertype,
    protocol: row.protocol,
    port_range_min: row.port_range_min,
    port_range_max: row.port_range_max,
    remote_ip_prefix: row.remote_ip_prefix,
    normalized_cidr: row.remote_ip_prefix === null ? null : formatCidr(storedCidr(row.remote_ip_prefix)),
    remote_group_id: row.remote_group_id,
    remote_address_group_id: row.remote_address_group_id,
    ...standardView(row),
  };
}
