// Interfaces of a server that exists: attached, detached, and given or taken addresses.
import { newId } from '@cumulet/common';
import type { Cloud } from '../../cloud';
import { IsNull, type ReadSession, type WriteSession } from '../../db';
import { servers, type Server } from '../../db/entities/compute';
import { portAddresses, ports, subnets, type Port } from '../../db/entities/network';
import { tasks, type Task } from '../../db/entities/tasks';
import { ApiError, InvalidError, NotFoundError, OverQuotaError } from '../../errors';
import type { NetworkContext } from '../network/context';
import { updatePort } from '../network/ports';
import { createServerPorts, interfaceOrder, type ServerPortRequest } from '../network/serverPorts';
import { networksOfProject } from '../network/visibility';
import { DEFAULT_ZONE } from './placement';
import { labelOf } from './portNames';
import { record, startAction, type Actor } from './serverActions';
import { requireUsable } from './serverNetworks';
import { requireHost, requireState, requireUnlocked } from './serverStates';

/** Milliseconds that a caller waits for an interface, or for the change before its own. */
const PATIENCE_MS = 30_000;
const LOOK_MS = 50;
const KINDS = new Set(['server.attachInterface', 'server.detachInterface', 'server.takeInterfaceBack']);

async function patiently(cloud: Cloud, holds: (session: ReadSession) => Promise<boolean>): Promise<void> {
  const end = cloud.clock.now() + PATIENCE_MS;
  while (cloud.clock.now() < end && !(await cloud.db.read(holds))) await cloud.clock.sleep(LOOK_MS);
}

async function isChanging(session: ReadSession, serverId: string): Promise<boolean> {
  const running = await session.findOne(tasks, { resource_type: 'server', resource_id: serverId, active: 1 });
  return running !== undefined && KINDS.has(running.kind);
}

/**
 * Clients change several interfaces at once: one change waits for another, but not for other work on the server. One that began at
 * the same moment and was faster is waited for too. @throws what the change throws when it is not for another one
 */
export async function inInterfaceTurn<T>(cloud: Cloud, serverId: string, change: () => Promise<T>): Promise<T> {
  const end = cloud.clock.now() + PATIENCE_MS;
  for (;;) {
    await patiently(cloud, async (session) => !(await isChanging(session, serverId)));
    try {
      return await change();
    } catch (error) {
      const late = cloud.clock.now() >= end;
      if (late || !(await cloud.db.read((session) => isChanging(session, serverId)))) throw error;
    }
  }
}

/**
 * Waits until the request's interface is there: the API promises it. A host that takes longer goes on without the caller.
 * @throws ApiError 500 with the reason when it could not be attached
 */
export async function awaitInterface(cloud: Cloud, serverId: string, requestId: string): Promise<void> {
  let task: Task | undefined;
  await patiently(cloud, async (session) => {
    task = await session.findOne(tasks, { resource_type: 'server', resource_id: serverId, request_id: requestId });
    return task?.active !== 1;
  });
  const fault = task?.state['fault'] as { readonly message: string } | undefined;
  if (!fault) return;
  const words = `Failed to attach network adapter device to ${serverId}: ${fault.message}`;
  throw new ApiError(500, 'InterfaceAttachFailed', words);
}

/** Codes of the network service that this operation answers with 400; the others keep their status. */
const asBadRequest = new Set(['IpAddressGenerationFailure', 'InvalidInput', 'FixedIpNotFound']);

function asInterfaceError(error: unknown): unknown {
  if (!(error instanceof ApiError)) return error;
  if (error.code === 'OverQuota') return new OverQuotaError(error.message, error.facts);
  return asBadRequest.has(error.code) ? new InvalidError(error.message, error.code, error.facts) : error;
}

/** The project's only network. @throws InvalidError when there is none, or more than one */
async function onlyNetwork(session: WriteSession, projectId: string): Promise<ServerPortRequest> {
  const [network, ...more] = await networksOfProject(session, projectId);
  if (!network)
    throw new InvalidError(
      `No specific network was requested and none are available for project '${projectId}'.`,
      'InterfaceAttachFailedNoNetwork',
    );
  if (more.length > 0)
    throw new InvalidError(
      'More than one possible network found. Specify network ID(s) to select which one(s) to connect to.',
      'NetworkAmbiguous',
    );
  return { networkId: network.id };
}

const portsOf = (session: ReadSession, server: Server): Promise<Port[]> =>
  session.find(ports, { where: { server_id: server.id }, order: interfaceOrder });

/**
 * Makes or takes a port for a server and starts to attach it. @returns the port's id
 * @throws ConflictError for the state, or a port or address in use; NotFoundError for port or network; InvalidError; OverQuotaError
 */
