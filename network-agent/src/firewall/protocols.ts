// IP protocols as security group rules name them (IANA numbers; names of the Networking API).
import { CumuletError } from '@cumulet/common';
import type { Family } from '../addresses';

const NUMBERS: Readonly<Record<string, number>> = {
  ah: 51,
  dccp: 33,
  egp: 8,
  esp: 50,
  gre: 47,
  icmp: 1,
  icmpv6: 58,
  igmp: 2,
  ipip: 4,
  'ipv6-encap': 41,
  'ipv6-frag': 44,
  'ipv6-icmp': 58,
  'ipv6-nonxt': 59,
  'ipv6-opts': 60,
  'ipv6-route': 43,
  ospf: 89,
  pgm: 113,
  rsvp: 46,
  sctp: 132,
  tcp: 6,
  udp: 17,
  udplite: 136,
  vrrp: 112,
};

/** Protocols whose packets begin with source and destination port. */
const WITH_PORTS = new Set([6, 17, 33, 132, 136]);
const ICMP: Readonly<Record<Family, number>> = { 4: 1, 6: 58 };

/** A rule's protocol number, or undefined for all of them. @throws CumuletError bad_rule */
export function protocolNumber(protocol: string | null, family: Family): number | undefined {
  if (protocol === null || protocol === 'any' || protocol === '0') return undefined;
  const name = protocol.toLowerCase();
  const named = Object.hasOwn(NUMBERS, name) ? NUMBERS[name] : undefined;
  const number = /^\d{1,3}$/.test(protocol) ? Number(protocol) : named;
  if (number === undefined || number > 255) {
    throw new CumuletError('bad_rule', `${JSON.stringify(protocol)} is not an IP protocol`);
  }
  // The API accepts "icmp" for both families and means the family's own.
  return number === 1 && family === 6 ? 58 : number;
}

function inRange(value: number, highest: number, what: string): number {
  if (!Number.isInteger(value) || value < 0 || value > highest) {
    throw new CumuletError('bad_rule', `${what} ${value} is not between 0 and ${highest}`);
  }
  return value;
}

function icmpMatch(family: Family, type: number | null, code: number | null): string[] {
  if (type === null) {
    if (code !== null) throw new CumuletError('bad_rule', 'an ICMP code needs an ICMP type');
    return [];
  }
  const text = `${inRange(type, 255, 'ICMP type')}${code === null ? '' : `/${inRange(code, 255, 'ICMP code')}`}`;
  return family === 4 ? ['-m icmp --icmp-type', text] : ['-m icmp6 --icmpv6-type', text];
}

/**
 * The match of protocol and ports (for ICMP: type and code) as iptables writes it.
 * @throws CumuletError bad_rule when the ports don't belong to the protocol
 */
export function protocolMatch(
  protocol: string | null,
  family: Family,
  minimum: number | null,
  maximum: number | null,
): string[] {
  const number = protocolNumber(protocol, family);
  if (number === ICMP[family]) return [`-p ${number}`, ...icmpMatch(family, minimum, maximum)];
  const head = number === undefined ? [] : [`-p ${number}`];
  if (minimum === null && maximum === null) return head;
  if (number === undefined || !WITH_PORTS.has(number)) {
    throw new CumuletError('bad_rule', `protocol ${protocol ?? 'any'} has no ports`);
  }
  if (minimum === null || maximum === null) throw new CumuletError('bad_rule', 'a port range needs both ends');
  const [low, high] = [inRange(minimum, 65535, 'port'), inRange(maximum, 65535, 'port')];
  if (low > high) throw new CumuletError('bad_rule', `port range ${low} to ${high} is empty`);
  return [...head, '-m multiport --dports', low === high ? `${low}` : `${low}:${high}`];
}
