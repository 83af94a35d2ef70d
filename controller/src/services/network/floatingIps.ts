// Floating IPs: an address of an external network that leads to a port behind a router.
import { newId } from '@cumulet/common';
import { In } from '../../db';
import {
  floatingIps,
  networkTags,
  portAddresses,
  ports,
  routerInterfaces,
  routers,
  subnets,
  type FloatingIp,
  type PortAddress,
} from '../../db/entities/network';
import { InvalidError, NotFoundError } from '../../errors';
import { changedRouter, recordChanges } from './changes';
import { touched, type NetworkContext } from './context';
import { conflict, invalidInput } from './errors';
import { insertPort, removePorts } from './portRows';
import { returnQuota, takeQuota } from './quotas';
import { findVisible } from './resource';
import { networkResource, portResource } from './resources';

export interface FloatingIpValues {
  readonly floating_network_id?: string;
  readonly floating_ip_address?: string | null;
  readonly subnet_id?: string | null;
  readonly port_id?: string | null;
  readonly fixed_ip_address?: string | null;
  readonly description?: string;
  readonly dns_name?: string;
  readonly dns_domain?: string;
}

type Association = Pick<FloatingIp, 'port_id' | 'fixed_ip_address' | 'router_id' | 'status'>;
const FREE: Association = { port_id: null, fixed_ip_address: null, router_id: null, status: 'DOWN' };

const bad = (message: string): InvalidError => new InvalidError(`Bad floatingip request: ${message}.`, 'BadRequest');

/** The internal address that is meant. @throws InvalidError BadRequest */
async function internalAddress(context: NetworkContext, portId: string, wanted: string | null): Promise<PortAddress> {
  const rows = await context.session.find(portAddresses, { where: { port_id: portId }, order: { position: 'ASC' } });
  const v4 = rows.filter((row) => !row.address.includes(':'));
  const [first] = v4;
  if (wanted !== null) {
    const row = v4.find((one) => one.address === wanted);
    if (!row) throw bad(`Port ${portId} does not have fixed ip ${wanted}`);
    return row;
  }
  if (!first) throw bad(`Cannot add floating IP to port ${portId} that has no fixed IPv4 addresses`);
  if (v4.length > 1)
    throw bad(
      `Port ${portId} has multiple fixed IPv4 addresses. Must provide a specific IPv4 address when assigning a floating IP`,
    );
  return first;
}

/** The router between the external network and a subnet. @throws NotFoundError ExternalGatewayForFloatingIPNotFound */
async function routerBetween(
  context: NetworkContext,
  externalId: string,
  subnetId: string,
  portId: string,
): Promise<string> {
  const { session } = context;
  const outside = await session.find(routers, {
    where: { gateway_network_id: externalId },
    order: { created_at: 'ASC', id: 'ASC' },
    lock: 'shared',
  });
  const joined = await session.find(routerInterfaces, { where: { router_id: In(outside.map((router) => router.id)) } });
  const inside = await session.find(portAddresses, {
    where: { port_id: In(joined.map((one) => one.port_id)), subnet_id: subnetId },
  });
  const routerIds = new Set(
    joined.filter((one) => inside.some((row) => row.port_id === one.port_id)).map((one) => one.router_id),
  );
  // The router that has the subnet's gateway address is the one replies go through.
  const subnet = await session.findOne(subnets, { id: subnetId });
  const gateway = inside.find((row) => row.address === subnet?.gateway_ip);
  const preferred = joined.find((one) => one.port_id === gateway?.port_id)?.router_id;
  const found = preferred ?? outside.find((router) => routerIds.has(router.id))?.id;
  if (found === undefined)
    throw new NotFoundError(
      `External network ${externalId} is not reachable from subnet ${subnetId}.  Therefore, cannot associate Port ${portId} with a Floating IP.`,
      'ExternalGatewayForFloatingIPNotFound',
    );
  return found;
}

/** @throws ApiError PortNotFound, BadRequest, FloatingIPPortAlreadyAssociated, ExternalGatewayForFloatingIPNotFound */
async function associate(
  context: NetworkContext,
  floating: Pick<FloatingIp, 'id' | 'floating_network_id' | 'floating_ip_address'>,
  portId: string,
  fixed: string | null,
): Promise<Association> {
  const { session, cloud, caller } = context;
  const port = await findVisible(session, cloud, caller, portResource, portId, 'exclusive');
  const inside = await internalAddress(context, port.id, fixed);
  const others = await session.find(floatingIps, {
    where: { port_id: port.id, fixed_ip_address: inside.address, floating_network_id: floating.floating_network_id },
  });
  const other = others.find((one) => one.id !== floating.id);
  if (other)
    throw conflict(
      'FloatingIPPortAlreadyAssociated',
      `Cannot associate floating IP ${floating.floating_ip_address} (${floating.id}) with port ${port.id} using fixed IP ${inside.address}, as that fixed IP already has a floating IP on external network ${floating.floating_network_id}.`,
    );
  const routerId = await routerBetween(context, floating.floating_network_id, inside.subnet_id, port.id);
  return { port_id: port.id, fixed_ip_address: inside.address, router_id: routerId, status: 'ACTIVE' };
}

