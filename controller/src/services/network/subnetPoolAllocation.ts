// Takes a subnet's range from a subnet pool: the first free one of the wished length, or the one that was named.
import { subnetPools, subnets, type Network, type SubnetPool } from '../../db/entities/network';
import { InvalidError } from '../../errors';
import { bitsOf, formatCidr, overlaps, parseCidr, cidrRange, storedCidr, type Cidr } from './cidr';
import type { NetworkContext } from './context';
import { conflict, notFound } from './errors';
import { findVisible } from './resource';
import { subnetPoolResource } from './resources';

export interface PoolRequest {
  readonly subnetpool_id?: string | null;
  readonly use_default_subnetpool?: boolean;
  readonly prefixlen?: number;
  readonly cidr?: string | null;
  readonly ip_version?: number;
}

const allocationFailed = (reason: string) =>
  new InvalidError(`Failed to allocate subnet: ${reason}.`, 'SubnetAllocationError');

async function poolOf(context: NetworkContext, request: PoolRequest): Promise<SubnetPool | undefined> {
  const { session, cloud, caller } = context;
  const id = request.subnetpool_id ?? undefined;
  if (id !== undefined && request.use_default_subnetpool)
    throw new InvalidError('subnetpool_id and use_default_subnetpool cannot both be specified', 'BadRequest');
  if (id !== undefined) return findVisible(session, cloud, caller, subnetPoolResource, id, 'exclusive');
  if (!request.use_default_subnetpool) return undefined;
  const pool = await session.findOne(
    subnetPools,
    { is_default: true, ip_version: request.ip_version ?? 4 },
    'exclusive',
  );
  if (!pool) throw notFound('subnetpool', 'default');
  return pool;
}

/** The first range of a length inside the prefixes that overlaps none of the taken ones. */
export function firstFree(prefixes: readonly Cidr[], taken: readonly Cidr[], length: number): Cidr | undefined {
  const sorted = [...prefixes].sort((a, b) => (a.base < b.base ? -1 : 1));
  for (const prefix of sorted.filter((one) => one.prefix <= length)) {
    const step = 1n << BigInt(bitsOf(prefix.version) - length);
    const { start, end } = cidrRange(prefix);
    for (let base = start; base <= end;) {
      const candidate: Cidr = { version: prefix.version, base, prefix: length };
      const obstacle = taken.find((one) => overlaps(one, candidate));
      if (!obstacle) return candidate;
      // Behind the obstacle, at the next multiple of the length.
      const after = cidrRange(obstacle).end + 1n;
      base = ((after + step - 1n) / step) * step;
    }
  }
  return undefined;
}

/** Addresses for IPv4, /64 networks for IPv6: what a pool's default_quota counts. */
const quotaUnits = (cidr: Cidr): bigint => {
  const { start, end } = cidrRange(cidr);
  return cidr.version === 4 ? end - start + 1n : cidr.prefix > 64 ? 1n : 1n << BigInt(64 - cidr.prefix);
};

async function checkQuota(context: NetworkContext, pool: SubnetPool, projectId: string, wanted: Cidr): Promise<void> {
  if (pool.default_quota === null) return;
  const own = await context.session.find(subnets, { where: { subnetpool_id: pool.id, project_id: projectId } });
  const used = own.reduce((sum, subnet) => sum + quotaUnits(storedCidr(subnet.cidr)), 0n);
  if (used + quotaUnits(wanted) > BigInt(pool.default_quota))
    throw conflict('SubnetPoolQuotaExceeded', 'Per-project subnet pool prefix quota exceeded.');
}

function checkLength(pool: SubnetPool, length: number): void {
  if (length < pool.min_prefixlen)
    throw new InvalidError(
      `Unable to allocate subnet with prefix length ${length}, minimum allowed prefix is ${pool.min_prefixlen}.`,
      'MinPrefixSubnetAllocationError',
    );
  if (length > pool.max_prefixlen)
    throw new InvalidError(
      `Unable to allocate subnet with prefix length ${length}, maximum allowed prefix is ${pool.max_prefixlen}.`,
      'MaxPrefixSubnetAllocationError',
    );
}

/** Subnets of one network and version come from one pool, or all from none. */
async function checkAffinity(
  context: NetworkContext,
  network: Network,
  version: number,
  poolId: string | null,
): Promise<void> {
  const siblings = await context.session.find(subnets, { where: { network_id: network.id, ip_version: version } });
  if (siblings.some((one) => one.subnetpool_id !== poolId))
    throw new InvalidError(
      'Subnets hosted on the same network must be allocated from the same subnet pool.',
      'NetworkSubnetPoolAffinityError',
    );
}

/**
 * The range for a subnet that asks for a pool; undefined when it asks for none.
 * @throws ApiError SubnetPoolNotFound, SubnetAllocationError, SubnetPoolQuotaExceeded and prefix length errors
 */
export async function allocatePrefix(
  context: NetworkContext,
  projectId: string,
  network: Network,
  request: PoolRequest,
): Promise<{ cidr: Cidr; poolId: string } | undefined> {
  const pool = await poolOf(context, request);
  const named = typeof request.cidr === 'string' ? parseCidr(request.cidr) : undefined;
  if (!pool) {
    if (named) await checkAffinity(context, network, named.version, null);
    if (request.prefixlen !== undefined)
      throw new InvalidError('prefixlen can only be given with a subnet pool', 'BadRequest');
    return undefined;
  }
  if (named && request.prefixlen !== undefined)
    throw new InvalidError('cidr and prefixlen must not be supplied together', 'BadRequest');
  if (request.ip_version !== undefined && request.ip_version !== pool.ip_version)
    throw new InvalidError(
      `Cannot allocate IPv${request.ip_version} subnet from IPv${pool.ip_version} subnet pool`,
      'BadRequest',
    );
  await checkAffinity(context, network, pool.ip_version, pool.id);
  const prefixes = pool.prefixes.map(storedCidr);
  const rows = await context.session.find(subnets, { where: { subnetpool_id: pool.id } });
  const taken = rows.map((row) => storedCidr(row.cidr));
  const length = named?.prefix ?? request.prefixlen ?? pool.default_prefixlen;
  checkLength(pool, length);
  if (named) {
    const inside = prefixes.some((prefix) => prefix.prefix <= named.prefix && overlaps(prefix, named));
    if (!inside || taken.some((one) => overlaps(one, named)))
      throw allocationFailed(
        `Cannot allocate requested subnet ${formatCidr(named)} from the available set of prefixes`,
      );
  }
  const cidr = named ?? firstFree(prefixes, taken, length);
  if (!cidr) throw allocationFailed(`Insufficient prefix space to allocate subnet size /${length}`);
  await checkQuota(context, pool, projectId, cidr);
  return { cidr, poolId: pool.id };
}
