// Which addresses a port gets, as a pure plan: from what the request names, the network's subnets and the port's MAC.
import type { AllocationPool, Subnet } from '../../db/entities/network';
import { contains, eui64Address, formatAddress, parseAddress, storedAddress, storedCidr } from './cidr';
import { invalidInput } from './errors';
import type { ApiError } from '../../errors';

export interface FixedIpRequest {
  readonly subnet_id?: string;
  readonly ip_address?: string;
}

/** One address to give out: this one, or any free one of the first candidate that has one. */
export interface AddressWish {
  readonly candidates: readonly Subnet[];
  readonly address?: string;
}

export interface AddressedPort {
  readonly networkId: string;
  readonly deviceOwner: string;
  readonly mac: string;
}

/** Guests of such a subnet make their own address from the MAC. */
export function isAutoAddressSubnet(subnet: Subnet): boolean {
  const modes = [subnet.ipv6_address_mode, subnet.ipv6_ra_mode];
  return subnet.ip_version === 6 && modes.some((mode) => mode === 'slaac' || mode === 'dhcpv6-stateless');
}

export const isRouterOwner = (owner: string): boolean =>
  owner === 'network:router_interface' || owner === 'network:router_gateway';

/** Subnets whose service types name the port's owner; where none does, those that are for everybody. */
function subnetsForOwner(subnets: readonly Subnet[], owner: string): readonly Subnet[] {
  const special = subnets.filter((subnet) =>
    subnet.service_types.some((type) => type !== '' && owner.startsWith(type)),
  );
  return special.length > 0 ? special : subnets.filter((subnet) => subnet.service_types.length === 0);
}

const invalidForNetwork = (address: string): ApiError =>
  invalidInput(`IP address ${address} is not a valid IP for any of the subnets on the specified network.`);

function wishOf(request: FixedIpRequest, subnets: readonly Subnet[], port: AddressedPort): AddressWish | undefined {
  const address = request.ip_address === undefined ? undefined : parseAddress(request.ip_address);
  if (request.ip_address !== undefined && !address)
    throw invalidInput(`'${request.ip_address}' is not a valid IP address.`);
  let subnet: Subnet | undefined;
  if (request.subnet_id !== undefined) {
    subnet = subnets.find((one) => one.id === request.subnet_id);
    if (!subnet)
      throw invalidInput(
        `Failed to create port on network ${port.networkId}, because fixed_ips included invalid subnet ${request.subnet_id}.`,
      );
  } else if (address) {
    subnet = subnets.find((one) => contains(storedCidr(one.cidr), address));
    if (!subnet) throw invalidForNetwork(formatAddress(address.version, address.value));
  } else {
    throw invalidInput('IP allocation requires subnet_id or ip_address.');
  }
  if (!address) {
    if (isAutoAddressSubnet(subnet) && !isRouterOwner(port.deviceOwner)) return undefined;
    return { candidates: [subnet] };
  }
  const text = formatAddress(address.version, address.value);
  if (!contains(storedCidr(subnet.cidr), address) || isReserved(subnet, text))
    throw invalidInput(`IP address ${text} is not a valid IP for the specified subnet.`);
  if (isAutoAddressSubnet(subnet) && !isRouterOwner(port.deviceOwner)) {
    if (text !== eui64Address(storedCidr(subnet.cidr), port.mac))
      throw invalidInput(
        `IPv6 address ${text} can not be directly assigned to a port on subnet ${subnet.id} as the subnet is configured for automatic addresses.`,
      );
    return undefined;
  }
  return { candidates: [subnet], address: text };
}

/** The network and broadcast address of an IPv4 subnet can't be a port's. */
function isReserved(subnet: Subnet, address: string): boolean {
  const cidr = storedCidr(subnet.cidr);
  if (cidr.version === 6 || cidr.prefix >= 31) return false;
  const value = storedAddress(address).value;
  return value === cidr.base || value === cidr.base + (1n << BigInt(32 - cidr.prefix)) - 1n;
}

/**
 * The addresses a port should get. Undefined `requests`: one IPv4 and one IPv6 address, where there are subnets; subnets with
 * automatic addresses are always added. @throws ApiError 400 for requests that don't fit the network
 */
export function planAddresses(
  port: AddressedPort,
  subnets: readonly Subnet[],
  requests: readonly FixedIpRequest[] | undefined,
): AddressWish[] {
  const usable = requests === undefined ? subnetsForOwner(subnets, port.deviceOwner) : subnets;
  const wishes: AddressWish[] = [];
  if (requests === undefined) {
    for (const version of [4, 6]) {
      const candidates = usable.filter((subnet) => subnet.ip_version === version && !isAutoAddressSubnet(subnet));
      if (candidates.length > 0) wishes.push({ candidates });
    }
  } else {
    for (const request of requests) {
      const wish = wishOf(request, subnets, port);
      if (wish) wishes.push(wish);
    }
  }
  const isEmptyList = requests?.length === 0;
  if (!isRouterOwner(port.deviceOwner) && !isEmptyList) {
    for (const subnet of usable.filter(isAutoAddressSubnet))
      wishes.push({ candidates: [subnet], address: eui64Address(storedCidr(subnet.cidr), port.mac) });
  }
  return wishes;
}

/** Up to `count` free addresses of the pools, lowest first. */
export function freeAddresses(
  version: 4 | 6,
  pools: readonly AllocationPool[],
  used: ReadonlySet<string>,
  count: number,
): string[] {
  const found: string[] = [];
  for (const pool of pools) {
    const end = storedAddress(pool.end).value;
    for (let value = storedAddress(pool.start).value; value <= end && found.length < count; value++) {
      const text = formatAddress(version, value);
      if (!used.has(text)) found.push(text);
    }
  }
  return found;
}