async function associationFor(
  context: NetworkContext,
  floating: Pick<FloatingIp, 'id' | 'floating_network_id' | 'floating_ip_address'>,
  values: FloatingIpValues,
): Promise<Association> {
  if (values.port_id) return associate(context, floating, values.port_id, values.fixed_ip_address ?? null);
  if (values.fixed_ip_address) throw bad('fixed_ip_address cannot be specified without a port_id');
  return FREE;
}

/** The subnet and address that a request wants of the external network. */
async function wishes(context: NetworkContext, networkId: string, values: FloatingIpValues) {
  const { session } = context;
  const v4 = await session.find(subnets, {
    where: { network_id: networkId, ip_version: 4 },
    order: { created_at: 'ASC', id: 'ASC' },
  });
  if (values.subnet_id && !v4.some((subnet) => subnet.id === values.subnet_id))
    throw invalidInput(`subnet ${values.subnet_id} is no IPv4 subnet of network ${networkId}`);
  if (v4.length === 0)
    throw new InvalidError(
      `Bad floatingip request: Network ${networkId} does not contain any IPv4 subnet.`,
      'BadRequest',
    );
  if (values.subnet_id || values.floating_ip_address)
    return [
      {
        ...(values.subnet_id ? { subnet_id: values.subnet_id } : {}),
        ...(values.floating_ip_address ? { ip_address: values.floating_ip_address } : {}),
      },
    ];
  return undefined;
}

/** @throws ApiError OverQuota, NetworkNotFound, BadRequest, IpAddressInUse, IpAddressGenerationFailure and those of associate */
export async function createFloatingIp(
  context: NetworkContext,
  projectId: string,
  values: FloatingIpValues,
): Promise<FloatingIp> {
  const { session, cloud, caller } = context;
  await takeQuota(session, projectId, 'floatingip');
  const networkId = values.floating_network_id ?? '';
  const network = await findVisible(session, cloud, caller, networkResource, networkId);
  if (!network.external)
    throw new InvalidError(
      `Bad floatingip request: Network ${networkId} is not a valid external network.`,
      'BadRequest',
    );
  const id = newId();
  const fixedIps = await wishes(context, networkId, values);
  const { port, addresses } = await insertPort(session, cloud, {
    projectId: '',
    network,
    groupIds: [],
    ...(fixedIps ? { fixedIps } : {}),
    values: { device_id: id, device_owner: 'network:floatingip', status: 'N/A', port_security_enabled: false },
  });
  const outside = addresses.find((row) => !row.address.includes(':'));
  if (!outside)
    throw new InvalidError(
      `Unable to find any IP address on external network ${networkId}.`,
      'ExternalIpAddressExhausted',
    );
  const address = { id, floating_network_id: networkId, floating_ip_address: outside.address };
  const association = await associationFor(context, address, values);
  const now = cloud.clock.now();
  const floating: FloatingIp = {
    ...address,
    ...association,
    project_id: projectId,
    description: values.description ?? '',
    created_at: now,
    updated_at: now,
    revision: 0,
    floating_port_id: port.id,
    dns_name: values.dns_name ?? '',
    dns_domain: values.dns_domain ?? '',
  };
  await session.insert(floatingIps, floating);
  if (floating.router_id !== null) await recordChanges(session, cloud, [changedRouter(floating.router_id)]);
  return floating;
}

/** `port_id` null takes the address off its port; absent leaves it. @throws ApiError as associate */
export async function updateFloatingIp(
  context: NetworkContext,
  floating: FloatingIp,
  values: FloatingIpValues,
): Promise<FloatingIp> {
  const { session, cloud } = context;
  let association: Association = {
    port_id: floating.port_id,
    fixed_ip_address: floating.fixed_ip_address,
    router_id: floating.router_id,
    status: floating.status,
  };
  if (values.port_id !== undefined || values.fixed_ip_address)
    association = await associationFor(context, floating, values);
  const set = {
    ...association,
    description: values.description ?? floating.description,
    ...touched(context, floating),
  };
  await session.update(floatingIps, { id: floating.id }, set);
  const routerIds = [floating.router_id, association.router_id].filter((id) => id !== null);
  await recordChanges(session, cloud, routerIds.map(changedRouter));
  return { ...floating, ...set };
}

export async function deleteFloatingIp(context: NetworkContext, floating: FloatingIp): Promise<void> {
  const { session, cloud } = context;
  await session.delete(floatingIps, { id: floating.id });
  await session.delete(networkTags, { resource_id: floating.id });
  const port = await session.findOne(ports, { id: floating.floating_port_id });
  if (port) await removePorts(session, cloud, [port]);
  await returnQuota(session, floating.project_id, 'floatingip');
  if (floating.router_id !== null) await recordChanges(session, cloud, [changedRouter(floating.router_id)]);
}
