// What a guest may put on the wire: stateless rules in the bridge family that tie frames to the port's MAC and IP addresses.
import type { PortState } from '@cumulet/common';
import { CumuletError } from '@cumulet/common';
import { ipv6Range, isMac, linkLocalOf, parsePrefix, prefixText, withoutOverlaps, type Prefix } from '../addresses';

/** The rules of one port: frames from it (`in`) and frames to it (`out`). */
export interface FrameRules {
  readonly in: readonly string[];
  readonly out: readonly string[];
}

/** Nothing passes in either direction. */
export const closedFrames: FrameRules = { in: ['drop'], out: ['drop'] };

function sourcesByMac(port: PortState): Map<string, Prefix[]> {
  const sources = new Map<string, Prefix[]>();
  const add = (mac: string, text: string): void => {
    if (!isMac(mac)) throw new CumuletError('bad_mac', `${JSON.stringify(mac)} is not a MAC address`);
    sources.set(mac, [...(sources.get(mac) ?? []), parsePrefix(text)]);
  };
  if (!isMac(port.mac)) throw new CumuletError('bad_mac', `${JSON.stringify(port.mac)} is not a MAC address`);
  sources.set(port.mac, []);
  for (const { address } of port.fixed_ips) add(port.mac, address);
  for (const pair of port.allowed_address_pairs) add(pair.mac_address, pair.ip_address);
  return sources;
}

/** "ip saddr { ... }", or nothing to compare when every address is allowed. */
function among(field: string, prefixes: readonly Prefix[]): string {
  if (prefixes.some((prefix) => prefix.length === 0)) return '';
  return `${field} { ${prefixes.map(prefixText).join(', ')} } `;
}

/** The target address of a neighbour message (RFC 4861 section 4.3) as nft 1.0.6 can say it: 16 bytes after 8 of ICMPv6. */
export function targetAmong(prefixes: readonly Prefix[]): string {
  const elements = prefixes.map((prefix) => {
    const { first, last } = ipv6Range(prefix);
    return first === last ? `0x${first.toString(16)}` : `0x${first.toString(16)}-0x${last.toString(16)}`;
  });
  return `@th,64,128 { ${elements.join(', ')} }`;
}

function ipv4Rules(from: string, addresses: readonly Prefix[]): string[] {
  const rules = [`${from} ip saddr 0.0.0.0 ip daddr 255.255.255.255 udp sport 68 udp dport 67 accept`];
  if (addresses.length === 0) return rules;
  return [...rules, `${from} ether type ip ${among('ip saddr', addresses)}accept`];
}

function arpRules(mac: string, addresses: readonly Prefix[]): string[] {
  if (addresses.length === 0) return [];
  const from = `ether saddr ${mac} ether type arp arp saddr ether ${mac}`;
  return [
    `${from} ${among('arp saddr ip', addresses)}accept`,
    // A probe (RFC 5227) names no sender; it may ask only for the port's own addresses, or it blocks its neighbours'.
    `${from} arp saddr ip 0.0.0.0 ${among('arp daddr ip', addresses)}accept`,
  ];
}

function ipv6Rules(mac: string, global: readonly Prefix[]): string[] {
  const from = `ether saddr ${mac}`;
  const addresses = withoutOverlaps([parsePrefix(linkLocalOf(mac)), ...global]);
  return [
    `${from} icmpv6 type nd-neighbor-advert ${among('ip6 saddr', addresses)}${targetAmong(addresses)} accept`,
    `${from} icmpv6 type nd-neighbor-advert drop`,
    `${from} ip6 saddr :: icmpv6 type nd-neighbor-solicit ${targetAmong(addresses)} accept`,
    `${from} ip6 saddr :: icmpv6 type { 131, 132, 133, 143 } accept`,
    `${from} ether type ip6 ${among('ip6 saddr', addresses)}accept`,
  ];
}

/**
 * A port's frame rules. Only ARP, IPv4, IPv6 and RARP (a migrated guest announces itself with it) leave a guarded port: a VLAN
 * tag or PPPoE would carry packets past iptables. @throws CumuletError when the port's addresses make no rule
 */
export function frameRules(port: PortState): FrameRules {
  if (!port.admin_state_up) return closedFrames;
  if (!port.port_security_enabled) return { in: [], out: [] };
  const sources = sourcesByMac(port);
  const accepts = [...sources].flatMap(([mac, prefixes]) => {
    const distinct = withoutOverlaps(prefixes);
    const v4 = distinct.filter((prefix) => prefix.family === 4);
    const v6 = distinct.filter((prefix) => prefix.family === 6);
    return [
      ...arpRules(mac, v4),
      ...ipv4Rules(`ether saddr ${mac}`, v4),
      ...ipv6Rules(mac, v6),
      `ether saddr ${mac} ether type 0x8035 accept`,
    ];
  });
  return {
    in: [
      'ether type ip udp sport 67 drop',
      'ether type ip6 udp sport 547 drop',
      'icmpv6 type { nd-router-advert, nd-redirect } drop',
      // Neighbour messages have hop limit 255 and are never fragmented (RFC 6980): a fragment would hide them from the rules here.
      'ip6 hoplimit 255 exthdr frag exists drop',
      ...accepts,
      'drop',
    ],
    out: [
      `ether daddr & 01:00:00:00:00:00 == 00:00:00:00:00:00 ether daddr != { ${[...sources.keys()].join(', ')} } drop`,
    ],
  };
}
