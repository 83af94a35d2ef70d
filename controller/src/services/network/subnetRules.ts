// What makes a subnet valid, as pure checks: range, gateway, pools, IPv6 modes, routes.
import type { AllocationPool, HostRoute, Subnet } from '../../db/entities/network';
import { InvalidError } from '../../errors';
import {
  cidrRange,
  contains,
  formatAddress,
  overlaps,
  parseAddress,
  parseCidr,
  storedAddress,
  storedCidr,
  usableRange,
  type Cidr,
  type Range,
} from './cidr';
import { conflict, invalidInput } from './errors';

const MAX_DNS_NAMESERVERS = 5;
const MAX_HOST_ROUTES = 20;

const MULTICAST = { 4: '224.0.0.0/4', 6: 'ff00::/8' } as const;
const LOOPBACK = { 4: '127.0.0.0/8', 6: '::1/128' } as const;

/** @throws InvalidError InvalidInput */
export function checkCidr(cidr: Cidr, enableDhcp: boolean): void {
  if (cidr.prefix === 0) throw invalidInput('0 is not allowed as CIDR prefix length');
  if (!enableDhcp) return;
  const hosts = usableRange(cidr);
  if (hosts.end - hosts.start < 1n)
    throw invalidInput('Subnet has a prefix length that is incompatible with DHCP service enabled');
  if (overlaps(cidr, storedCidr(MULTICAST[cidr.version])))
    throw invalidInput('Multicast IP subnet is not supported if enable_dhcp is True.');
  if (overlaps(cidr, storedCidr(LOOPBACK[cidr.version])))
    throw invalidInput('Loopback IP subnet is not supported if enable_dhcp is True.');
}

/** @throws InvalidError InvalidInput that does not say which subnet it overlaps */
export function checkOverlap(cidr: Cidr, networkId: string, others: readonly Subnet[], text: string): void {
  if (others.some((other) => overlaps(cidr, storedCidr(other.cidr))))
    throw invalidInput(`Requested subnet with cidr: ${text} for network: ${networkId} overlaps with another subnet`);
}

/** The address that routers take unless a subnet says otherwise: its first. */
export function defaultGateway(cidr: Cidr): string | null {
  const { start, end } = usableRange(cidr);
  return start > end ? null : formatAddress(cidr.version, start);
}

/** @throws InvalidError InvalidInput for a gateway that ports of the subnet can't reach */
export function checkGateway(cidr: Cidr, gateway: string): void {
  const address = parseAddress(gateway);
  if (!address || address.version !== cidr.version)
    throw invalidInput(`gateway_ip '${gateway}' does not match the ip_version '${cidr.version}'`);
  const linkLocal = cidr.version === 6 && contains(storedCidr('fe80::/10'), address);
  const { start, end } = cidrRange(cidr);
  const reserved =
    cidr.version === 4 && cidr.prefix < 31
      ? address.value === start || address.value === end
      : cidr.version === 6 && cidr.prefix < 127 && address.value === start;
  if (linkLocal) return;
  if (!contains(cidr, address) || reserved) throw invalidInput('Gateway is not valid on subnet');
}

/** All usable addresses but the gateway's. */
export function defaultPools(cidr: Cidr, gateway: string | null): AllocationPool[] {
  const { start, end } = usableRange(cidr);
  const address = gateway === null ? undefined : parseAddress(gateway);
  const inside = address && address.version === cidr.version && address.value >= start && address.value <= end;
  const ranges: Range[] = inside
    ? [
        { start, end: address.value - 1n },
        { start: address.value + 1n, end },
      ]
    : [{ start, end }];
  return ranges
    .filter((range) => range.start <= range.end)
    .map((range) => ({ start: formatAddress(cidr.version, range.start), end: formatAddress(cidr.version, range.end) }));
}

const shown = (pool: AllocationPool): string => `${pool.start}-${pool.end}`;

