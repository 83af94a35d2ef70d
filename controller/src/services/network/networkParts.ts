// Rows that belong to networks, read for many at once.
import { In, type ReadSession } from '../../db';
import {
  networks,
  ports,
  securityGroupRules,
  subnets,
  type Network,
  type Port,
  type SecurityGroupRule,
  type Subnet,
} from '../../db/entities/network';

export async function subnetRowsOf(session: ReadSession, networkIds: readonly string[]): Promise<Subnet[]> {
  if (networkIds.length === 0) return [];
  return session.find(subnets, { where: { network_id: In([...networkIds]) }, order: { created_at: 'ASC', id: 'ASC' } });
}

export async function networkRowsOf(session: ReadSession, ids: readonly string[]): Promise<Map<string, Network>> {
  const rows = ids.length === 0 ? [] : await session.find(networks, { where: { id: In([...new Set(ids)]) } });
  return new Map(rows.map((row) => [row.id, row]));
}

export async function portRowsOf(session: ReadSession, ids: readonly string[]): Promise<Map<string, Port>> {
  const rows = ids.length === 0 ? [] : await session.find(ports, { where: { id: In([...new Set(ids)]) } });
  return new Map(rows.map((row) => [row.id, row]));
}

/** Rules of groups, in the order they were made. */
export async function ruleRowsOf(session: ReadSession, groupIds: readonly string[]): Promise<SecurityGroupRule[]> {
  if (groupIds.length === 0) return [];
  return session.find(securityGroupRules, {
    where: { security_group_id: In([...groupIds]) },
    order: { created_at: 'ASC', id: 'ASC' },
  });
}