export async function attachInterface(
  session: WriteSession,
  cloud: Cloud,
  actor: Actor,
  server: Server,
  request: ServerPortRequest,
): Promise<string> {
  requireUnlocked(server, actor.caller);
  requireState(server, 'attach_interface');
  requireHost(server);
  const { id, project_id: projectId, hostname, availability_zone } = server;
  const none = request.networkId === undefined && request.portId === undefined;
  const wanted = none ? { ...request, ...(await onlyNetwork(session, projectId)) } : request;
  const usable = await requireUsable(session, actor.caller, projectId, [wanted]);
  const last = (await portsOf(session, server)).at(-1)?.device_position ?? -1;
  const owner = { projectId, userId: actor.caller.userId, isAdmin: actor.caller.isAdmin };
  const place = { id, availabilityZone: availability_zone ?? DEFAULT_ZONE, hostname: labelOf(hostname) };
  let made: Port[];
  try {
    made = await createServerPorts(session, cloud, owner, place, usable, [], last + 1);
  } catch (error) {
    throw asInterfaceError(error);
  }
  const portId = made[0]?.id ?? '';
  await startAction(session, cloud, actor, server, 'attach_interface', {}, { port_id: portId });
  return portId;
}

/** Starts to detach a port. @throws NotFoundError when the server does not have it, ConflictError for the state */
export async function detachInterface(
  session: WriteSession,
  cloud: Cloud,
  actor: Actor,
  server: Server,
  portId: string,
): Promise<void> {
  requireUnlocked(server, actor.caller);
  requireState(server, 'detach_interface');
  if (!(await session.findOne(ports, { id: portId, server_id: server.id })))
    throw new NotFoundError(`Port ${portId} could not be found.`, 'PortNotFound');
  await startAction(session, cloud, actor, server, 'detach_interface', {}, { port_id: portId });
}

/**
 * Has a server let go the interface of a port that was deleted under it. While something else works on the server, or it is in a
 * state without a guest, the next action does: each brings the interfaces in line.
 */
export async function unplugDeleted({ session, cloud, caller }: NetworkContext, port: Port): Promise<void> {
  if (port.server_id === null) return;
  const server = await session.findOne(servers, { id: port.server_id, deleted_at: IsNull() }, 'exclusive');
  const running = await session.findOne(tasks, { resource_type: 'server', resource_id: port.server_id, active: 1 });
  if (!server?.host || running || !['active', 'paused', 'stopped'].includes(server.vm_state)) return;
  const actor = { caller, requestId: `req-${newId()}` };
  await startAction(session, cloud, actor, server, 'detach_interface', {}, { port_id: port.id });
}

const addressesOf = (session: ReadSession, port: Port) =>
  session.find(portAddresses, { where: { port_id: port.id }, order: { position: 'ASC' } });

/** Gives the server one more address on a network that it is on. @throws NotFoundError, InvalidError when none is free */
export async function addFixedIp(
  session: WriteSession,
  cloud: Cloud,
  actor: Actor,
  server: Server,
  networkId: string,
): Promise<void> {
  requireUnlocked(server, actor.caller);
  requireHost(server);
  const port = (await portsOf(session, server)).find((one) => one.network_id === networkId);
  const ranges = await session.find(subnets, {
    where: { network_id: networkId, ip_version: 4 },
    order: { created_at: 'ASC', id: 'ASC' },
  });
  const [range] = ranges;
  if (!port || !range)
    throw new NotFoundError(`Network could not be found for instance ${server.id}.`, 'NetworkNotFoundForInstance');
  const context = { session, cloud, caller: actor.caller };
  const have = (await addressesOf(session, port)).map(({ subnet_id, address: ip_address }) => ({
    subnet_id,
    ip_address,
  }));
  try {
    await updatePort(context, port, { fixed_ips: [...have, { subnet_id: range.id }] });
  } catch (error) {
    throw asInterfaceError(error);
  }
  await record(session, cloud, actor, server, 'server.addFixedIp', `the server got an address on network ${networkId}`);
}

/** Takes an address from the server. @throws InvalidError when it is not the server's */
export async function removeFixedIp(
  session: WriteSession,
  cloud: Cloud,
  actor: Actor,
  server: Server,
  address: string,
): Promise<void> {
  requireUnlocked(server, actor.caller);
  requireHost(server);
  for (const port of await portsOf(session, server)) {
    const have = await addressesOf(session, port);
    if (!have.some((row) => row.address === address)) continue;
    const rest = have.filter((row) => row.address !== address);
    const fixed_ips = rest.map(({ subnet_id, address: ip_address }) => ({ subnet_id, ip_address }));
    await updatePort({ session, cloud, caller: actor.caller }, port, { fixed_ips });
    await record(session, cloud, actor, server, 'server.removeFixedIp', `address ${address} was taken from the server`);
    return;
  }
  throw new InvalidError(
    `Instance ${server.id} doesn't have fixed IP '${address}'.`,
    'FixedIpNotFoundForSpecificInstance',
  );
}
