// Security group rules in the API.
import type { securityGroupRules } from '../../db/entities/network';
import { InvalidError } from '../../errors';
import { groupOwner } from '../../services/network/groupLookup';
import { protocolNumbers } from '../../services/network/protocols';
import { securityGroupRuleResource } from '../../services/network/resources';
import { createRule, deleteRule, updateRule, type RuleValues } from '../../services/network/securityGroupRules';
import { ensureDefaultGroupOf } from '../../services/network/securityGroups';
import { parseAddress, parseCidr } from '../../services/network/cidr';
import type { ReadBody } from './attribute';
import { initial, readable, required, standardAttributes, writable } from './attribute';
import { oneOf, orNull, shown, text, uuid, type Check } from './checks';
import { conflict } from '../../services/network/errors';
import type { Noun } from './noun';
import { ruleView } from './securityGroupRuleView';
import { ruleIdentity } from '../../services/network/securityGroupRules';

const NAMES = Object.keys(protocolNumbers);

/** A name or a number of 0 to 255; null, '', 'any' and 0 mean every protocol. */
const protocol: Check<string | null> = (value) => {
  const word = typeof value === 'number' ? shown(value) : value;
  if (word === null || word === '' || word === '0' || word === 'any') return null;
  if (typeof word === 'string') {
    if (/^\d{1,3}$/.test(word) && Number(word) <= 255) return String(Number(word));
    if (NAMES.includes(word.toLowerCase())) return word.toLowerCase();
  }
  throw new InvalidError(
    `Security group rule protocol ${shown(value)} not supported. Only protocol values ${NAMES.join(', ')} and integer representations [0 to 255] are supported.`,
    'SecurityGroupRuleInvalidProtocol',
  );
};

const ethertype: Check<string | null> = (value) => {
  if (value === null) return null;
  const found = ['IPv4', 'IPv6'].find((one) => typeof value === 'string' && one.toLowerCase() === value.toLowerCase());
  if (found !== undefined) return found;
  throw new InvalidError(
    `Security group rule for ethertype '${shown(value)}' not supported. Allowed values are ['IPv4', 'IPv6'].`,
    'SecurityGroupRuleInvalidEtherType',
  );
};

const port: Check<number | null> = (value) => {
  if (value === null) return null;
  const number = typeof value === 'string' && /^\d{1,5}$/.test(value) ? Number(value) : value;
  if (typeof number === 'number' && Number.isInteger(number) && number >= 0 && number <= 65_535) return number;
  throw new InvalidError(`Invalid value for port ${shown(value)}`, 'SecurityGroupInvalidPortValue');
};

/** As it was written, a lone address with its full length: the network part is in normalized_cidr. */
const remotePrefix: Check<string | null> = (value) => {
  if (value === null || value === '') return null;
  const word = typeof value === 'string' ? value : '';
  const alone = parseAddress(word);
  const full = alone ? `${word}/${alone.version === 4 ? 32 : 128}` : word;
  if (!parseCidr(full)) throw new InvalidError(`Invalid CIDR ${shown(value)} given as IP prefix.`, 'InvalidCIDR');
  return full;
};

const attributes = {
  ...standardAttributes,
  description: writable(text(), { column: 'description' }),
  security_group_id: required(uuid, { column: 'security_group_id', sort: true }),
  direction: required(oneOf(['ingress', 'egress']), { column: 'direction', sort: true }),
  ethertype: initial(ethertype, { column: 'ethertype', sort: true }),
  protocol: initial(protocol, { column: 'protocol', sort: true }),
  port_range_min: initial(port, { column: 'port_range_min', filter: 'number', sort: true }),
  port_range_max: initial(port, { column: 'port_range_max', filter: 'number', sort: true }),
  remote_ip_prefix: initial(remotePrefix, { column: 'remote_ip_prefix', sort: true }),
  remote_group_id: initial(orNull(uuid), { column: 'remote_group_id', sort: true }),
  remote_address_group_id: initial(orNull(uuid), { column: 'remote_address_group_id', sort: true }),
  normalized_cidr: readable(),
};

/** Rules made together must differ and be of one project. */
function checkBulk(items: readonly ReadBody[]): void {
  const seen = new Set<string>();
  for (const { values, projectId } of items) {
    const rule = values as unknown as RuleValues;
    const key = `${projectId ?? ''} ${rule.security_group_id} ${ruleIdentity({
      direction: rule.direction,
      ethertype: rule.ethertype ?? 'IPv4',
      protocol: rule.protocol ?? null,
      port_range_min: rule.port_range_min ?? null,
      port_range_max: rule.port_range_max ?? null,
      remote_ip_prefix: rule.remote_ip_prefix ?? null,
      remote_group_id: rule.remote_group_id ?? null,
      remote_address_group_id: rule.remote_address_group_id ?? null,
    })}`;
    if (seen.has(key)) throw conflict('DuplicateSecurityGroupRuleInPost', 'Duplicate Security Group Rule in POST.');
    seen.add(key);
  }
  if (new Set(items.map((item) => item.projectId)).size > 1)
    throw new InvalidError(
      'Multiple project_ids in bulk security group rule create not allowed',
      'SecurityGroupRulesNotSingleProject',
    );
}

export const securityGroupRuleNoun: Noun<typeof securityGroupRules> = {
  member: 'security_group_rule',
  path: '/security-group-rules',
  resource: securityGroupRuleResource,
  attributes,
  beforeList: (cloud, caller) => ensureDefaultGroupOf(cloud, caller.projectId),
  checkBulk,
  views: (_viewing, rows) => Promise.resolve(rows.map(ruleView)),
  policyTarget: async (viewing, { row, values }) => ({
    'security_group:project_id': await groupOwner(viewing, row?.security_group_id ?? values['security_group_id']),
  }),
  create: (context, { projectId, values }) => createRule(context, projectId, values as unknown as RuleValues),
  update: (context, row, values) => updateRule(context, row, values),
  remove: deleteRule,
};
