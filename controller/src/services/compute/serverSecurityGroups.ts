// Security groups of a server are those of its ports: adding or removing one does so on every port that is filtered.
import type { Cloud } from '../../cloud';
import { In, type ReadSession, type WriteSession } from '../../db';
import type { Server } from '../../db/entities/compute';
import { portGroups, ports, securityGroups, type Port } from '../../db/entities/network';
import { InvalidError, NotFoundError } from '../../errors';
import { recordChanges } from '../network/changes';
import { resolveGroups } from '../network/groupLookup';
import { changesOfPorts } from '../network/portRows';

const portsOf = (session: ReadSession, server: Server): Promise<Port[]> =>
  session.find(ports, { where: { device_id: server.id } });

async function groupId(session: WriteSession, cloud: Cloud, server: Server, reference: string): Promise<string> {
  const [id] = await resolveGroups(session, cloud, server.project_id, [reference]);
  if (id === undefined) throw new NotFoundError(`Security group ${reference} not found.`, 'SecurityGroupNotFound');
  return id;
}

/** Puts all filtered ports of a server into a group. @throws NotFoundError, InvalidError */
export async function addServerGroup(
  session: WriteSession,
  cloud: Cloud,
  server: Server,
  reference: string,
): Promise<void> {
  const id = await groupId(session, cloud, server, reference);
  const all = await portsOf(session, server);
  const filtered = all.filter((port) => port.port_security_enabled);
  if (filtered.length === 0)
    throw new InvalidError(
      `Network requires port_security_enabled and subnet associated in order to apply security groups to ${server.id}.`,
      'SecurityGroupCannotBeApplied',
    );
  const ids = filtered.map((port) => port.id);
  const has = await session.find(portGroups, { where: { security_group_id: id, port_id: In(ids) } });
  const missing = ids.filter((port) => !has.some((row) => row.port_id === port));
  if (missing.length === 0) return;
  await session.insert(
    portGroups,
    missing.map((port) => ({ port_id: port, security_group_id: id })),
  );
  await recordChanges(session, cloud, await changesOfPorts(session, filtered));
}

/** Takes all ports of a server out of a group. @throws NotFoundError when none is in it */
export async function removeServerGroup(
  session: WriteSession,
  cloud: Cloud,
  server: Server,
  reference: string,
): Promise<void> {
  const id = await groupId(session, cloud, server, reference);
  const all = await portsOf(session, server);
  const before = await changesOfPorts(session, all);
  const removed = await session.delete(portGroups, { security_group_id: id, port_id: In(all.map((port) => port.id)) });
  if (removed === 0) {
    throw new NotFoundError(
      `Security group ${reference} not associated with the instance ${server.id}`,
      'SecurityGroupNotAssociated',
    );
  }
  await recordChanges(session, cloud, before);
}

/** The groups of a server's ports. */
export async function serverGroups(session: ReadSession, server: Server) {
  const ids = (await portsOf(session, server)).map((port) => port.id);
  const links = await session.find(portGroups, { where: { port_id: In(ids) } });
  const groupIds = [...new Set(links.map((link) => link.security_group_id))];
  return session.find(securityGroups, { where: { id: In(groupIds) }, order: { name: 'ASC' } });
}
