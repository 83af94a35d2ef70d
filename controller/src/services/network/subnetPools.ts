// Subnet pools: prefixes from which subnets take their ranges.
import { newId } from '@cumulet/common';
import { networkTags, subnetPools, subnets, type SubnetPool } from '../../db/entities/network';
import { InvalidError } from '../../errors';
import { bitsOf, cidrRange, formatCidr, storedCidr, type Cidr, type IpVersion } from './cidr';
import { touched, type NetworkContext } from './context';
import { invalidInput } from './errors';
import { returnQuota, takeQuota } from './quotas';

export interface SubnetPoolValues {
  readonly name?: string;
  readonly description?: string;
  readonly prefixes?: readonly string[];
  readonly shared?: boolean;
  readonly is_default?: boolean;
  readonly min_prefixlen?: number;
  readonly max_prefixlen?: number;
  readonly default_prefixlen?: number;
  readonly default_quota?: number;
}

/** Prefixes sorted, those inside others left out and neighbours joined. */
export function compact(prefixes: readonly string[]): string[] {
  let rest: Cidr[] = prefixes
    .map(storedCidr)
    .sort((a, b) => (a.base < b.base ? -1 : a.base > b.base ? 1 : a.prefix - b.prefix));
  for (let joined = true; joined;) {
    joined = false;
    const next: Cidr[] = [];
    for (const one of rest) {
      const last = next.at(-1);
      if (last && cidrRange(last).end >= cidrRange(one).end) continue;
      const parent = last && last.prefix === one.prefix ? last.prefix - 1 : -1;
      const size = last ? cidrRange(last).end - last.base + 1n : 0n;
      if (last && parent >= 0 && last.base + size === one.base && last.base % (size * 2n) === 0n) {
        next[next.length - 1] = { ...last, prefix: parent };
        joined = true;
      } else next.push(one);
    }
    rest = next;
  }
  return rest.map(formatCidr);
}

function versionOf(prefixes: readonly string[]): IpVersion {
  const versions = new Set(prefixes.map((prefix) => storedCidr(prefix).version));
  const [version] = versions;
  if (version === undefined) throw new InvalidError('Empty subnet pool prefix list.', 'EmptySubnetPoolPrefixList');
  if (versions.size > 1)
    throw new InvalidError('Cannot mix IPv4 and IPv6 prefixes in a subnet pool.', 'PrefixVersionMismatch');
  return version;
}

type Lengths = Pick<SubnetPool, 'min_prefixlen' | 'max_prefixlen' | 'default_prefixlen'>;

/** @throws InvalidError IllegalSubnetPoolPrefixBounds, UnsupportedMinSubnetPoolPrefix */
function checkLengths(lengths: Lengths, version: IpVersion): void {
  const { min_prefixlen: min, max_prefixlen: max, default_prefixlen: standard } = lengths;
  const bits = bitsOf(version);
  const illegal = (type: string, length: number, baseType: string, base: number): never => {
    throw new InvalidError(
      `Illegal prefix bounds: ${type}=${length}, ${baseType}=${base}.`,
      'IllegalSubnetPoolPrefixBounds',
    );
  };
  const least = version === 4 ? 0 : 1;
  if (min < least)
    throw new InvalidError(`Prefix '${min}' not supported in IPv${version} pool.`, 'UnsupportedMinSubnetPoolPrefix');
  if (max > bits) illegal('max_prefixlen', max, 'ip_version_max', bits);
  if (min > max) illegal('min_prefixlen', min, 'max_prefixlen', max);
  if (standard < min) illegal('default_prefixlen', standard, 'min_prefixlen', min);
  if (standard > max) illegal('default_prefixlen', standard, 'max_prefixlen', max);
}

async function checkDefault(context: NetworkContext, version: number, id: string | undefined): Promise<void> {
  const other = await context.session.findOne(subnetPools, { is_default: true, ip_version: version });
  if (other && other.id !== id)
    throw invalidInput(
      `A default subnetpool for this IP family has already been set. Only one default may exist per IP family`,
    );
}

/** @throws ApiError OverQuota, EmptySubnetPoolPrefixList, PrefixVersionMismatch, IllegalSubnetPoolPrefixBounds, InvalidInput */
export async function createSubnetPool(
  context: NetworkContext,
  projectId: string,
  values: SubnetPoolValues,
): Promise<SubnetPool> {
  const { session, cloud } = context;
  await takeQuota(session, projectId, 'subnetpool');
  const prefixes = compact(values.prefixes ?? []);
  const version = versionOf(prefixes);
  const min = values.min_prefixlen ?? (version === 4 ? 8 : 64);
  const lengths = {
    min_prefixlen: min,
    max_prefixlen: values.max_prefixlen ?? bitsOf(version),
    default_prefixlen: values.default_prefixlen ?? min,
  };
  checkLengths(lengths, version);
  if (values.is_default) await checkDefault(context, version, undefined);
  const now = cloud.clock.now();
  const pool: SubnetPool = {
    id: newId(),
    project_id: projectId,
    name: values.name ?? '',
    description: values.description ?? '',
    created_at: now,
    updated_at: now,
    revision: 0,
    ip_version: version,
    shared: values.shared ?? false,
    is_default: values.is_default ?? false,
    prefixes,
    ...lengths,
    default_quota: values.default_quota ?? null,
  };
  await session.insert(subnetPools, pool);
  return pool;
}

