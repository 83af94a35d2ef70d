// How many addresses networks and subnets have and how many are used.
import { groupBy, type ReadSession } from '../../db';
import { networks, portAddresses, subnets, type Network, type Subnet } from '../../db/entities/network';
import { storedAddress } from './cidr';

interface SubnetUse {
  readonly subnet: Subnet;
  /** Addresses of the allocation pools. */
  readonly total: bigint;
  readonly used: number;
}

export interface NetworkUse {
  readonly network: Network;
  readonly subnets: readonly SubnetUse[];
}

const sizeOf = (subnet: Subnet): bigint =>
  subnet.allocation_pools.reduce(
    (sum, pool) => sum + storedAddress(pool.end).value - storedAddress(pool.start).value + 1n,
    0n,
  );

/** Use of every network, in three queries. */
export async function addressUse(session: ReadSession): Promise<NetworkUse[]> {
  const networkRows = await session.find(networks, { order: { created_at: 'ASC', id: 'ASC' } });
  const subnetsOf = groupBy(
    await session.find(subnets, { order: { created_at: 'ASC', id: 'ASC' } }),
    (subnet) => subnet.network_id,
  );
  const addresses = groupBy(await session.find(portAddresses), (row) => row.subnet_id);
  return networkRows.map((network) => ({
    network,
    subnets: (subnetsOf.get(network.id) ?? []).map((subnet) => ({
      subnet,
      total: sizeOf(subnet),
      used: addresses.get(subnet.id)?.length ?? 0,
    })),
  }));
}
