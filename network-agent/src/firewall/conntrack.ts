// Flows that were allowed and no longer are: filters for `conntrack -D`, so that a removed rule also ends what it let in.
import type { PortState, SecurityGroupRuleState } from '@cumulet/common';
import { parsePrefix, prefixText, type Prefix } from '../addresses';
import type { Desired } from '../desired';
import { protocolNumber } from './protocols';

const NAMES: Readonly<Record<number, string>> = {
  1: 'icmp',
  6: 'tcp',
  17: 'udp',
  58: 'icmpv6',
  132: 'sctp',
  33: 'dccp',
};
const FAMILY = { 4: 'ipv4', 6: 'ipv6' } as const;

function addressesOf(port: PortState): Prefix[] {
  const texts = [
    ...port.fixed_ips.map((entry) => entry.address),
    ...port.allowed_address_pairs.map((pair) => pair.ip_address),
  ];
  return texts.map(parsePrefix);
}

const everyFlow = (zone: number, prefix: Prefix): string[] =>
  ['-s', '-d'].map((side) => `-D -f ${FAMILY[prefix.family]} -w ${zone} ${side} ${prefixText(prefix)}`);

/** What a rule allows, by the remotes it allows it to. */
interface Allowance {
  readonly rule: SecurityGroupRuleState;
  /** Null: anybody. */
  readonly remote: string | null;
}

function allowances(port: PortState, desired: Desired): Map<string, Allowance> {
  const found = new Map<string, Allowance>();
  for (const groupId of port.security_group_ids) {
    for (const rule of desired.groups.get(groupId)?.rules ?? []) {
      const remotes =
        rule.remote_group_id === null
          ? [rule.remote_ip_prefix]
          : (desired.groups.get(rule.remote_group_id)?.members ?? []);
      for (const remote of remotes) {
        const { direction, ethertype, protocol, port_range_min: low, port_range_max: high } = rule;
        found.set(JSON.stringify([direction, ethertype, protocol, low, high, remote]), { rule, remote });
      }
    }
  }
  return found;
}

function flowsOf({ rule, remote }: Allowance, zone: number, prefix: Prefix): string[] {
  if (rule.ethertype !== `IPv${prefix.family}`) return [];
  const number = protocolNumber(rule.protocol, prefix.family);
  const name = number === undefined ? undefined : NAMES[number];
  const [own, other] = rule.direction === 'ingress' ? ['-d', '-s'] : ['-s', '-d'];
  const single =
    (name === 'tcp' || name === 'udp') && rule.port_range_min === rule.port_range_max ? rule.port_range_min : null;
  return [
    [
      `-D -f ${FAMILY[prefix.family]} -w ${zone} ${own} ${prefixText(prefix)}`,
      ...(remote === null || parsePrefix(remote).length === 0 ? [] : [`${other} ${prefixText(parsePrefix(remote))}`]),
      ...(name === undefined ? [] : [`-p ${name}`]),
      ...(single === null ? [] : [`--dport ${single}`]),
    ].join(' '),
  ];
}

function portFlows(
  port: PortState,
  now: PortState | undefined,
  before: Desired,
  after: Desired,
  zone: number,
): string[] {
  const addresses = addressesOf(port);
  if (
    !now ||
    (now.port_security_enabled && !port.port_security_enabled) ||
    (port.admin_state_up && !now.admin_state_up)
  ) {
    return addresses.flatMap((prefix) => everyFlow(zone, prefix));
  }
  if (!port.port_security_enabled) return [];
  const kept = new Set(addressesOf(now).map(prefixText));
  const left = addresses.filter((prefix) => !kept.has(prefixText(prefix)));
  const still = now.port_security_enabled ? allowances(now, after) : undefined;
  const revoked = still === undefined ? [] : [...allowances(port, before)].filter(([key]) => !still.has(key));
  return [
    ...left.flatMap((prefix) => everyFlow(zone, prefix)),
    ...revoked.flatMap(([, allowance]) => addresses.flatMap((prefix) => flowsOf(allowance, zone, prefix))),
  ];
}

/**
 * The filters for what was allowed by `before` and is not by `after`. A state with text that makes no address or rule never was
 * applied, so its ports are skipped. @param zoneOf the conntrack zone of a network; undefined when it had none here
 */
export function staleFlows(
  before: Desired,
  after: Desired,
  zoneOf: (networkId: string) => number | undefined,
): string[] {
  const lines = new Set<string>();
  for (const port of before.ports.values()) {
    const zone = zoneOf(port.network_id);
    if (zone === undefined) continue;
    try {
      for (const line of portFlows(port, after.ports.get(port.id), before, after, zone)) lines.add(line);
    } catch {
      // Such a port was closed: no flow of it ever passed.
    }
  }
  return [...lines];
}
