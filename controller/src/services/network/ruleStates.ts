// Security group rules as the agent gets them: an address group becomes one rule per prefix.
import type { SecurityGroupRuleState } from '@cumulet/common';
import type { addressGroupAddresses, SecurityGroupRule } from '../../db/entities/network';
import type { Row } from '../../db';

type Prefix = Row<typeof addressGroupAddresses>;

function ruleState(rule: SecurityGroupRule, id: string, prefix: string | null): SecurityGroupRuleState {
  return {
    id,
    direction: rule.direction === 'ingress' ? 'ingress' : 'egress',
    ethertype: rule.ethertype === 'IPv4' ? 'IPv4' : 'IPv6',
    protocol: rule.protocol,
    port_range_min: rule.port_range_min,
    port_range_max: rule.port_range_max,
    remote_ip_prefix: prefix,
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
