// Filters of ports that look into other tables.
import { In, list, type Condition, type ReadSession } from '../../db';
import { portAddresses, portGroups } from '../../db/entities/network';

export interface AddressFilter {
  readonly subnetIds: readonly string[];
  readonly addresses: readonly string[];
  /** Parts of addresses. */
  readonly parts: readonly string[];
}

/** Ports with an address in one of the subnets that is one of the addresses and contains one of the parts. */
export async function portIdsWithAddress(session: ReadSession, filter: AddressFilter): Promise<string[]> {
  const conditions: (Condition<typeof portAddresses> | Condition<typeof portAddresses>[])[] = [];
  if (filter.subnetIds.length > 0) conditions.push({ column: 'subnet_id', op: 'in', value: filter.subnetIds });
  if (filter.addresses.length > 0) conditions.push({ column: 'address', op: 'in', value: filter.addresses });
  if (filter.parts.length > 0) {
    // Wildcards of LIKE are no part of any address.
    conditions.push(
      filter.parts.map((part) => ({ column: 'address', op: 'like', value: `%${part.replaceAll(/[%_]/g, '?')}%` })),
    );
  }
  const rows = await list(session, portAddresses, { conditions });
  return [...new Set(rows.map((row) => row.port_id))];
}

export async function portIdsInGroups(session: ReadSession, groupIds: readonly string[]): Promise<string[]> {
  const rows = await session.find(portGroups, { where: { security_group_id: In([...groupIds]) } });
  return [...new Set(rows.map((row) => row.port_id))];
}
