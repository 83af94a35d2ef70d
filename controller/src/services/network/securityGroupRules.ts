// Rules of security groups: what a valid rule is, when two are the same, and how they come and go.
import { newId } from '@cumulet/common';
import { In } from '../../db';
import {
  securityGroupRules,
  securityGroups,
  type SecurityGroup,
  type SecurityGroupRule,
} from '../../db/entities/network';
import { InvalidError } from '../../errors';
import { changedGroups, recordChanges } from './changes';
import { storedCidr } from './cidr';
import { touched, type NetworkContext } from './context';
import { conflict } from './errors';
import { portProtocols, icmpProtocols, ipv6Protocols } from './protocols';
import { returnQuota, takeQuota } from './quotas';
import { findVisible } from './resource';
import { addressGroupResource, securityGroupResource } from './resources';

export interface RuleValues {
  readonly security_group_id: string;
  readonly direction: string;
  readonly ethertype?: string | null;
  readonly protocol?: string | null;
  readonly port_range_min?: number | null;
  readonly port_range_max?: number | null;
  readonly remote_ip_prefix?: string | null;
  readonly remote_group_id?: string | null;
  readonly remote_address_group_id?: string | null;
  readonly description?: string;
}

type RuleFacts = Pick<
  SecurityGroupRule,
  | 'direction'
  | 'ethertype'
  | 'protocol'
  | 'port_range_min'
  | 'port_range_max'
  | 'remote_ip_prefix'
  | 'remote_group_id'
  | 'remote_address_group_id'
>;

const MAX_PORT = 65_535;
const MAX_ICMP = 255;

function checkIcmp(rule: RuleFacts): void {
  const { port_range_min: type, port_range_max: code } = rule;
  for (const [field, attr, value] of [
    ['port_range_min', 'type', type],
    ['port_range_max', 'code', code],
  ] as const) {
    if (value !== null && (value < 0 || value > MAX_ICMP))
      throw new InvalidError(
        `Invalid value for ICMP ${field} (${attr}) ${value}. It must be 0 to 255.`,
        'SecurityGroupInvalidIcmpValue',
      );
  }
  if (type === null && code !== null)
    throw new InvalidError(
      `ICMP code (port-range-max) ${code} is provided but ICMP type (port-range-min) is missing.`,
      'SecurityGroupMissingIcmpType',
    );
}

function checkPorts(rule: RuleFacts): void {
  const { protocol, port_range_min: min, port_range_max: max } = rule;
  if (min === null && max === null) return;
  if (protocol === null)
    throw new InvalidError(
      'Must also specify protocol if port range is given.',
      'SecurityGroupProtocolRequiredWithPorts',
    );
  if (icmpProtocols.has(protocol)) return checkIcmp(rule);
  // A rule that iptables refuses would stop the updates of every other port of its host.
  if (!portProtocols.has(protocol))
    throw new InvalidError(
      `Ports cannot be specified for protocol ${protocol}. Ports are only supported for ${[...portProtocols].join(', ')}.`,
      'SecurityGroupInvalidProtocolForPort',
    );
  if (min === null || max === null || min > max)
    throw new InvalidError(
      'For TCP/UDP protocols, port_range_min must be <= port_range_max',
      'SecurityGroupInvalidPortRange',
    );
  if (min < 1 || max > MAX_PORT)
    throw new InvalidError(`Invalid value for port ${min < 1 ? min : max}`, 'SecurityGroupInvalidPortValue');
}

/** @throws InvalidError for a rule that says nothing or contradicts itself */
function checkRule(rule: RuleFacts): void {
  const remotes = [rule.remote_ip_prefix, rule.remote_group_id, rule.remote_address_group_id];
  if (remotes.filter((remote) => remote !== null).length > 1)
    throw new InvalidError(
      'Only one of remote_ip_prefix or remote_group_id or remote_address_group_id may be provided.',
      'SecurityGroupMultipleRemoteEntites',
    );
  if (rule.remote_ip_prefix !== null && `IPv${storedCidr(rule.remote_ip_prefix).version}` !== rule.ethertype)
    throw new InvalidError(
      `Conflicting value ethertype ${rule.ethertype} for CIDR ${rule.remote_ip_prefix}`,
      'SecurityGroupRuleParameterConflict',
    );
  if (rule.protocol !== null && ipv6Protocols.has(rule.protocol) && rule.ethertype === 'IPv4')
    throw new InvalidError(
      `Invalid ethertype ${rule.ethertype} for protocol ${rule.protocol}.`,
      'SecurityGroupEthertypeConflictWithProtocol',
    );
  checkPorts(rule);
}

