// Takes floating IPs off ports and addresses, and tells which routers change by it.
import type { Cloud } from '../../cloud';
import { In, type WriteSession } from '../../db';
import { floatingIps, type FloatingIp } from '../../db/entities/network';
import { changedRouter, type ChangedObject } from './changes';

async function disassociate(
  session: WriteSession,
  cloud: Cloud,
  rows: readonly FloatingIp[],
): Promise<ChangedObject[]> {
  const now = cloud.clock.now();
  for (const row of rows) {
    await session.update(
      floatingIps,
      { id: row.id },
      {
        port_id: null,
        fixed_ip_address: null,
        router_id: null,
        status: 'DOWN',
        updated_at: now,
        revision: row.revision + 1,
      },
    );
  }
  return rows.flatMap((row) => (row.router_id === null ? [] : [changedRouter(row.router_id)]));
}

/** Frees the floating IPs of ports. @returns the routers that lose them */
export async function disassociatePorts(
  session: WriteSession,
  cloud: Cloud,
  portIds: readonly string[],
): Promise<ChangedObject[]> {
  const rows = await session.find(floatingIps, { where: { port_id: In([...portIds]) } });
  return disassociate(session, cloud, rows);
}

/** Frees the floating IPs that point to addresses a port no longer has. @returns the routers that lose them */
export async function disassociateAddresses(
  session: WriteSession,
  cloud: Cloud,
  portId: string,
  remaining: readonly string[],
): Promise<ChangedObject[]> {
  const rows = await session.find(floatingIps, { where: { port_id: portId } });
  return disassociate(
    session,
    cloud,
    rows.filter((row) => !remaining.includes(row.fixed_ip_address ?? '')),
  );
}
