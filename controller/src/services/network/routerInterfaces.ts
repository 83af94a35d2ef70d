// Joins routers to subnets and separates them again.
import {
  floatingIps,
  networks,
  portAddresses,
  ports,
  routerInterfaces,
  subnets,
  type Port,
  type Router,
  type Subnet,
} from '../../db/entities/network';
import { In } from '../../db';
import { ForbiddenError, InvalidError, NotFoundError } from '../../errors';
import { changedNetwork, changedRouter, recordChanges } from './changes';
import { contains, overlaps, storedAddress, storedCidr } from './cidr';
import { touched, type NetworkContext } from './context';
import { conflict, notFound } from './errors';
import { insertPort, removePorts } from './portRows';
import { findVisible, seesAll } from './resource';
import { portResource, subnetResource } from './resources';
import { placeRouter, unplaceRouter } from './routerHosts';
import { touchRouter } from './routerRows';

export interface InterfaceRequest {
  readonly subnet_id?: string;
  readonly port_id?: string;
}

/** What both operations answer with. */
export interface InterfaceAnswer {
  readonly port: Port;
  readonly subnetIds: readonly string[];
}

const INTERFACE_OWNER = 'network:router_interface';
const badRouter = (message: string): InvalidError => new InvalidError(`Bad router request: ${message}.`, 'BadRequest');

/** Subnets that a router is joined to. */
async function subnetsOfRouter(context: Pick<NetworkContext, 'session'>, router: Router): Promise<Subnet[]> {
  const { session } = context;
  const joined = await session.find(routerInterfaces, { where: { router_id: router.id } });
  const rows = await session.find(portAddresses, { where: { port_id: In(joined.map((one) => one.port_id)) } });
  return session.find(subnets, { where: { id: In(rows.map((row) => row.subnet_id)) } });
}

/** @throws InvalidError BadRequest when the router could not tell the subnets apart */
async function checkNoOverlap(context: NetworkContext, router: Router, wanted: readonly Subnet[]): Promise<void> {
  const joined = await subnetsOfRouter(context, router);
  const outside = await context.session.find(subnets, { where: { network_id: router.gateway_network_id ?? '' } });
  for (const subnet of wanted) {
    if (joined.some((one) => one.id === subnet.id)) throw badRouter(`Router already has a port on subnet ${subnet.id}`);
    const clash = [...joined, ...outside].find((one) => overlaps(storedCidr(one.cidr), storedCidr(subnet.cidr)));
    if (clash)
      throw badRouter(
        `Cidr ${subnet.cidr} of subnet ${subnet.id} overlaps with cidr ${clash.cidr} of subnet ${clash.id}`,
      );
  }
}

async function joinSubnet(context: NetworkContext, router: Router, subnetId: string): Promise<InterfaceAnswer> {
  const { session, cloud, caller } = context;
  const subnet = await findVisible(session, cloud, caller, subnetResource, subnetId);
  // The gateway's address of somebody else's shared network would take over their traffic.
  if (subnet.project_id !== caller.projectId && !seesAll(cloud, caller, subnetResource))
    throw new ForbiddenError(
      `Subnet ${subnetId} belongs to another project: attach a port of it instead.`,
      'PolicyNotAuthorized',
    );
  if (subnet.gateway_ip === null) throw badRouter('Subnet for router interface must have a gateway IP');
  await checkNoOverlap(context, router, [subnet]);
  const network = await session.findOne(networks, { id: subnet.network_id }, 'shared');
  if (!network) throw notFound('network', subnet.network_id);
  const { port } = await insertPort(session, cloud, {
    projectId: router.project_id,
    network,
    groupIds: [],
    fixedIps: [{ subnet_id: subnet.id, ip_address: subnet.gateway_ip }],
    values: { device_id: router.id, device_owner: INTERFACE_OWNER, status: 'ACTIVE', port_security_enabled: false },
  });
  return { port, subnetIds: [subnet.id] };
}

async function joinPort(context: NetworkContext, router: Router, portId: string): Promise<InterfaceAnswer> {
  const { session, cloud, caller } = context;
  const port = await findVisible(session, cloud, caller, portResource, portId, 'exclusive');
  if (port.device_id !== '' || port.server_id !== null)
    throw conflict(
      'PortInUse',
      `Unable to complete operation on port ${portId} for network ${port.network_id}. Port already has an attached device ${port.device_id}.`,
    );
  const addresses = await session.find(portAddresses, { where: { port_id: portId } });
  const own = await session.find(subnets, { where: { id: In(addresses.map((row) => row.subnet_id)) } });
  if (own.length === 0) throw badRouter('Router port must have at least one fixed IP');
  if (own.filter((subnet) => subnet.ip_version === 4).length > 1)
    throw badRouter('Cannot have multiple IPv4 subnets on router port');
  await checkNoOverlap(context, router, own);
  const set = {
    device_id: router.id,
    device_owner: INTERFACE_OWNER,
    status: 'ACTIVE',
    port_security_enabled: false,
    ...touched(context, port),
  };
  await session.update(ports, { id: portId }, set);
  return { port: { ...port, ...set }, subnetIds: own.map((subnet) => subnet.id) };
}

