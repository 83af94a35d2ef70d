// Ports of servers, for the compute service: made in its transaction, bound to a host by its tasks, released at its end.
import type { Cloud } from '../../cloud';
import { groupBy, In, type WriteSession } from '../../db';
import { networks, portAddresses, ports, type Network, type Port, type Subnet } from '../../db/entities/network';
import { ConflictError, ForbiddenError, InvalidError } from '../../errors';
import type { FixedIpRequest } from './addressPlan';
import { changedPort, recordChanges } from './changes';
import { ensureDefaultGroup } from './defaultGroup';
import { notFound } from './errors';
import { resolveGroups } from './groupLookup';
import { heldSubnets, holdAddresses } from './portAddresses';
import { changesOfPorts, insertPort, removePorts } from './portRows';
import { sharedAmong } from './visibility';

export interface ServerOwner {
  readonly projectId: string;
  readonly userId: string;
  /** May use networks of other projects and external ones. Default false. */
  readonly isAdmin?: boolean;
}

export interface ServerOfPorts {
  readonly id: string;
  readonly availabilityZone: string;
  /** Becomes the DNS name of the server's ports. */
  readonly hostname?: string;
}

/** How the interfaces of a server are ordered. */
export const interfaceOrder = { device_position: 'ASC', created_at: 'ASC', id: 'ASC' } as const;

/** A network on which its user may have ports, with its subnets; held by the transaction that looked. */
export interface UsableNetwork {
  readonly network: Network;
  readonly subnets: readonly Subnet[];
}

export interface ServerPortRequest {
  readonly networkId?: string;
  readonly portId?: string;
  readonly fixedIp?: string;
  readonly tag?: string;
  /** The network, when the transaction has looked at it already. */
  readonly usable?: UsableNetwork;
}

/** What the compute service waits for: these ports as of this number of the change feed. */
export interface PortChange {
  readonly portIds: string[];
  readonly sequence: number;
}

/** The networks with these ids on which a project may have ports. */
export async function usableNetworks(
  session: WriteSession,
  { projectId, isAdmin }: ServerOwner,
  ids: readonly string[],
): Promise<{ readonly usable: ReadonlyMap<string, UsableNetwork>; readonly closed: readonly Network[] }> {
  const rows = await session.find(networks, { where: { id: In([...ids]) }, order: { id: 'ASC' }, lock: 'shared' });
  const foreign = rows.filter((network) => isAdmin !== true && network.project_id !== projectId);
  const shared = await sharedAmong(
    session,
    'network',
    foreign.map(({ id }) => id),
    projectId,
  );
  const closed = foreign.filter(({ id }) => !shared.has(id));
  const open = rows.filter((network) => !closed.includes(network));
  const parts = groupBy(
    await heldSubnets(session, { network_id: In(open.map(({ id }) => id)) }),
    (one) => one.network_id,
  );
  return {
    usable: new Map(open.map((network) => [network.id, { network, subnets: parts.get(network.id) ?? [] }])),
    closed,
  };
}

/** Takes a user's own port for a server. @throws ApiError PortNotFound, PortInUse, FixedIpNotOnPort */
async function adoptPort(
  session: WriteSession,
  cloud: Cloud,
  owner: ServerOwner,
  server: ServerOfPorts,
  request: ServerPortRequest,
  portId: string,
  position: number,
): Promise<Port> {
  const port = await session.findOne(ports, { id: portId }, 'exclusive');
  if (!port || (port.project_id !== owner.projectId && !owner.isAdmin)) throw notFound('port', portId);
  const busy = new ConflictError(`Port ${portId} is still in use.`, 'PortInUse');
  if (port.device_id !== '' || port.device_owner.startsWith('network:')) throw busy;
  if (request.fixedIp !== undefined) {
    const has = await session.count(portAddresses, { port_id: portId, address: request.fixedIp });
    if (has === 0)
      throw new InvalidError(`Fixed IP ${request.fixedIp} is not an address of port ${portId}.`, 'FixedIpNotFound');
  }
  const set = {
    device_id: server.id,
    server_id: server.id,
    device_owner: `compute:${server.availabilityZone}`,
    made_for_server: false,
    device_tag: request.tag ?? null,
    device_position: position,
    dns_name: port.dns_name || (server.hostname ?? ''),
    updated_at: cloud.clock.now(),
    revision: port.revision + 1,
  };
  // Conditional, so that of two servers that want the port one gets it.
  if ((await session.update(ports, { id: portId, device_id: '' }, set)) === 0) throw busy;
  await recordChanges(session, cloud, await changesOfPorts(session, [port]));
  return { ...port, ...set };
}

async function makePort(
  session: WriteSession,
  cloud: Cloud,
  owner: ServerOwner,
  server: ServerOfPorts,
  request: ServerPortRequest,
  groupIds: readonly string[],
  position: number,
): Promise<Port> {
  const { networkId = '' } = request;
  const found = request.usable ?? (await usableNetworks(session, owner, [networkId])).usable.get(networkId);
  if (!found) throw notFound('network', networkId);
  const { network, subnets } = found;
  // As for ports: on somebody else's network nobody picks an address, which could be the gateway's.
  if (request.fixedIp !== undefined && network.project_id !== owner.projectId && !owner.isAdmin)
    throw new ForbiddenError(
      `The address on network ${network.id} is chosen by its owner's rules.`,
      'PolicyNotAuthorized',
    );
  const fixedIps: FixedIpRequest[] | undefined =
    request.fixedIp === undefined ? undefined : [{ ip_address: request.fixedIp }];
  const made = await insertPort(session, cloud, {
    projectId: owner.projectId,
    network,
    subnets,
    ...(fixedIps ? { fixedIps } : {}),
    groupIds: network.port_security_enabled ? groupIds : [],
    values: {
      device_id: server.id,
      server_id: server.id,
      device_owner: `compute:${server.availabilityZone}`,
      made_for_server: true,
      device_tag: request.tag ?? null,
      device_position: position,
      dns_name: server.hostname ?? '',
    },
  });
  return made.port;
}