/** Whether each of the old prefixes lies in one of the new. */
function covers(wide: readonly string[], narrow: readonly string[]): boolean {
  return narrow
    .map(storedCidr)
    .every((one) =>
      wide
        .map(storedCidr)
        .some(
          (other) =>
            other.version === one.version && other.base <= one.base && cidrRange(other).end >= cidrRange(one).end,
        ),
    );
}

/** @throws ApiError as createSubnetPool, and IllegalSubnetPoolPrefixUpdate when prefixes would be lost */
export async function updateSubnetPool(
  context: NetworkContext,
  pool: SubnetPool,
  values: SubnetPoolValues,
): Promise<SubnetPool> {
  const version: IpVersion = pool.ip_version === 4 ? 4 : 6;
  const prefixes = values.prefixes ? compact(values.prefixes) : pool.prefixes;
  if (values.prefixes) {
    if (versionOf(prefixes) !== version)
      throw new InvalidError('Cannot mix IPv4 and IPv6 prefixes in a subnet pool.', 'PrefixVersionMismatch');
    if (!covers(prefixes, pool.prefixes))
      throw new InvalidError(
        'Illegal update to prefixes: Existing prefixes must be a subset of the new prefixes.',
        'IllegalSubnetPoolPrefixUpdate',
      );
  }
  const lengths = {
    min_prefixlen: values.min_prefixlen ?? pool.min_prefixlen,
    max_prefixlen: values.max_prefixlen ?? pool.max_prefixlen,
    default_prefixlen: values.default_prefixlen ?? pool.default_prefixlen,
  };
  checkLengths(lengths, version);
  if (values.is_default) await checkDefault(context, version, pool.id);
  const set = {
    name: values.name ?? pool.name,
    description: values.description ?? pool.description,
    prefixes,
    ...lengths,
    is_default: values.is_default ?? pool.is_default,
    default_quota: values.default_quota ?? pool.default_quota,
    ...touched(context, pool),
  };
  await context.session.update(subnetPools, { id: pool.id }, set);
  return { ...pool, ...set };
}

/** Adds prefixes to those that are there. @throws as updateSubnetPool */
export async function addPrefixes(
  context: NetworkContext,
  pool: SubnetPool,
  prefixes: readonly string[],
): Promise<SubnetPool> {
  return updateSubnetPool(context, pool, { prefixes: [...pool.prefixes, ...prefixes] });
}

/** What is left of a range without a part of it. */
function without(one: Cidr, hole: Cidr): Cidr[] {
  const [all, gone] = [cidrRange(one), cidrRange(hole)];
  if (one.version !== hole.version || gone.end < all.start || gone.start > all.end) return [one];
  if (gone.start <= all.start && gone.end >= all.end) return [];
  const half = { version: one.version, prefix: one.prefix + 1 };
  const size = (all.end - all.start + 1n) / 2n;
  return [...without({ ...half, base: one.base }, hole), ...without({ ...half, base: one.base + size }, hole)];
}

/** Takes prefixes out of a pool. @throws InvalidError IllegalSubnetPoolPrefixUpdate while subnets are in them */
export async function removePrefixes(
  context: NetworkContext,
  pool: SubnetPool,
  prefixes: readonly string[],
): Promise<SubnetPool> {
  const holes = prefixes.map(storedCidr);
  const left = holes.reduce((rest, hole) => rest.flatMap((one) => without(one, hole)), pool.prefixes.map(storedCidr));
  const remaining = compact(left.map(formatCidr));
  const used = await context.session.find(subnets, { where: { subnetpool_id: pool.id } });
  if (
    !covers(
      remaining,
      used.map((subnet) => subnet.cidr),
    )
  )
    throw new InvalidError(
      'Illegal update to prefixes: A prefix can not be removed while subnets are allocated from it.',
      'IllegalSubnetPoolPrefixUpdate',
    );
  if (remaining.length === 0) throw new InvalidError('Empty subnet pool prefix list.', 'EmptySubnetPoolPrefixList');
  const set = { prefixes: remaining, ...touched(context, pool) };
  await context.session.update(subnetPools, { id: pool.id }, set);
  return { ...pool, ...set };
}

/** @throws InvalidError SubnetPoolDeleteError while subnets come from it */
export async function deleteSubnetPool(context: NetworkContext, pool: SubnetPool): Promise<void> {
  const { session } = context;
  if ((await session.count(subnets, { subnetpool_id: pool.id })) > 0)
    throw new InvalidError(
      'Unable to delete subnet pool: Subnet pool has existing allocations.',
      'SubnetPoolDeleteError',
    );
  await session.delete(networkTags, { resource_id: pool.id });
  await session.delete(subnetPools, { id: pool.id });
  await returnQuota(session, pool.project_id, 'subnetpool');
}
