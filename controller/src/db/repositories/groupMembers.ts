// Members of security groups: one statement for what many hosts ask for again and again.
import { portAddresses, portGroups } from '../entities/network';
import { readRaw } from '../execute';
import { managerOf, type ReadSession } from '../session';

/** An address of a port that is in a group. */
export interface MemberAddress {
  readonly group_id: string;
  readonly address: string;
}

/** The addresses of the ports in these groups. */
export async function memberAddresses(session: ReadSession, groupIds: readonly string[]): Promise<MemberAddress[]> {
  if (groupIds.length === 0) return [];
  const rows = await readRaw(managerOf(session), {
    sql: `SELECT m.security_group_id AS group_id, a.address AS address
          FROM ${portGroups.name} m JOIN ${portAddresses.name} a ON a.port_id = m.port_id
          WHERE m.security_group_id IN (${groupIds.map(() => '?').join(', ')})`,
    parameters: groupIds,
  });
  return rows.map(({ group_id, address }) => ({ group_id: String(group_id), address: String(address) }));
}
