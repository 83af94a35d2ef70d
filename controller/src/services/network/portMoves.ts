// Ports of a server that moves while it runs: wired on both hosts until it is known where it runs.
import type { Cloud } from '../../cloud';
import type { WriteSession } from '../../db';
import { ports, type Port } from '../../db/entities/network';
import { recordChanges } from './changes';
import { changesOfPorts } from './portRows';
import { interfaceOrder, type PortChange } from './serverPorts';

async function change(
  session: WriteSession,
  cloud: Cloud,
  serverId: string,
  set: (port: Port) => Partial<Port>,
): Promise<PortChange> {
  const rows = await session.find(ports, { where: { server_id: serverId }, order: interfaceOrder, lock: 'exclusive' });
  for (const row of rows) await session.update(ports, { id: row.id }, { ...set(row), updated_at: cloud.clock.now() });
  const sequence = await recordChanges(session, cloud, await changesOfPorts(session, rows));
  return { portIds: rows.map((row) => row.id), sequence };
}

/** Wires the server's ports on a second host too; traffic still goes to the first. */
export const expectServerPorts = (
  session: WriteSession,
  cloud: Cloud,
  serverId: string,
  host: string,
): Promise<PortChange> => change(session, cloud, serverId, () => ({ migrating_to: host }));

/** The server stays: the second host has no part in its ports any more. */
export const leaveServerPorts = (session: WriteSession, cloud: Cloud, serverId: string): Promise<PortChange> =>
  change(session, cloud, serverId, () => ({ migrating_to: '' }));

/** The server runs on the other host, where its ports were wired before: traffic goes there from now on. */
export const moveServerPorts = (
  session: WriteSession,
  cloud: Cloud,
  serverId: string,
  host: string,
): Promise<PortChange> =>
  change(session, cloud, serverId, (port) => ({
    host,
    migrating_to: '',
    generation: port.generation + 1,
    revision: port.revision + 1,
  }));
