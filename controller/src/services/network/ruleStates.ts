// Security group rules as the agent gets them: an address group becomes one rule per prefix.
import type { SecurityGroupRuleState } from '@cumulet/common';
import type { addressGroupAddresses, SecurityGroupRule } from '../../db/entities/network';
import type { Row } from '../../db';
import { formatCidr, storedCidr } from './cidr';
import { protocolNumbers } from './protocols';

type Prefix = Row<typeof addressGroupAddresses>;

/** Decimal, so that agents need no list of names; protocol 0 (and "ip") is what no protocol says too. */
function protocolText(protocol: string | null): string | null {
  if (protocol === null) return null;
  const named = Object.hasOwn(protocolNumbers, protocol) ? protocolNumbers[protocol] : undefined;
  const text = String(named ?? protocol);
  return text === '0' ? null : text;
}

function ruleState(rule: SecurityGroupRule, id: string, prefix: string | null): SecurityGroupRuleState {
  return {
    id,
    direction: rule.direction === 'ingress' ? 'ingress' : 'egress',
    ethertype: rule.ethertype === 'IPv4' ? 'IPv4' : 'IPv6',
    protocol: protocolText(rule.protocol),
    port_range_min: rule.port_range_min,
    port_range_max: rule.port_range_max,
    remote_ip_prefix: prefix === null ? null : formatCidr(storedCidr(prefix)),
    remote_group_id: rule.remote_group_id,
  };
}

/** Rules in a stable order. A rule for an empty address group allows nobody, so it is left out. */
export function rulesForAgent(
  rules: readonly SecurityGroupRule[],
  prefixes: readonly Prefix[],
): SecurityGroupRuleState[] {
  const states = rules.flatMap((rule) => {
    if (rule.remote_address_group_id === null) return [ruleState(rule, rule.id, rule.remote_ip_prefix)];
    const family = rule.ethertype === 'IPv6';
    return prefixes
      .filter((one) => one.address_group_id === rule.remote_address_group_id && one.address.includes(':') === family)
      .map((one, at) => ruleState(rule, `${rule.id}.${at}`, one.address));
  });
  return states.sort((a, b) => (a.id < b.id ? -1 : 1));
}
