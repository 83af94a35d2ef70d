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
import type { SharedReads } from './sharedReads';

/** A network with all of its ports, wherever they are. */
export interface NetworkRows {
  readonly network: Network;
  readonly subnets: readonly Subnet[];
  readonly ports: readonly Port[];
  readonly addresses: readonly PortAddress[];
}

/** In a fixed number of queries. */
async function readNetworks(session: ReadSession, ids: readonly string[]): Promise<ReadonlyMap<string, NetworkRows>> {
  const where = { network_id: In([...ids]) };
  const rows = await session.find(networks, { where: { id: In([...ids]) } });
  const subnetsOf = groupBy(await session.find(subnets, { where, order: { id: 'ASC' } }), (row) => row.network_id);
  const portsOf = groupBy(await session.find(ports, { where, order: { id: 'ASC' } }), (row) => row.network_id);
  const addressesOf = groupBy(
    await session.find(portAddresses, { where, order: { position: 'ASC' } }),
    (row) => row.network_id,
  );
  return new Map(
    rows.map((network) => [
      network.id,
      {
        network,
        subnets: subnetsOf.get(network.id) ?? [],
        ports: portsOf.get(network.id) ?? [],
        addresses: addressesOf.get(network.id) ?? [],
      },
    ]),
  );
}

/** The networks `ids`, sorted by id. @param share what hosts share, and the newest change that this one has seen */
export async function networksWithPorts(
  session: ReadSession,
  ids: readonly string[],
  share?: { readonly networks: SharedReads<NetworkRows>; readonly sequence: number },
): Promise<NetworkRows[]> {
  const sorted = [...ids].sort();
  const read = (some: readonly string[]): Promise<ReadonlyMap<string, NetworkRows>> => readNetworks(session, some);
  if (share) return share.networks.get(share.sequence, new Map(sorted.map((id) => [id, ''])), read);
  const found = await read(sorted);
  return sorted.flatMap((id) => found.get(id) ?? []);
}