/** @throws ApiError InvalidAllocationPool, OutOfBoundsAllocationPool, OverlappingAllocationPools, GatewayConflictWithAllocationPools */
export function checkPools(cidr: Cidr, pools: readonly AllocationPool[], gateway: string | null): void {
  const usable = usableRange(cidr);
  const ranges = pools.map((pool) => {
    const [start, end] = [parseAddress(pool.start), parseAddress(pool.end)];
    if (!start || !end || start.version !== cidr.version || end.version !== cidr.version || start.value > end.value)
      throw new InvalidError(`The allocation pool ${shown(pool)} is not valid.`, 'InvalidAllocationPool');
    if (start.value < usable.start || end.value > usable.end)
      throw new InvalidError(
        `The allocation pool ${shown(pool)} spans beyond the subnet cidr ${formatAddress(cidr.version, cidr.base)}/${cidr.prefix}.`,
        'OutOfBoundsAllocationPool',
      );
    return { pool, start: start.value, end: end.value };
  });
  ranges.forEach((one, at) => {
    const other = ranges.slice(at + 1).find((later) => one.start <= later.end && later.start <= one.end);
    if (other)
      throw conflict(
        'OverlappingAllocationPools',
        `Found overlapping allocation pools: ${shown(one.pool)} ${shown(other.pool)} for subnet ${formatAddress(cidr.version, cidr.base)}/${cidr.prefix}.`,
      );
  });
  const address = gateway === null ? undefined : storedAddress(gateway);
  const taken = address && ranges.find((range) => address.value >= range.start && address.value <= range.end);
  if (taken && address.version === cidr.version)
    throw conflict(
      'GatewayConflictWithAllocationPools',
      `Gateway ip ${gateway ?? ''} conflicts with allocation pool ${shown(taken.pool)}.`,
    );
}

export interface Ipv6Modes {
  readonly ipv6_ra_mode: string | null;
  readonly ipv6_address_mode: string | null;
}

/** @throws InvalidError InvalidInput for combinations that no guest could work with */
export function checkIpv6Modes(modes: Ipv6Modes, cidr: Cidr, enableDhcp: boolean): void {
  const { ipv6_ra_mode: ra, ipv6_address_mode: address } = modes;
  if (ra === null && address === null) return;
  if (cidr.version === 4)
    throw invalidInput('ipv6_ra_mode or ipv6_address_mode cannot be set when ip_version is set to 4.');
  if (!enableDhcp)
    throw invalidInput('ipv6_ra_mode or ipv6_address_mode cannot be set when enable_dhcp is set to False.');
  if (ra !== null && address !== null && ra !== address)
    throw invalidInput(
      `ipv6_ra_mode set to '${ra}' with ipv6_address_mode set to '${address}' is not valid. If both attributes are set, they must be the same value`,
    );
  if ([ra, address].some((mode) => mode === 'slaac' || mode === 'dhcpv6-stateless') && cidr.prefix !== 64)
    throw invalidInput(
      `Invalid CIDR ${formatAddress(6, cidr.base)}/${cidr.prefix} for IPv6 address mode. OpenStack uses the EUI-64 address format, which requires the prefix to be /64`,
    );
}

/** @throws InvalidError DNSNameServersExhausted, HostRoutesExhausted, InvalidInput */
export function checkOptions(
  subnetId: string,
  version: number,
  dns: readonly string[],
  routes: readonly HostRoute[],
): void {
  if (dns.length > MAX_DNS_NAMESERVERS)
    throw new InvalidError(
      `Unable to complete operation for ${subnetId}. The number of DNS nameservers exceeds the limit ${MAX_DNS_NAMESERVERS}.`,
      'DNSNameServersExhausted',
    );
  if (routes.length > MAX_HOST_ROUTES)
    throw new InvalidError(
      `Unable to complete operation for ${subnetId}. The number of host routes exceeds the limit ${MAX_HOST_ROUTES}.`,
      'HostRoutesExhausted',
    );
  for (const route of routes) {
    if (parseCidr(route.destination)?.version !== version || parseAddress(route.nexthop)?.version !== version)
      throw invalidInput(
        `host_routes '${route.destination}' via '${route.nexthop}' does not match the ip_version '${version}'`,
      );
  }
}
