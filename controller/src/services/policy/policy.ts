// Decides who may do what: default rules of every service, overridden by an administrator's file.
import { readFileSync } from 'node:fs';
import { ConfigError, messageOf } from '@cumulet/common';
import { parse } from 'yaml';
import { ForbiddenError } from '../../errors';
import type { Caller } from '../caller';
import { parseExpression, type Check, type PolicyFacts } from './expression';

/** Rules by name: "compute:servers:create" and shared ones such as "admin_or_owner". */
export type PolicyRules = Readonly<Record<string, string>>;
/** Attributes of what is acted on: project_id, user_id, domain_id and whatever a rule names. */
export type PolicyTarget = Readonly<Record<string, unknown>>;

export interface Policy {
  /** Whether the caller may; false for a rule that nobody defined. */
  allows(caller: Caller, rule: string, target?: PolicyTarget): boolean;
  /** @throws ForbiddenError naming the rule. */
  require(caller: Caller, rule: string, target?: PolicyTarget): void;
}

/** Rules that every service builds on. The role admin is an administrator in a project or the system, not in a domain. */
export const baseRules: PolicyRules = {
  admin: 'role:admin and not domain_scope:True',
  system_admin: 'role:admin and system_scope:all',
  owner: 'project_id:%(project_id)s',
  project_member: 'role:member and project_id:%(project_id)s',
  project_reader: 'role:reader and project_id:%(project_id)s',
  admin_or_member: 'rule:admin or rule:project_member',
  admin_or_reader: 'rule:admin or rule:project_reader or (role:reader and system_scope:all)',
};

function facts(caller: Caller, target: PolicyTarget): PolicyFacts {
  return {
    roles: caller.roles,
    target,
    credentials: {
      user_id: caller.userId,
      project_id: caller.projectId,
      tenant_id: caller.projectId,
      domain_id: caller.domainId,
      user_domain_id: caller.userDomainId,
      project_domain_id: caller.projectDomainId,
      system_scope: caller.systemScope ? 'all' : null,
      domain_scope: caller.domainId === null ? null : 'True',
      is_admin: caller.isAdmin ? 'True' : 'False',
    },
  };
}

/** The names of the rules that a rule uses. */
const usedBy = (source: string): string[] => [...source.matchAll(/rule:([^\s()]+)/g)].map(([, name = '']) => name);

/** Reads an administrator's rules: those of `known` and the file's own that its rules use.
 * @throws ConfigError, also for a name that nothing would ever ask for */
export function loadPolicyFile(path: string, known: PolicyRules): PolicyRules {
  try {
    const value: unknown = parse(readFileSync(path, 'utf8')) ?? {};
    if (typeof value !== 'object' || Array.isArray(value)) throw new Error('expected "rule name: rule" lines');
    for (const [name, rule] of Object.entries(value as object)) {
      if (typeof rule !== 'string') throw new Error(`the rule of ${name} is not a text`);
    }
    const rules = value as PolicyRules;
    const used = new Set(Object.values(rules).flatMap(usedBy));
    const unknown = Object.keys(rules).filter((name) => !Object.hasOwn(known, name) && !used.has(name));
    if (unknown.length > 0)
      throw new Error(`unknown rule ${unknown.map((name) => `'${name}'`).join(', ')} (--print-policy lists the names)`);
    return rules;
  } catch (error) {
    throw new ConfigError(`policy file ${path}: ${messageOf(error)}`, { path });
  }
}

/** Compiles rules; later sets override earlier ones. @throws ConfigError for a rule that can't be parsed or names an unknown one. */
export function createPolicy(...sets: readonly PolicyRules[]): Policy {
  const checks = new Map<string, Check>();
  for (const set of sets) for (const [name, source] of Object.entries(set)) checks.set(name, parseExpression(source));
  const sources = Object.assign({}, ...sets) as PolicyRules;
  for (const [name, source] of Object.entries(sources)) {
    for (const used of usedBy(source))
      if (!checks.has(used)) throw new ConfigError(`policy: ${name} uses rule:${used}, which does not exist`);
  }
  const lookup = (name: string): Check => checks.get(name) ?? (() => false);
  const allows = (caller: Caller, rule: string, target: PolicyTarget = {}): boolean =>
    lookup(rule)(facts(caller, target), lookup);
  return {
    allows,
    require(caller, rule, target = {}) {
      if (!allows(caller, rule, target)) {
        throw new ForbiddenError(`Policy doesn't allow ${rule} to be performed.`, 'PolicyNotAuthorized', { rule });
      }
    },
  };
}
