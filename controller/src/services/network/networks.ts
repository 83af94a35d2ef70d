// Networks: created, changed and deleted with what hangs on them.
import { newId } from '@cumulet/common';
import { In } from '../../db';
import {
  floatingIps,
  networkTags,
  networks,
  ports,
  rbacPolicies,
  routers,
  segments,
  subnets,
  type Network,
} from '../../db/entities/network';
import { checkZones } from './zones';
import { changedNetwork, changedPort, recordChanges } from './changes';
import { touched, type NetworkContext } from './context';
import { ensureDefaultGroup } from './defaultGroup';
import { DHCP_OWNER } from './dhcpPort';
import { conflict, invalidInput } from './errors';
import { removePorts } from './portRows';
import { returnQuota, takeQuota } from './quotas';
import { claimSegment, largestMtu } from './segmentation';
import type { RbacAction } from './visibility';

export interface NetworkValues {
  readonly name?: string;
  readonly description?: string;
  readonly admin_state_up?: boolean;
  readonly shared?: boolean;
  readonly 'router:external'?: boolean;
  readonly mtu?: number;
  readonly port_security_enabled?: boolean;
  readonly dns_domain?: string;
  readonly availability_zone_hints?: readonly string[];
  readonly 'provider:network_type'?: string | null;
  readonly 'provider:physical_network'?: string | null;
  readonly 'provider:segmentation_id'?: number | null;
}

/** IPv4 hosts must take 68 bytes (RFC 791). */
const MIN_MTU = 68;

async function openToAll(
  context: NetworkContext,
  network: Pick<Network, 'id' | 'project_id'>,
  action: RbacAction,
): Promise<void> {
  const where = { object_type: 'network', object_id: network.id, action, target_tenant: '*' };
  if (await context.session.findOne(rbacPolicies, where)) return;
  await context.session.insert(rbacPolicies, { id: newId(), project_id: network.project_id, ...where });
}

async function closeToAll(context: NetworkContext, network: Network, action: RbacAction): Promise<void> {
  await context.session.delete(rbacPolicies, {
    object_type: 'network',
    object_id: network.id,
    action,
    target_tenant: '*',
  });
}

function checkMtu(mtu: number, largest: number): number {
  if (mtu < MIN_MTU) throw invalidInput(`Requested MTU is too small: the minimum is ${MIN_MTU}.`);
  if (mtu > largest) throw invalidInput(`Requested MTU is too big, maximum is ${largest}`);
  return mtu;
}

/** @throws ApiError OverQuota, InvalidInput, FlatNetworkInUse, TunnelIdInUse, AvailabilityZoneNotFound */
export async function createNetwork(
  context: NetworkContext,
  projectId: string,
  values: NetworkValues,
): Promise<Network> {
  const { session, cloud } = context;
  await ensureDefaultGroup(session, cloud, projectId);
  await takeQuota(session, projectId, 'network');
  const id = newId();
  const segment = await claimSegment(session, id, {
    ...(values['provider:network_type'] ? { networkType: values['provider:network_type'] } : {}),
    ...(values['provider:physical_network'] ? { physicalNetwork: values['provider:physical_network'] } : {}),
    ...(values['provider:segmentation_id'] ? { segmentationId: values['provider:segmentation_id'] } : {}),
  });
  const largest = await largestMtu(session, segment.network_type);
  await checkZones(session, values.availability_zone_hints ?? []);
  const now = cloud.clock.now();
  const network: Network = {
    id,
    project_id: projectId,
    name: values.name ?? '',
    description: values.description ?? '',
    created_at: now,
    updated_at: now,
    revision: 1,
    admin_state_up: values.admin_state_up ?? true,
    status: 'ACTIVE',
    // 0 means "as large as possible", as upstream reads it.
    mtu: values.mtu ? checkMtu(values.mtu, largest) : largest,
    port_security_enabled: values.port_security_enabled ?? true,
    ...segment,
    dns_domain: values.dns_domain ?? '',
    external: values['router:external'] ?? false,
    availability_zone_hints: values.availability_zone_hints ?? [],
  };
  await session.insert(networks, network);
  if (values.shared) await openToAll(context, network, 'access_as_shared');
  if (network.external) await openToAll(context, network, 'access_as_external');
  await recordChanges(session, cloud, [changedNetwork(id)]);
  return network;
}