const anywhere = (prefix: string | null): string | null =>
  prefix === '0.0.0.0/0' || prefix === '::/0' ? null : prefix;

/** Equal texts mean the same rule: "from anywhere" may be written as no prefix. */
export function ruleIdentity(rule: RuleFacts): string {
  return JSON.stringify([
    rule.direction,
    rule.ethertype,
    rule.protocol,
    rule.port_range_min,
    rule.port_range_max,
    anywhere(rule.remote_ip_prefix),
    rule.remote_group_id,
    rule.remote_address_group_id,
  ]);
}

function factsOf(values: RuleValues): RuleFacts {
  return {
    direction: values.direction,
    ethertype: values.ethertype ?? 'IPv4',
    protocol: values.protocol ?? null,
    port_range_min: values.port_range_min ?? null,
    port_range_max: values.port_range_max ?? null,
    remote_ip_prefix: values.remote_ip_prefix ?? null,
    remote_group_id: values.remote_group_id ?? null,
    remote_address_group_id: values.remote_address_group_id ?? null,
  };
}

async function touchGroup(context: NetworkContext, group: SecurityGroup): Promise<void> {
  await context.session.update(securityGroups, { id: group.id }, touched(context, group));
}

const changesOfRule = (rule: Pick<SecurityGroupRule, 'security_group_id' | 'remote_group_id'>) =>
  changedGroups([rule.security_group_id, ...(rule.remote_group_id === null ? [] : [rule.remote_group_id])]);

/** The group a rule is made in: visible, and the caller's own unless an administrator asks. */
async function groupOfRule(context: NetworkContext, id: string): Promise<SecurityGroup> {
  return findVisible(context.session, context.cloud, context.caller, securityGroupResource, id, 'exclusive');
}

/** @throws ApiError SecurityGroupRuleExists, OverQuota, SecurityGroupNotFound, AddressGroupNotFound and those of checkRule */
export async function createRule(
  context: NetworkContext,
  projectId: string,
  values: RuleValues,
): Promise<SecurityGroupRule> {
  const { session, cloud, caller } = context;
  const group = await groupOfRule(context, values.security_group_id);
  const facts = factsOf(values);
  checkRule(facts);
  if (facts.remote_group_id !== null)
    await findVisible(session, cloud, caller, securityGroupResource, facts.remote_group_id);
  if (facts.remote_address_group_id !== null)
    await findVisible(session, cloud, caller, addressGroupResource, facts.remote_address_group_id);
  const existing = await session.find(securityGroupRules, { where: { security_group_id: group.id } });
  const same = existing.find((row) => ruleIdentity(row) === ruleIdentity(facts));
  if (same) throw conflict('SecurityGroupRuleExists', `Security group rule already exists. Rule id is ${same.id}.`);
  await takeQuota(session, projectId, 'security_group_rule');
  const now = cloud.clock.now();
  const rule: SecurityGroupRule = {
    id: newId(),
    project_id: projectId,
    description: values.description ?? '',
    created_at: now,
    updated_at: now,
    revision: 0,
    security_group_id: group.id,
    ...facts,
  };
  await session.insert(securityGroupRules, rule);
  await touchGroup(context, group);
  await recordChanges(session, cloud, changesOfRule(rule));
  return rule;
}

/** A rule's description is all that can change. */
export async function updateRule(
  context: NetworkContext,
  rule: SecurityGroupRule,
  values: { readonly description?: string },
): Promise<SecurityGroupRule> {
  const set = { description: values.description ?? rule.description, ...touched(context, rule) };
  await context.session.update(securityGroupRules, { id: rule.id }, set);
  return { ...rule, ...set };
}

export async function deleteRule(context: NetworkContext, rule: SecurityGroupRule): Promise<void> {
  const { session, cloud } = context;
  await session.delete(securityGroupRules, { id: In([rule.id]) });
  await returnQuota(session, rule.project_id, 'security_group_rule');
  const group = await session.findOne(securityGroups, { id: rule.security_group_id }, 'exclusive');
  if (group) await touchGroup(context, group);
  await recordChanges(session, cloud, changesOfRule(rule));
}
