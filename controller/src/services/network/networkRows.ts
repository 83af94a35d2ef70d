// Networks as network agents need them: with all their ports, wherever these are.
import { groupBy, In, type ReadSession } from '../../db';
import {
  networks,
  portAddresses,
  ports,
  subnets,
  type Network,
  type Port,
  type PortAddress,
  type Subnet,
} from '../../db/entities/network';

/** What agents' states are made of: many ports are read often. */
export const AGENT_PORT = [
  ...(['id', 'network_id', 'device_id', 'device_owner', 'mac_address', 'host', 'migrating_to'] as const),
  ...(['admin_state_up', 'port_security_enabled', 'allowed_address_pairs', 'extra_dhcp_opts', 'dns_name'] as const),
] as const;
export type AgentPort = Pick<Port, (typeof AGENT_PORT)[number]>;

/** A network with all of its ports, wherever they are. */
export interface NetworkRows {
  readonly network: Network;
  readonly subnets: readonly Subnet[];
  readonly ports: readonly AgentPort[];
  readonly addresses: readonly PortAddress[];
}

function byNetwork<T extends { network_id: string }>(rows: readonly T[]): (id: string) => readonly T[] {
  const groups = groupBy(rows, (row) => row.network_id);
  return (id) => groups.get(id) ?? [];
}

/** The networks `ids` in a fixed number of queries, sorted by id. */
export async function networksWithPorts(session: ReadSession, ids: readonly string[]): Promise<NetworkRows[]> {
  const where = { network_id: In([...ids]) };
  const rows = await session.find(networks, { where: { id: In([...ids]) }, order: { id: 'ASC' } });
  const subnetsOf = byNetwork(await session.find(subnets, { where, order: { id: 'ASC' } }));
  const portsOf = byNetwork(await session.pick(ports, AGENT_PORT, { where, order: { id: 'ASC' } }));
  const addressesOf = byNetwork(await session.find(portAddresses, { where, order: { position: 'ASC' } }));
  return rows.map((network) => ({
    network,
    subnets: subnetsOf(network.id),
    ports: portsOf(network.id),
    addresses: addressesOf(network.id),
  }));
}