/** @throws ConflictError ExternalNetworkInUse while routers or floating IPs use it as external */
async function unsetExternal(context: NetworkContext, network: Network): Promise<void> {
  const used =
    (await context.session.count(routers, { gateway_network_id: network.id })) +
    (await context.session.count(floatingIps, { floating_network_id: network.id }));
  if (used > 0)
    throw conflict(
      'ExternalNetworkInUse',
      `External network ${network.id} cannot be updated to be made non-external, since it has existing gateway ports.`,
    );
  await context.session.delete(rbacPolicies, {
    object_type: 'network',
    object_id: network.id,
    action: 'access_as_external',
  });
}

/** @throws ConflictError InvalidSharedSetting while other projects have ports or subnets on it */
async function unshare(context: NetworkContext, network: Network): Promise<void> {
  const { session } = context;
  const users = [
    ...(await session.find(ports, { where: { network_id: network.id } })).filter(
      (port) => !port.device_owner.startsWith('network:'),
    ),
    ...(await session.find(subnets, { where: { network_id: network.id } })),
  ];
  const named = await session.find(rbacPolicies, {
    where: { object_type: 'network', object_id: network.id, action: 'access_as_shared' },
  });
  const allowed = new Set([network.project_id, ...named.map((row) => row.target_tenant)]);
  if (users.some((row) => !allowed.has(row.project_id)))
    throw conflict(
      'InvalidSharedSetting',
      `Unable to reconfigure sharing settings for network ${network.name}. Multiple projects are using it.`,
    );
  await closeToAll(context, network, 'access_as_shared');
}

/** @throws ApiError InvalidInput, ExternalNetworkInUse, InvalidSharedSetting */
export async function updateNetwork(
  context: NetworkContext,
  network: Network,
  values: NetworkValues,
): Promise<Network> {
  const { session, cloud } = context;
  for (const key of ['provider:network_type', 'provider:physical_network', 'provider:segmentation_id'] as const) {
    if (values[key] !== undefined) throw invalidInput('Plugin does not support updating provider attributes.');
  }
  if (values.mtu !== undefined) checkMtu(values.mtu, await largestMtu(session, network.network_type));
  const external = values['router:external'];
  if (external === true && !network.external) await openToAll(context, network, 'access_as_external');
  if (external === false && network.external) await unsetExternal(context, network);
  if (values.shared === true) await openToAll(context, network, 'access_as_shared');
  if (values.shared === false) await unshare(context, network);
  const set = {
    name: values.name ?? network.name,
    description: values.description ?? network.description,
    admin_state_up: values.admin_state_up ?? network.admin_state_up,
    mtu: values.mtu ?? network.mtu,
    port_security_enabled: values.port_security_enabled ?? network.port_security_enabled,
    dns_domain: values.dns_domain ?? network.dns_domain,
    external: external ?? network.external,
    ...touched(context, network),
  };
  await session.update(networks, { id: network.id }, set);
  const closed =
    set.admin_state_up === network.admin_state_up
      ? []
      : await session.find(ports, { where: { network_id: network.id } });
  await recordChanges(session, cloud, [changedNetwork(network.id), ...closed.map(changedPort)]);
  return { ...network, ...set };
}

/** Deletes a network with its subnets and its DHCP port. @throws ConflictError NetworkInUse while others have ports on it */
export async function deleteNetwork(context: NetworkContext, network: Network): Promise<void> {
  const { session, cloud } = context;
  const all = await session.find(ports, { where: { network_id: network.id } });
  if (all.some((port) => port.device_owner !== DHCP_OWNER))
    throw conflict(
      'NetworkInUse',
      `Unable to complete operation on network ${network.id}. There are one or more ports still in use on the network.`,
    );
  await removePorts(session, cloud, all);
  const own = await session.find(subnets, { where: { network_id: network.id } });
  for (const subnet of own) await returnQuota(session, subnet.project_id, 'subnet');
  const ids = [network.id, ...own.map((subnet) => subnet.id)];
  await session.delete(subnets, { network_id: network.id });
  await session.delete(networkTags, { resource_id: In(ids) });
  await session.delete(rbacPolicies, { object_type: 'network', object_id: network.id });
  await session.delete(segments, { network_id: network.id });
  await session.delete(networks, { id: network.id });
  await returnQuota(session, network.project_id, 'network');
  await recordChanges(session, cloud, [changedNetwork(network.id)]);
}
