// Subnets: created, changed and deleted, with the DHCP port and automatic addresses following.
import { newId } from '@cumulet/common';
import {
  networks,
  networkTags,
  portAddresses,
  ports,
  subnets,
  type AllocationPool,
  type HostRoute,
  type Network,
  type Subnet,
} from '../../db/entities/network';
import { In } from '../../db';
import { InvalidError } from '../../errors';
import { isAutoAddressSubnet } from './addressPlan';
import { changedNetwork, recordChanges } from './changes';
import { formatCidr, parseCidr, storedCidr, type Cidr } from './cidr';
import { touched, type NetworkContext } from './context';
import { alignDhcpPort, DHCP_OWNER } from './dhcpPort';
import { conflict, invalidInput } from './errors';
import { claimAddresses } from './portAddresses';
import { returnQuota, takeQuota } from './quotas';
import { allocatePrefix, type PoolRequest } from './subnetPoolAllocation';
import {
  checkCidr,
  checkGateway,
  checkIpv6Modes,
  checkOptions,
  checkOverlap,
  checkPools,
  defaultGateway,
  defaultPools,
} from './subnetRules';

export interface SubnetValues extends PoolRequest {
  readonly name?: string;
  readonly description?: string;
  readonly ip_version?: number;
  readonly cidr?: string | null;
  readonly gateway_ip?: string | null;
  readonly enable_dhcp?: boolean;
  readonly allocation_pools?: readonly AllocationPool[];
  readonly dns_nameservers?: readonly string[];
  readonly host_routes?: readonly HostRoute[];
  readonly service_types?: readonly string[];
  readonly ipv6_ra_mode?: string | null;
  readonly ipv6_address_mode?: string | null;
}

async function rangeOf(
  context: NetworkContext,
  projectId: string,
  network: Network,
  values: SubnetValues,
): Promise<{ cidr: Cidr; poolId: string | null }> {
  const allocated = await allocatePrefix(context, projectId, network, values);
  if (allocated) return allocated;
  const cidr = parseCidr(values.cidr ?? '');
  if (!cidr) throw new InvalidError('a subnetpool must be specified in the absence of a cidr', 'BadRequest');
  if (values.ip_version !== undefined && values.ip_version !== cidr.version)
    throw invalidInput(`cidr '${formatCidr(cidr)}' does not match the ip_version '${values.ip_version}'`);
  return { cidr, poolId: null };
}

/** Ports that were there before a subnet with automatic addresses get theirs, as their guests will make them. */
async function addAutomaticAddresses(context: NetworkContext, subnet: Subnet): Promise<void> {
  const { session } = context;
  const all = await session.find(ports, { where: { network_id: subnet.network_id } });
  for (const port of all.filter((one) => !one.device_owner.startsWith('network:'))) {
    const position = await session.count(portAddresses, { port_id: port.id });
    const addressed = { networkId: port.network_id, deviceOwner: port.device_owner, mac: port.mac_address };
    await claimAddresses(session, port.id, addressed, [{ subnet_id: subnet.id }], position, {
      onlySubnetId: subnet.id,
    });
  }
}

/** @throws ApiError OverQuota, InvalidInput, BadRequest and those of the checks in subnetRules.ts */
export async function createSubnet(
  context: NetworkContext,
  projectId: string,
  network: Network,
  values: SubnetValues,
): Promise<Subnet> {
  const { session, cloud } = context;
  await takeQuota(session, projectId, 'subnet');
  const { cidr, poolId } = await rangeOf(context, projectId, network, values);
  const id = newId();
  const enableDhcp = values.enable_dhcp ?? true;
  const modes = { ipv6_ra_mode: values.ipv6_ra_mode ?? null, ipv6_address_mode: values.ipv6_address_mode ?? null };
  checkCidr(cidr, enableDhcp);
  checkIpv6Modes(modes, cidr, enableDhcp);
  checkOverlap(cidr, network.id, await session.find(subnets, { where: { network_id: network.id } }), formatCidr(cidr));
  const gateway = values.gateway_ip === undefined ? defaultGateway(cidr) : values.gateway_ip;
  if (gateway !== null) checkGateway(cidr, gateway);
  const pools = values.allocation_pools ?? defaultPools(cidr, gateway);
  checkPools(cidr, pools, gateway);
  checkOptions(id, cidr.version, values.dns_nameservers ?? [], values.host_routes ?? []);
  const now = cloud.clock.now();
  const subnet: Subnet = {
    id,
    project_id: projectId,
    name: values.name ?? '',
    description: values.description ?? '',
    created_at: now,
    updated_at: now,
    revision: 0,
    network_id: network.id,
    ip_version: cidr.version,
    cidr: formatCidr(cidr),
    gateway_ip: gateway,
    enable_dhcp: enableDhcp,
    allocation_pools: pools,
    dns_nameservers: values.dns_nameservers ?? [],
    host_routes: values.host_routes ?? [],
    service_types: values.service_types ?? [],
    ...modes,
    subnetpool_id: poolId,
  };
  await session.insert(subnets, subnet);
  if (isAutoAddressSubnet(subnet)) await addAutomaticAddresses(context, subnet);
  await alignDhcpPort(session, cloud, network.id);
  await session.update(networks, { id: network.id }, touched(context, network));
  await recordChanges(session, cloud, [changedNetwork(network.id)]);
  return subnet;
}