/**
 * Makes or takes ports of a server, in the order of the requests; `position` is that of the first among its interfaces. Ids, MAC and addresses are final when it returns.
 * `securityGroups` are names or ids; none means the project's default group, made on first use.
 * @throws ApiError with the network service's codes: NetworkNotFound, PortNotFound, PortInUse, PolicyNotAuthorized, IpAddressInUse,
 * IpAddressGenerationFailure, InvalidInput, OverQuota, SecurityGroupNotFound, NoUniqueMatch
 */
export async function createServerPorts(
  session: WriteSession,
  cloud: Cloud,
  owner: ServerOwner,
  server: ServerOfPorts,
  requests: readonly ServerPortRequest[],
  securityGroups: readonly string[],
  position = 0,
): Promise<Port[]> {
  const rows: Port[] = [];
  if (requests.length === 0) return rows;
  const groupIds =
    securityGroups.length > 0
      ? await resolveGroups(session, cloud, owner.projectId, securityGroups)
      : [await ensureDefaultGroup(session, cloud, owner.projectId)];
  for (const [index, request] of requests.entries()) {
    const at = position + index;
    rows.push(
      request.portId === undefined
        ? await makePort(session, cloud, owner, server, request, groupIds, at)
        : await adoptPort(session, cloud, owner, server, request, request.portId, at),
    );
  }
  return rows;
}

/** @returns whether the port was as this row says */
async function bindPort(session: WriteSession, cloud: Cloud, row: Port, host: string): Promise<boolean> {
  const { id, revision, generation } = row;
  const change = {
    host,
    migrating_to: '',
    generation: generation + 1,
    status: 'DOWN',
    fault: null,
    revision: revision + 1,
    updated_at: cloud.clock.now(),
  };
  return (await session.update(ports, { id, revision, generation }, change)) === 1;
}

/**
 * Says which host has the server's ports. Repeating it for the same host changes nothing but the feed.
 * @param known its ports, read a moment ago by who holds the server: nobody else gives it one
 */
export async function bindServerPorts(
  session: WriteSession,
  cloud: Cloud,
  serverId: string,
  host: string,
  known?: readonly Port[],
): Promise<PortChange> {
  const rows =
    known ?? (await session.find(ports, { where: { server_id: serverId }, order: interfaceOrder, lock: 'exclusive' }));
  for (const row of rows)
    // Its owner may have changed or deleted it meanwhile.
    if (row.host !== host && !(await bindPort(session, cloud, row, host)))
      return bindServerPorts(session, cloud, serverId, host);
  // Groups are the same wherever their members are; only a host that loses one may have to forget them.
  const left = await changesOfPorts(
    session,
    rows.filter((row) => row.host !== '' && row.host !== host),
  );
  const sequence = await recordChanges(session, cloud, [...rows.map(changedPort), ...left]);
  return { portIds: rows.map((row) => row.id), sequence };
}

/** Takes the server's ports off their host; they keep MAC and addresses. */
export const unbindServerPorts = (session: WriteSession, cloud: Cloud, serverId: string): Promise<PortChange> =>
  bindServerPorts(session, cloud, serverId, '');

/** Takes ports off a server: those made for it are deleted, the user's own are free again. */
async function release(session: WriteSession, cloud: Cloud, rows: readonly Port[]): Promise<PortChange> {
  const own = rows.filter((row) => !row.made_for_server);
  const freed = await changesOfPorts(session, own);
  for (const row of own) {
    await session.update(
      ports,
      { id: row.id },
      {
        device_id: '',
        server_id: null,
        device_owner: '',
        host: '',
        migrating_to: '',
        generation: row.generation + 1,
        status: 'DOWN',
        fault: null,
        device_tag: null,
        device_position: 0,
        revision: row.revision + 1,
        updated_at: cloud.clock.now(),
      },
    );
  }
  const kept = await recordChanges(session, cloud, freed);
  const removed = await removePorts(
    session,
    cloud,
    rows.filter((row) => row.made_for_server),
  );
  return { portIds: rows.map((row) => row.id), sequence: Math.max(kept, removed) };
}

/**
 * Ends what a server has of the network: its own ports are deleted with their addresses and floating associations, the
 * user's are unbound. Addresses that an unreachable host may still use stay held. May run twice: then it finds nothing.
 */
export async function releaseServerPorts(session: WriteSession, cloud: Cloud, serverId: string): Promise<PortChange> {
  const rows = await session.find(ports, { where: { server_id: serverId }, lock: 'exclusive' });
  await holdAddresses(
    session,
    serverId,
    rows.filter((row) => row.made_for_server).map((row) => row.id),
  );
  return release(session, cloud, rows);
}

/**
 * The same for one port of a server (detaching an interface); nothing when its owner has deleted it meanwhile. The address stays
 * held while a residue of the server says that its host may still use it.
 */
export async function releaseServerPort(
  session: WriteSession,
  cloud: Cloud,
  serverId: string,
  portId: string,
): Promise<PortChange> {
  const rows = await session.find(ports, { where: { id: portId, server_id: serverId }, lock: 'exclusive' });
  await holdAddresses(
    session,
    serverId,
    rows.map((row) => row.id),
  );
  return release(session, cloud, rows);
}