/**
 * Joins a router to a subnet or by a port.
 * @throws ApiError BadRequest, SubnetNotFound, PortNotFound, PortInUse, IpAddressInUse
 */
export async function addInterface(
  context: NetworkContext,
  router: Router,
  request: InterfaceRequest,
): Promise<InterfaceAnswer> {
  const { session, cloud } = context;
  if (request.port_id !== undefined && request.subnet_id !== undefined)
    throw badRouter('Cannot specify both subnet-id and port-id');
  if (request.port_id === undefined && request.subnet_id === undefined)
    throw badRouter('Either subnet_id or port_id must be specified');
  const answer =
    request.port_id === undefined
      ? await joinSubnet(context, router, request.subnet_id ?? '')
      : await joinPort(context, router, request.port_id);
  const networkId = answer.port.network_id;
  await session.insert(routerInterfaces, { port_id: answer.port.id, router_id: router.id, network_id: networkId });
  await placeRouter(session, cloud, router);
  await touchRouter(context, router);
  await recordChanges(session, cloud, [changedRouter(router.id), changedNetwork(networkId)]);
  return answer;
}

/** The joined port a request means. @throws ApiError RouterInterfaceNotFound, RouterInterfaceNotFoundForSubnet, BadRequest */
async function joinedPort(
  context: NetworkContext,
  router: Router,
  request: InterfaceRequest,
): Promise<{ port: Port; subnetIds: string[] }> {
  const { session } = context;
  if (request.port_id === undefined && request.subnet_id === undefined)
    throw badRouter('Either subnet_id or port_id must be specified');
  const joined = await session.find(routerInterfaces, { where: { router_id: router.id } });
  const rows = await session.find(portAddresses, { where: { port_id: In(joined.map((one) => one.port_id)) } });
  const portId = request.port_id ?? rows.find((row) => row.subnet_id === request.subnet_id)?.port_id;
  if (portId === undefined)
    throw new NotFoundError(
      `Router ${router.id} has no interface on subnet ${request.subnet_id ?? ''}`,
      'RouterInterfaceNotFoundForSubnet',
    );
  const port = joined.some((one) => one.port_id === portId) ? await session.findOne(ports, { id: portId }) : undefined;
  if (!port)
    throw new NotFoundError(
      `Router ${router.id} does not have an interface with id ${portId}`,
      'RouterInterfaceNotFound',
    );
  const subnetIds = rows.filter((row) => row.port_id === portId).map((row) => row.subnet_id);
  if (request.subnet_id !== undefined && !subnetIds.includes(request.subnet_id))
    throw new InvalidError(
      `Subnet on port ${portId} does not match the requested subnet ${request.subnet_id}.`,
      'SubnetMismatchForPort',
    );
  return { port, subnetIds };
}

/** @throws ConflictError RouterInterfaceInUseByFloatingIP, RouterInterfaceInUseByRoute */
async function checkUnused(context: NetworkContext, router: Router, subnetIds: readonly string[]): Promise<void> {
  const { session } = context;
  const leaving = await session.find(subnets, { where: { id: In([...subnetIds]) } });
  const floating = await session.find(floatingIps, { where: { router_id: router.id } });
  const addresses = await session.find(portAddresses, {
    where: { port_id: In(floating.flatMap((one) => one.port_id ?? [])) },
  });
  for (const subnet of leaving) {
    const used = addresses.some(
      (row) =>
        row.subnet_id === subnet.id &&
        floating.some((one) => one.port_id === row.port_id && one.fixed_ip_address === row.address),
    );
    if (used)
      throw conflict(
        'RouterInterfaceInUseByFloatingIP',
        `Router interface for subnet ${subnet.id} on router ${router.id} cannot be deleted, as it is required by one or more floating IPs.`,
      );
    if (router.routes.some((route) => contains(storedCidr(subnet.cidr), storedAddress(route.nexthop))))
      throw conflict(
        'RouterInterfaceInUseByRoute',
        `Router interface for subnet ${subnet.id} on router ${router.id} cannot be deleted, as it is required by one or more routes.`,
      );
  }
}

/** Separates a router from a subnet; the port goes. @throws ApiError as joinedPort and checkUnused */
export async function removeInterface(
  context: NetworkContext,
  router: Router,
  request: InterfaceRequest,
): Promise<InterfaceAnswer> {
  const { session, cloud } = context;
  const { port, subnetIds } = await joinedPort(context, router, request);
  await checkUnused(context, router, subnetIds);
  await session.delete(routerInterfaces, { port_id: port.id });
  await removePorts(session, cloud, [port]);
  await unplaceRouter(session, router);
  await touchRouter(context, router);
  await recordChanges(session, cloud, [changedRouter(router.id), changedNetwork(port.network_id)]);
  return { port, subnetIds };
}
