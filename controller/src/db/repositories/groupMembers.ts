// Members of security groups: one statement for what many hosts ask for again and again.
import { portAddresses, portGroups } from '../entities/network';
import { readStatement, type ReadSession } from '../session';

/** The addresses of the ports in these groups, by group. A group without any is not in it. */
export async function memberAddresses(
  session: ReadSession,
  groupIds: readonly string[],
): Promise<ReadonlyMap<string, readonly string[]>> {
  const members = new Map<string, string[]>();
  if (groupIds.length === 0) return members;
  const rows = await readStatement(session, portGroups, {
    sql: `SELECT m.security_group_id AS group_id, a.address AS address FROM ${portGroups.name} m JOIN ${portAddresses.name} a ON a.port_id = m.port_id
          WHERE m.security_group_id IN (${groupIds.map(() => '?').join(', ')})`,
    parameters: groupIds,
  });
  for (const { group_id: of, address } of rows as { group_id: string; address: string }[]) {
    const known = members.get(of);
    if (known) known.push(address);
    else members.set(of, [address]);
  }
  return members;
}
