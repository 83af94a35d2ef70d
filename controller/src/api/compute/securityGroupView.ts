// Security groups in compute's old form: ingress rules only, with ports and a range or a group.
import { In, type ReadSession } from '../../db';
import {
  securityGroupRules,
  securityGroups,
  type SecurityGroup,
  type SecurityGroupRule,
} from '../../db/entities/network';

interface GroupName {
  readonly name: string;
  readonly tenant_id: string;
}

/** What old clients expect where no ports are given. */
function portsOf(rule: SecurityGroupRule): { from_port: number | null; to_port: number | null } {
  const { protocol, port_range_min: from, port_range_max: to } = rule;
  if (protocol === null || from !== null || to !== null) return { from_port: from, to_port: to };
  return ['tcp', 'udp'].includes(protocol) ? { from_port: 1, to_port: 65535 } : { from_port: -1, to_port: -1 };
}

function rangeOf(rule: SecurityGroupRule): string {
  return rule.remote_ip_prefix ?? (rule.ethertype === 'IPv6' ? '::/0' : '0.0.0.0/0');
}

export const ruleView = (rule: SecurityGroupRule, remote: GroupName | undefined) => ({
  id: rule.id,
  parent_group_id: rule.security_group_id,
  ip_protocol: rule.protocol,
  ...portsOf(rule),
  group: remote ?? {},
  ip_range: remote ? {} : { cidr: rangeOf(rule) },
});

/** Groups with their ingress rules, in two queries. */
export async function groupViews(session: ReadSession, groups: readonly SecurityGroup[]): Promise<object[]> {
  const rules = await session.find(securityGroupRules, {
    where: { security_group_id: In(groups.map((group) => group.id)), direction: 'ingress' },
    order: { created_at: 'ASC', id: 'ASC' },
  });
  const named = await session.find(securityGroups, {
    where: { id: In([...new Set(rules.flatMap((rule) => rule.remote_group_id ?? []))]) },
  });
  const names = new Map(named.map((group) => [group.id, { name: group.name, tenant_id: group.project_id }]));
  return groups.map((group) => ({
    id: group.id,
    name: group.name,
    description: group.description,
    tenant_id: group.project_id,
    rules: rules
      .filter((rule) => rule.security_group_id === group.id)
      .map((rule) => ruleView(rule, rule.remote_group_id === null ? undefined : names.get(rule.remote_group_id))),
  }));
}