/** @throws ConflictError GatewayIpInUse while a port has the present gateway's address */
async function checkGatewayFree(context: NetworkContext, subnet: Subnet): Promise<void> {
  if (subnet.gateway_ip === null) return;
  const row = await context.session.findOne(portAddresses, { subnet_id: subnet.id, address: subnet.gateway_ip });
  const port = row && (await context.session.findOne(ports, { id: row.port_id }));
  if (port?.device_owner.startsWith('network:router_'))
    throw conflict(
      'GatewayIpInUse',
      `Current gateway ip ${subnet.gateway_ip} already in use by port ${port.id}. Unable to update.`,
    );
}

/** @throws ApiError as for creating, and GatewayIpInUse */
export async function updateSubnet(context: NetworkContext, subnet: Subnet, values: SubnetValues): Promise<Subnet> {
  const { session, cloud } = context;
  const cidr = storedCidr(subnet.cidr);
  const gateway = values.gateway_ip === undefined ? subnet.gateway_ip : values.gateway_ip;
  const enableDhcp = values.enable_dhcp ?? subnet.enable_dhcp;
  if (gateway !== subnet.gateway_ip) {
    await checkGatewayFree(context, subnet);
    if (gateway !== null) checkGateway(cidr, gateway);
  }
  const pools = values.allocation_pools ?? subnet.allocation_pools;
  if (values.allocation_pools || gateway !== subnet.gateway_ip) checkPools(cidr, pools, gateway);
  checkCidr(cidr, enableDhcp);
  checkIpv6Modes(subnet, cidr, enableDhcp);
  const dns = values.dns_nameservers ?? subnet.dns_nameservers;
  const routes = values.host_routes ?? subnet.host_routes;
  checkOptions(subnet.id, cidr.version, dns, routes);
  const set = {
    name: values.name ?? subnet.name,
    description: values.description ?? subnet.description,
    gateway_ip: gateway,
    enable_dhcp: enableDhcp,
    allocation_pools: pools,
    dns_nameservers: dns,
    host_routes: routes,
    service_types: values.service_types ?? subnet.service_types,
    ...touched(context, subnet),
  };
  await session.update(subnets, { id: subnet.id }, set);
  if (enableDhcp !== subnet.enable_dhcp) await alignDhcpPort(session, cloud, subnet.network_id);
  await recordChanges(session, cloud, [changedNetwork(subnet.network_id)]);
  return { ...subnet, ...set };
}

/** @throws ConflictError SubnetInUse while ports (other than DHCP's) have addresses of it that a guest did not make itself */
export async function deleteSubnet(context: NetworkContext, subnet: Subnet): Promise<void> {
  const { session, cloud } = context;
  const used = await session.find(portAddresses, { where: { subnet_id: subnet.id } });
  const holders = await session.find(ports, { where: { id: In(used.map((row) => row.port_id)) } });
  const blocking = holders.filter(
    (port) =>
      port.device_owner !== DHCP_OWNER && (!isAutoAddressSubnet(subnet) || port.device_owner.startsWith('network:')),
  );
  if (blocking.length > 0)
    throw conflict(
      'SubnetInUse',
      `Unable to complete operation on subnet ${subnet.id}: One or more ports have an IP allocation from this subnet.`,
    );
  await session.delete(portAddresses, { subnet_id: subnet.id });
  await session.delete(networkTags, { resource_id: subnet.id });
  await session.delete(subnets, { id: subnet.id });
  await returnQuota(session, subnet.project_id, 'subnet');
  await alignDhcpPort(session, cloud, subnet.network_id);
  await recordChanges(session, cloud, [changedNetwork(subnet.network_id)]);
}
