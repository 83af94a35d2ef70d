// Rows that name something that is gone, and rows that say themselves what is wrong.
import type { Cloud } from '../../cloud';
import { In, IsNull, Not, type ReadSession, type WriteSession } from '../../db';
import { servers } from '../../db/entities/compute';
import { networks, portAddresses, ports } from '../../db/entities/network';
import { allocations, residues } from '../../db/entities/tasks';
import { releaseClaims } from '../../db/repositories/claims';
import { closeMigration, openMigrations } from '../compute/migrations';
import { removePorts } from '../network/portRows';
import type { Finding } from './compare';

async function read(session: ReadSession) {
  // What names something is read before what it names: a row that is made meanwhile is not taken for one that names nothing.
  const claims = await session.find(allocations);
  const addresses = await session.find(portAddresses);
  const all = await session.find(ports);
  const moving = [...(await openMigrations(session)).values()];
  const live = await session.find(servers, { where: { deleted_at: IsNull() } });
  const serverIds = new Set(live.map(({ id }) => id));
  // A migration claims room in its own name.
  const consumers = new Set([...serverIds, ...moving.map(({ uuid }) => uuid)]);
  const portIds = new Set(all.map(({ id }) => id));
  const networkIds = new Set((await session.find(networks)).map(({ id }) => id));
  return {
    claims: claims.filter((claim) => !consumers.has(claim.server_id)),
    serverlessMigrations: moving.filter((migration) => !serverIds.has(migration.server_id)),
    serverless: all.filter((port) => port.device_owner.startsWith('compute:') && !serverIds.has(port.device_id)),
    networkless: all.filter((port) => !networkIds.has(port.network_id)),
    addresses: addresses.filter((address) => !portIds.has(address.port_id)),
  };
}

const wrong = (kind: string, id: string, message: string): Finding => ({
  type: 'wrong',
  host: null,
  kind,
  id,
  name: '',
  message,
});

export async function danglingFindings(session: ReadSession): Promise<Finding[]> {
  const { claims, serverlessMigrations, serverless, networkless, addresses } = await read(session);
  const faulty = await session.find(ports, { where: { fault: Not(IsNull()) } });
  const left = await session.find(residues);
  return [
    ...claims.map(({ server_id, host }) =>
      wrong('allocation', server_id, `host ${host} has room claimed for server ${server_id}, which does not exist`),
    ),
    ...serverlessMigrations.map(({ uuid, server_id }) =>
      wrong('migration', uuid, `migration ${uuid} is open for server ${server_id}, which does not exist`),
    ),
    ...serverless.map(({ id, device_id }) =>
      wrong('port', id, `port ${id} belongs to server ${device_id}, which does not exist`),
    ),
    ...addresses.map(({ address, port_id }) =>
      wrong('address', address, `address ${address} belongs to port ${port_id}, which does not exist`),
    ),
    ...networkless.map(({ id, network_id }) =>
      wrong('port', id, `port ${id} is on network ${network_id}, which does not exist`),
    ),
    ...faulty.map(({ id, host, fault }): Finding => ({
      ...wrong('port', id, `port ${id} on ${host} passes nothing: ${fault}`),
      host,
    })),
    ...left.map(({ host, resource_type: type, resource_id: id }): Finding => ({
      ...wrong(type, id, `${host} still has the ${type} part of ${id}; it is removed when its agent registers`),
      type: 'orphan',
      host,
    })),
  ];
}

/** Removes the rows; what hosts still have is their agents' to remove. */
export async function removeDangling(session: WriteSession, cloud: Cloud): Promise<void> {
  const { claims, serverlessMigrations, serverless, networkless, addresses } = await read(session);
  for (const migration of serverlessMigrations) await closeMigration(session, cloud, migration, 'error');
  for (const { server_id } of claims) await releaseClaims(session, server_id);
  // Held and read again: what is deleted meanwhile gives its quota back itself.
  const ids = [...serverless, ...networkless].map(({ id }) => id);
  await removePorts(session, cloud, await session.find(ports, { where: { id: In(ids) }, lock: 'exclusive' }));
  for (const { subnet_id, address } of addresses) await session.delete(portAddresses, { subnet_id, address });
}
