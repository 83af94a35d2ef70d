// A server's host name is also the name of its ports in their networks' DNS; it follows when the owner changes it.
import type { Cloud } from '../../cloud';
import { In, type WriteSession } from '../../db';
import type { Server } from '../../db/entities/compute';
import { ports } from '../../db/entities/network';
import { recordChanges } from '../network/changes';
import { changesOfPorts } from '../network/portRows';

/** The part of a host name that DNS of a network adds its domain to. */
export const labelOf = (hostname: string): string => hostname.replace(/\..*/, '');

/** Renames the ports that carry the old name; ones that a user named otherwise stay. */
export async function renamePorts(
  session: WriteSession,
  cloud: Cloud,
  server: Pick<Server, 'id' | 'hostname'>,
  hostname: string,
): Promise<void> {
  const [from, to] = [labelOf(server.hostname), labelOf(hostname)];
  if (from === to) return;
  const rows = await session.find(ports, { where: { device_id: server.id, dns_name: from } });
  if (rows.length === 0) return;
  const ids = rows.map((row) => row.id);
  await session.update(ports, { id: In(ids) }, { dns_name: to, updated_at: cloud.clock.now() });
  await recordChanges(session, cloud, await changesOfPorts(session, rows));
}
