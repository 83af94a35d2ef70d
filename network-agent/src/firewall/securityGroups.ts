// Security groups as iptables chains: one pair per group, one pair per port, and the chains that dispatch to them.
import type { PortState, SecurityGroupRuleState, SecurityGroupState } from '@cumulet/common';
import { CumuletError } from '@cumulet/common';
import { parsePrefix, prefixText, type Family } from '../addresses';
import { groupChain, groupSet, portChain, safeId, tapName } from '../names';
import { protocolMatch } from './protocols';

/** Rules of one table by chain, without the leading "-A chain". */
export type Chains = ReadonlyMap<string, readonly string[]>;

/** Where a packet goes that its sender's rules allow: the receiver's rules, then out. */
const ALLOWED = 'cumulet-ok';
const ESTABLISHED = '-m conntrack --ctstate RELATED,ESTABLISHED';
const INVALID = '-m conntrack --ctstate INVALID -j DROP';

const familyName = (family: Family): string => (family === 4 ? 'IPv4' : 'IPv6');

function remoteMatch(rule: SecurityGroupRuleState, family: Family): string[] {
  const ingress = rule.direction === 'ingress';
  if (rule.remote_group_id !== null) {
    return [`-m set --match-set ${groupSet(family, rule.remote_group_id)} ${ingress ? 'src' : 'dst'}`];
  }
  if (rule.remote_ip_prefix === null) return [];
  const prefix = parsePrefix(rule.remote_ip_prefix);
  if (prefix.family !== family) {
    throw new CumuletError('bad_rule', `${rule.remote_ip_prefix} is not an ${familyName(family)} prefix`);
  }
  return prefix.length === 0 ? [] : [`${ingress ? '-s' : '-d'} ${prefixText(prefix)}`];
}

/** One rule of a group as iptables writes it. @throws CumuletError bad_rule, bad_address, bad_id */
export function groupRule(rule: SecurityGroupRuleState, family: Family): string {
  const target = rule.direction === 'ingress' ? '-j ACCEPT' : `-g ${ALLOWED}`;
  return [
    ...remoteMatch(rule, family),
    ...protocolMatch(rule.protocol, family, rule.port_range_min, rule.port_range_max),
    `-m comment --comment ${safeId(rule.id)}`,
    target,
  ].join(' ');
}

/** Both chains of a group. @throws CumuletError when one of its rules can't be expressed */
export function groupChains(group: SecurityGroupState, family: Family): Map<string, string[]> {
  const of = (direction: 'ingress' | 'egress'): string[] =>
    group.rules
      .filter((rule) => rule.direction === direction && rule.ethertype === familyName(family))
      .map((rule) => groupRule(rule, family));
  return new Map([
    [groupChain('i', group.id), of('ingress')],
    [groupChain('o', group.id), of('egress')],
  ]);
}

/** What a port needs to live on its network whatever its groups say: its address, its neighbours, its router. */
function basicIngress(family: Family, dhcpServers: readonly string[]): string[] {
  if (family === 6) {
    return [
      '-p 17 -m udp --sport 547 --dport 546 -s fe80::/64 -j ACCEPT',
      ...[130, 134, 135, 136].map((type) => `-p 58 -m icmp6 --icmpv6-type ${type} -j ACCEPT`),
    ];
  }
  return dhcpServers.map((server) => `-s ${server} -p 17 -m udp --sport 67 --dport 68 -j ACCEPT`);
}

function basicEgress(family: Family): string[] {
  if (family === 6) {
    return [
      // Again here, where fragments have been joined and can't hide the header.
      '-p 17 -m udp --sport 547 -j DROP',
      ...[134, 137].map((type) => `-p 58 -m icmp6 --icmpv6-type ${type} -j DROP`),
      `-p 17 -m udp --sport 546 --dport 547 -g ${ALLOWED}`,
      ...[131, 132, 133, 135, 136, 143].map((type) => `-p 58 -m icmp6 --icmpv6-type ${type} -g ${ALLOWED}`),
    ];
  }
  return ['-p 17 -m udp --sport 67 -j DROP', `-p 17 -m udp --sport 68 --dport 67 -g ${ALLOWED}`];
}

export interface PortRules {
  readonly port: PortState;
  /** Closed: nothing passes, because its rules don't compile. */
  readonly closed: boolean;
  /** False when one of its groups is stateless: then answers need rules of their own. */
  readonly stateful: boolean;
  /** IPv4 addresses of the network's DHCP servers. */
  readonly dhcpServers: readonly string[];
}

function portRules(rules: PortRules, direction: 'i' | 'o', family: Family): string[] {
  const { port, closed, stateful, dhcpServers } = rules;
  const allowed = direction === 'i' ? '-j ACCEPT' : `-g ${ALLOWED}`;
  if (closed || !port.admin_state_up) return ['-j DROP'];
  if (!port.port_security_enabled) return [allowed];
  const basics = direction === 'i' ? basicIngress(family, dhcpServers) : basicEgress(family);
  return [
    ...basics,
    ...(stateful ? [`${ESTABLISHED} ${allowed}`, INVALID] : []),
    ...port.security_group_ids.map((id) => `-m comment --comment ${safeId(id)} -j ${groupChain(direction, id)}`),
    '-j DROP',
  ];
}

/** All chains of the bridged traffic for one family. Veths are our own ends of routers and DHCP servers, which are trusted. */
export function filterChains(
  family: Family,
  ports: readonly PortRules[],
  groups: ReadonlyMap<string, ReadonlyMap<string, readonly string[]>>,
  veths: readonly string[],
): Map<string, readonly string[]> {
  const match = (side: 'in' | 'out', link: string): string =>
    `-m physdev --physdev-${side} ${link} --physdev-is-bridged`;
  const toPort = (side: 'in' | 'out') => (rules: PortRules) =>
    `${match(side, tapName(rules.port.id))} -m comment --comment ${safeId(rules.port.id)} -j ${portChain(side === 'in' ? 'o' : 'i', rules.port.id)}`;
  const chains = new Map<string, readonly string[]>([
    [
      'cumulet-forward',
      [
        ...ports.map(toPort('in')),
        ...veths.map((link) => `${match('in', link)} -g ${ALLOWED}`),
        '-j cumulet-in',
        ...veths.map((link) => `${match('out', link)} -j ACCEPT`),
      ],
    ],
    ['cumulet-in', ports.map(toPort('out'))],
    [ALLOWED, ['-j cumulet-in', '-j ACCEPT']],
  ]);
  for (const rules of ports) {
    chains.set(portChain('i', rules.port.id), portRules(rules, 'i', family));
    chains.set(portChain('o', rules.port.id), portRules(rules, 'o', family));
  }
  for (const group of groups.values()) for (const [name, lines] of group) chains.set(name, lines);
  return chains;
}
