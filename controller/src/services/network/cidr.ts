// Address arithmetic: addresses as whole numbers, CIDRs, ranges and the addresses that follow from a MAC.
import * as ipaddr from 'ipaddr.js';

export type IpVersion = 4 | 6;

export interface Address {
  readonly version: IpVersion;
  readonly value: bigint;
}

export interface Cidr {
  readonly version: IpVersion;
  /** The first address: host bits are zero. */
  readonly base: bigint;
  readonly prefix: number;
}

export interface Range {
  readonly start: bigint;
  readonly end: bigint;
}

export const bitsOf = (version: IpVersion): number => (version === 4 ? 32 : 128);

const toNumber = (bytes: readonly number[]): bigint => bytes.reduce((sum, byte) => sum * 256n + BigInt(byte), 0n);

/** Reads an address in its usual form (four decimals, or IPv6 without a zone); undefined for anything else. */
export function parseAddress(text: string): Address | undefined {
  if (ipaddr.IPv4.isValidFourPartDecimal(text)) return { version: 4, value: toNumber(ipaddr.IPv4.parse(text).octets) };
  if (text.includes(':') && !text.includes('%') && ipaddr.IPv6.isValid(text))
    return { version: 6, value: toNumber(ipaddr.IPv6.parse(text).toByteArray()) };
  return undefined;
}

/** The canonical text of an address (RFC 5952 for IPv6). */
export function formatAddress(version: IpVersion, value: bigint): string {
  const bytes = Array.from({ length: bitsOf(version) / 8 }, (_, at) =>
    Number((value >> BigInt(8 * at)) & 255n),
  ).reverse();
  return version === 4 ? bytes.join('.') : new ipaddr.IPv6(bytes).toRFC5952String();
}

/** The canonical text of a valid address; undefined for anything else. */
export function canonicalAddress(text: string): string | undefined {
  const address = parseAddress(text);
  return address && formatAddress(address.version, address.value);
}

/** Reads "address/prefix"; host bits are cut off. Undefined for anything else. */
export function parseCidr(text: string): Cidr | undefined {
  const match = /^([^/]+)\/(\d{1,3})$/.exec(text);
  const address = match?.[1] === undefined ? undefined : parseAddress(match[1]);
  const prefix = Number(match?.[2]);
  if (!address || prefix > bitsOf(address.version)) return undefined;
  const hostBits = BigInt(bitsOf(address.version) - prefix);
  return { version: address.version, base: (address.value >> hostBits) << hostBits, prefix };
}

/** As parseCidr, for texts that were checked when they were stored. */
export function storedCidr(text: string): Cidr {
  const cidr = parseCidr(text);
  if (!cidr) throw new Error(`'${text}' in the database is not a CIDR`);
  return cidr;
}

/** As parseAddress, for texts that were checked when they were stored. */
export function storedAddress(text: string): Address {
  const address = parseAddress(text);
  if (!address) throw new Error(`'${text}' in the database is not an address`);
  return address;
}

export const formatCidr = (cidr: Cidr): string => `${formatAddress(cidr.version, cidr.base)}/${cidr.prefix}`;

/** All addresses of a CIDR, from the first to the last. */
export function cidrRange(cidr: Cidr): Range {
  return { start: cidr.base, end: cidr.base + (1n << BigInt(bitsOf(cidr.version) - cidr.prefix)) - 1n };
}

export function contains(cidr: Cidr, address: Address): boolean {
  const { start, end } = cidrRange(cidr);
  return address.version === cidr.version && address.value >= start && address.value <= end;
}

export function overlaps(one: Cidr, other: Cidr): boolean {
  const [a, b] = [cidrRange(one), cidrRange(other)];
  return one.version === other.version && a.start <= b.end && b.start <= a.end;
}

/**
 * What may be given to ports: for IPv4 all but the network and broadcast address (/31 and /32 have none), for IPv6 all but the
 * first, the subnet-router anycast address.
 */
export function usableRange(cidr: Cidr): Range {
  const { start, end } = cidrRange(cidr);
  const hostBits = bitsOf(cidr.version) - cidr.prefix;
  if (hostBits <= 1) return { start, end };
  return { start: start + 1n, end: cidr.version === 4 ? end - 1n : end };
}

/** The IPv6 address that a guest makes from its MAC (EUI-64, RFC 4291). */
export function eui64Address(cidr: Cidr, mac: string): string {
  const bytes = mac.split(':').map((part) => BigInt(`0x${part}`));
  const [a = 0n, b = 0n, c = 0n, d = 0n, e = 0n, f = 0n] = bytes;
  const id = [a ^ 2n, b, c, 0xffn, 0xfen, d, e, f].reduce((sum, byte) => sum * 256n + byte, 0n);
  return formatAddress(6, cidr.base | id);
}

/** The MAC behind an EUI-64 link-local address; undefined for any other address. */
export function linkLocalMac(text: string): string | undefined {
  const address = parseAddress(text);
  if (address?.version !== 6 || address.value >> 64n !== 0xfe80n << 48n) return undefined;
  const bytes = Array.from({ length: 8 }, (_, at) => Number((address.value >> BigInt(8 * (7 - at))) & 255n));
  const [a = 0, b = 0, c = 0, marker, markerEnd, d = 0, e = 0, f = 0] = bytes;
  if (marker !== 0xff || markerEnd !== 0xfe) return undefined;
  return [a ^ 2, b, c, d, e, f].map((byte) => byte.toString(16).padStart(2, '0')).join(':');
}
