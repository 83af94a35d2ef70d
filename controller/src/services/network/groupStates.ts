// Security groups as network agents need them: rules and members.
import type { SecurityGroupState } from '@cumulet/common';
import { groupBy, In, type ReadSession } from '../../db';
import {
  addressGroupAddresses,
  securityGroupRules,
  securityGroups,
  type SecurityGroupRule,
} from '../../db/entities/network';
import { memberAddresses } from '../../db/repositories/groupMembers';
import { rulesForAgent } from './ruleStates';

export interface HostGroups {
  /** Groups of the host's ports, and those that their rules name as remote. */
  readonly ids: readonly string[];
  /** Those whose members the host must know. */
  readonly remoteIds: readonly string[];
  /** Rules of all of them. */
  readonly rules: readonly SecurityGroupRule[];
}

/** Ids without those that come again. */
export const unique = (ids: readonly string[]): string[] => [...new Set(ids)];

const remotesOf = (rules: readonly SecurityGroupRule[]): string[] =>
  unique(rules.flatMap((rule) => rule.remote_group_id ?? []));

/** Rules by group. */
export type RulesByGroup = ReadonlyMap<string, readonly SecurityGroupRule[]>;

/** The rules of these groups and of those that they name as remote, in two queries. */
export async function readRules(session: ReadSession, ids: readonly string[]): Promise<RulesByGroup> {
  const read = (some: readonly string[]): Promise<SecurityGroupRule[]> =>
    session.find(securityGroupRules, { where: { security_group_id: In([...some]) } });
  const own = await read(ids);
  const more = await read(remotesOf(own).filter((id) => !ids.includes(id)));
  return groupBy([...own, ...more], (rule) => rule.security_group_id);
}

/** @param ownIds the groups of the host's ports */
export function groupsOf(rulesOf: RulesByGroup, ownIds: readonly string[]): HostGroups {
  const rules = (ids: readonly string[]): SecurityGroupRule[] => ids.flatMap((id) => rulesOf.get(id) ?? []);
  const own = rules(ownIds);
  const remoteIds = remotesOf(own);
  const others = remoteIds.filter((id) => !ownIds.includes(id));
  return { ids: [...ownIds, ...others], remoteIds, rules: [...own, ...rules(others)] };
}

/**
 * The states of some groups for each host, sorted by id, in a fixed number of queries whatever the number of hosts.
 * @param rulesOf holds the rules of all of them
 * @returns one list for each host, in their order
 */
export async function readGroupStates(
  session: ReadSession,
  rulesOf: RulesByGroup,
  hosts: readonly Pick<HostGroups, 'ids' | 'remoteIds'>[],
): Promise<SecurityGroupState[][]> {
  const ids = unique(hosts.flatMap((host) => host.ids));
  const withMembers = unique(hosts.flatMap((host) => host.ids.filter((id) => host.remoteIds.includes(id))));
  const rows = await session.find(securityGroups, { where: { id: In(ids) }, order: { id: 'ASC' } });
  const members = groupBy(await memberAddresses(session, withMembers), (row) => row.group_id);
  const addressGroupIds = ids
    .flatMap((id) => rulesOf.get(id) ?? [])
    .flatMap((rule) => rule.remote_address_group_id ?? []);
  const prefixes = await session.find(addressGroupAddresses, {
    where: { address_group_id: In(unique(addressGroupIds)) },
  });
  const states = rows.map((row): SecurityGroupState => ({
    kind: 'security_group',
    id: row.id,
    stateful: row.stateful,
    rules: rulesForAgent(rulesOf.get(row.id) ?? [], prefixes),
    members: (members.get(row.id) ?? []).map(({ address }) => address).sort(),
  }));
  return hosts.map((host) =>
    states
      .filter(({ id }) => host.ids.includes(id))
      .map((state) => (host.remoteIds.includes(state.id) ? state : { ...state, members: [] })),
  );
}
