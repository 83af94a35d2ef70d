// Arithmetic on addresses and prefixes: everything that later stands in a rule has passed through here.
import { isIP } from 'node:net';
import { CumuletError } from '@cumulet/common';
import ipaddr from 'ipaddr.js';

export type Family = 4 | 6;

export interface Prefix {
  readonly family: Family;
  /** The first address, in canonical text. */
  readonly address: string;
  readonly length: number;
}

function bad(text: string): CumuletError {
  return new CumuletError('bad_address', `${JSON.stringify(text)} is not an IP address or prefix`);
}

/** The family of a plain address. @throws CumuletError bad_address */
export function familyOf(text: string): Family {
  const family = isIP(text);
  // A zone ("fe80::1%eth0") is valid for sockets but means nothing in a rule.
  if ((family !== 4 && family !== 6) || text.includes('%')) throw bad(text);
  return family;
}

/** An address or a prefix ("10.0.0.0/24"), host bits cleared. @throws CumuletError bad_address */
export function parsePrefix(text: string): Prefix {
  const [address = '', length, ...rest] = text.split('/');
  const family = familyOf(address);
  const widest = family === 4 ? 32 : 128;
  if (rest.length > 0 || (length !== undefined && !/^\d{1,3}$/.test(length))) throw bad(text);
  const bits = length === undefined ? widest : Number(length);
  if (bits > widest) throw bad(text);
  const kind = family === 4 ? ipaddr.IPv4 : ipaddr.IPv6;
  return { family, address: kind.networkAddressFromCIDR(`${address}/${bits}`).toString(), length: bits };
}

/** A prefix as rules write it: without the length when it is one address. */
export function prefixText(prefix: Prefix): string {
  const single = prefix.length === (prefix.family === 4 ? 32 : 128);
  return single ? prefix.address : `${prefix.address}/${prefix.length}`;
}

/** An address with its length on an interface ("10.0.0.1/24"), host bits kept. @throws CumuletError bad_address */
export function parseInterfaceAddress(text: string): { family: Family; address: string; length: number } {
  const { family, length } = parsePrefix(text);
  const [address = ''] = text.split('/');
  return { family, address: canonical(address), length };
}

/** The one spelling of an address. @throws CumuletError bad_address */
export function canonical(text: string): string {
  return parsePrefix(text).address;
}

/** Whether the outer prefix covers all of the inner one. */
export function covers(outer: Prefix, inner: Prefix): boolean {
  if (outer.family !== inner.family || outer.length > inner.length) return false;
  return ipaddr.parse(inner.address).match(ipaddr.parse(outer.address), outer.length);
}

/** The same set of addresses without doubles and overlaps: nft refuses overlapping elements. */
export function withoutOverlaps(prefixes: readonly Prefix[]): Prefix[] {
  const widestFirst = [...prefixes].sort((a, b) => a.length - b.length);
  const kept: Prefix[] = [];
  for (const prefix of widestFirst) if (!kept.some((other) => covers(other, prefix))) kept.push(prefix);
  return kept;
}

/** First and last address of an IPv6 prefix as numbers. */
export function ipv6Range(prefix: Prefix): { readonly first: bigint; readonly last: bigint } {
  const first = ipaddr.IPv6.parse(prefix.address)
    .toByteArray()
    .reduce((value, byte) => (value << 8n) | BigInt(byte), 0n);
  return { first, last: first + (1n << BigInt(128 - prefix.length)) - 1n };
}

/** The link-local address that a MAC address makes by RFC 4291, appendix A (modified EUI-64). */
export function linkLocalOf(mac: string): string {
  const bytes = mac.split(':').map((part) => parseInt(part, 16));
  const [a = 0, b = 0, c = 0, d = 0, e = 0, f = 0] = bytes;
  return ipaddr.fromByteArray([0xfe, 0x80, 0, 0, 0, 0, 0, 0, a ^ 2, b, c, 0xff, 0xfe, d, e, f]).toString();
}

/** The MAC address behind an EUI-64 link-local address, or undefined for another kind of address. */
export function macOfLinkLocal(address: string): string | undefined {
  const plain = address.replace(/%.*/, '');
  if (isIP(plain) !== 6) return undefined;
  const bytes = ipaddr.IPv6.parse(plain).toByteArray();
  const [flags = 0, b = 0, c = 0, ff = 0, fe = 0, d = 0, e = 0, f = 0] = bytes.slice(8);
  if (bytes[0] !== 0xfe || bytes[1] !== 0x80 || ff !== 0xff || fe !== 0xfe) return undefined;
  return [flags ^ 2, b, c, d, e, f].map((byte) => byte.toString(16).padStart(2, '0')).join(':');
}

/** Whether a text is a MAC address as rules may contain it. */
export function isMac(text: string): boolean {
  return /^([0-9a-f]{2}:){5}[0-9a-f]{2}$/.test(text);
}
