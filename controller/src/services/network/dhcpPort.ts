// The one `network:dhcp` port of a network: the same address on every host, made and removed with the subnets that need it.
import { In, type WriteSession } from '../../db';
import type { Cloud } from '../../cloud';
import { networks, portAddresses, ports, subnets, type Network, type Port } from '../../db/entities/network';
import { changedNetwork, recordChanges } from './changes';
import { claimAddresses } from './portAddresses';
import { insertPort, removePorts } from './portRows';

export const DHCP_OWNER = 'network:dhcp';

async function dhcpPort(session: WriteSession, networkId: string): Promise<Port | undefined> {
  return session.findOne(ports, { network_id: networkId, device_owner: DHCP_OWNER });
}

/**
 * Brings the DHCP port in line with the network's subnets: one address in each subnet with DHCP, no port when there is none.
 * @throws ApiError IpAddressGenerationFailure when a subnet is full
 */
export async function alignDhcpPort(session: WriteSession, cloud: Cloud, networkId: string): Promise<void> {
  const network = await session.findOne(networks, { id: networkId }, 'exclusive');
  if (!network) return;
  const served = await session.find(subnets, {
    where: { network_id: networkId, enable_dhcp: true },
    order: { created_at: 'ASC', id: 'ASC' },
  });
  const existing = await dhcpPort(session, networkId);
  if (!existing) {
    if (served.length > 0)
      await makeDhcpPort(
        session,
        cloud,
        network,
        served.map((subnet) => subnet.id),
      );
    return;
  }
  if (served.length === 0) {
    await removePorts(session, cloud, [existing]);
    return;
  }
  const have = await session.find(portAddresses, { where: { port_id: existing.id } });
  const wanted = new Set(served.map((subnet) => subnet.id));
  const lost = have.filter((row) => !wanted.has(row.subnet_id)).map((row) => row.subnet_id);
  if (lost.length > 0) await session.delete(portAddresses, { port_id: existing.id, subnet_id: In(lost) });
  const missing = served.filter((subnet) => !have.some((row) => row.subnet_id === subnet.id));
  const addressed = { networkId, deviceOwner: DHCP_OWNER, mac: existing.mac_address };
  const position = Math.max(-1, ...have.map((row) => row.position)) + 1;
  // Address by address: asking for a subnet with automatic addresses would add those of all such subnets again.
  for (const [at, subnet] of missing.entries())
    await claimAddresses(session, existing.id, addressed, [{ subnet_id: subnet.id }], position + at, {
      onlySubnetId: subnet.id,
    });
  await recordChanges(session, cloud, [changedNetwork(networkId)]);
}

async function makeDhcpPort(
  session: WriteSession,
  cloud: Cloud,
  network: Network,
  subnetIds: readonly string[],
): Promise<void> {
  await insertPort(session, cloud, {
    projectId: network.project_id,
    network,
    fixedIps: subnetIds.map((subnet_id) => ({ subnet_id })),
    groupIds: [],
    values: {
      device_id: `dhcp-${network.id}`,
      device_owner: DHCP_OWNER,
      status: 'ACTIVE',
      port_security_enabled: false,
    },
    enforceQuota: false,
  });
}
