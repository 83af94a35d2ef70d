// What the compute service and the metadata service know of servers' ports: addresses, networks, groups, floating IPs.
import { groupBy, In, type ReadSession } from '../../db';
import {
  floatingIps,
  networks,
  portAddresses,
  portGroups,
  ports,
  securityGroups,
  subnets,
  type Network,
  type Port,
  type Subnet,
} from '../../db/entities/network';
import { linkLocalMac } from './cidr';
import { addressesByPort } from './portAddresses';
import { interfaceOrder } from './serverPorts';

export interface ServerPortAddress {
  readonly address: string;
  readonly version: 4 | 6;
  readonly subnet: Subnet;
  /** Floating addresses that lead here. */
  readonly floating: readonly string[];
}

/** What is looked at of a port. */
const SEEN = ['id', 'server_id', 'network_id', 'mac_address', 'status', 'device_tag'] as const;

export interface ServerPort {
  readonly port: Pick<Port, (typeof SEEN)[number]>;
  readonly network: Network;
  readonly addresses: readonly ServerPortAddress[];
  readonly securityGroups: readonly { readonly id: string; readonly name: string }[];
}

async function groupsOf(session: ReadSession, portIds: string[]): Promise<Map<string, { id: string; name: string }[]>> {
  const links = await session.find(portGroups, { where: { port_id: In(portIds) } });
  const groups = await session.find(securityGroups, {
    where: { id: In([...new Set(links.map((link) => link.security_group_id))]) },
    order: { name: 'ASC', id: 'ASC' },
  });
  const byPort = new Map<string, { id: string; name: string }[]>();
  for (const { id, name } of groups) {
    for (const { port_id } of links.filter((link) => link.security_group_id === id))
      byPort.set(port_id, [...(byPort.get(port_id) ?? []), { id, name }]);
  }
  return byPort;
}

/** The ports of many servers in the order they were made, in a fixed number of queries. */
export async function portsOfServers(
  session: ReadSession,
  serverIds: readonly string[],
): Promise<Map<string | null, ServerPort[]>> {
  const rows = await session.pick(ports, SEEN, {
    where: { server_id: In([...serverIds]) },
    order: interfaceOrder,
  });
  const portIds = rows.map((row) => row.id);
  const networkIds = [...new Set(rows.map((row) => row.network_id))];
  const networkById = new Map(
    (await session.find(networks, { where: { id: In(networkIds) } })).map((row) => [row.id, row]),
  );
  const subnetById = new Map(
    (await session.find(subnets, { where: { network_id: In(networkIds) } })).map((row) => [row.id, row]),
  );
  const addresses = await addressesByPort(session, portIds);
  const floating = groupBy(await session.find(floatingIps, { where: { port_id: In(portIds) } }), (row) => row.port_id);
  const groups = await groupsOf(session, portIds);
  const views = rows.flatMap((port): ServerPort[] => {
    const network = networkById.get(port.network_id);
    if (!network) return [];
    const own = (addresses.get(port.id) ?? []).flatMap((row): ServerPortAddress[] => {
      const subnet = subnetById.get(row.subnet_id);
      if (!subnet) return [];
      const leading = (floating.get(port.id) ?? []).filter((one) => one.fixed_ip_address === row.address);
      const version = subnet.ip_version === 4 ? 4 : 6;
      return [{ address: row.address, version, subnet, floating: leading.map((one) => one.floating_ip_address) }];
    });
    return [{ port, network, addresses: own, securityGroups: groups.get(port.id) ?? [] }];
  });
  return groupBy(views, ({ port }) => port.server_id);
}

export async function portsOfServer(session: ReadSession, serverId: string): Promise<ServerPort[]> {
  return (await portsOfServers(session, [serverId])).get(serverId) ?? [];
}

/** The port that has an address on a network (or the link-local one of its MAC): who asks the metadata service. Undefined when nobody has it. */
export async function portByAddress(
  session: ReadSession,
  networkId: string,
  address: string,
): Promise<Port | undefined> {
  const mac = linkLocalMac(address);
  if (mac !== undefined) return session.findOne(ports, { network_id: networkId, mac_address: mac });
  const row = await session.findOne(portAddresses, { network_id: networkId, address });
  return row && session.findOne(ports, { id: row.port_id });
}
