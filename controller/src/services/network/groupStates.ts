// Security groups as network agents need them: rules and members.
import type { SecurityGroupState } from '@cumulet/common';
import { groupBy, In, InSelect, type ReadSession } from '../../db';
import {
  addressGroupAddresses,
  portAddresses,
  portGroups,
  securityGroupRules,
  securityGroups,
  type SecurityGroupRule,
} from '../../db/entities/network';
import { rulesForAgent } from './ruleStates';
import type { SharedReads } from './sharedReads';

export interface HostGroups {
  /** Groups of the host's ports, and those that their rules name as remote. */
  readonly ids: readonly string[];
  /** Those whose members the host must know. */
  readonly remoteIds: readonly string[];
  /** Rules of all of them. */
  readonly rules: readonly SecurityGroupRule[];
}

const unique = (ids: readonly string[]): string[] => [...new Set(ids)];

/** @param ownIds the groups of the host's ports */
export async function groupsOf(session: ReadSession, ownIds: readonly string[]): Promise<HostGroups> {
  const own = await session.find(securityGroupRules, { where: { security_group_id: In([...ownIds]) } });
  const remoteIds = unique(own.flatMap((rule) => rule.remote_group_id ?? []));
  const others = remoteIds.filter((id) => !ownIds.includes(id));
  const more = await session.find(securityGroupRules, { where: { security_group_id: In(others) } });
  return { ids: [...ownIds, ...others], remoteIds, rules: [...own, ...more] };
}

/** Reads groups in a fixed number of queries, sorted by id, `withMembers` of them with their members. */
async function readStates(
  session: ReadSession,
  ids: readonly string[],
  withMembers: readonly string[],
  rules: readonly SecurityGroupRule[],
): Promise<ReadonlyMap<string, SecurityGroupState>> {
  const rows = await session.find(securityGroups, { where: { id: In([...ids]) }, order: { id: 'ASC' } });
  const members = await session.find(portGroups, { where: { security_group_id: In([...withMembers]) } });
  const memberAddresses = await session.pick(portAddresses, ['port_id', 'address'], {
    where: { port_id: InSelect(portGroups, 'port_id', { security_group_id: In([...withMembers]) }) },
  });
  const addressGroupIds = rules.flatMap((rule) => rule.remote_address_group_id ?? []);
  const prefixes = await session.find(addressGroupAddresses, {
    where: { address_group_id: In(unique(addressGroupIds)) },
  });
  const rulesOf = groupBy(rules, (rule) => rule.security_group_id);
  const addressesOf = groupBy(memberAddresses, (row) => row.port_id);
  const portsOf = groupBy(members, (row) => row.security_group_id);
  return new Map(
    rows.map((row) => [
      row.id,
      {
        kind: 'security_group',
        id: row.id,
        stateful: row.stateful,
        rules: rulesForAgent(rulesOf.get(row.id) ?? [], prefixes),
        members: (portsOf.get(row.id) ?? [])
          .flatMap((link) => (addressesOf.get(link.port_id) ?? []).map((address) => address.address))
          .sort(),
      },
    ]),
  );
}

/** States of the groups `ids` of a host. @param share what hosts share, and the newest change that this one has seen */
export async function groupStates(
  session: ReadSession,
  ids: readonly string[],
  { remoteIds, rules }: HostGroups,
  share?: { readonly groups: SharedReads<SecurityGroupState>; readonly sequence: number },
): Promise<SecurityGroupState[]> {
  const read = (some: readonly string[]): Promise<ReadonlyMap<string, SecurityGroupState>> =>
    readStates(
      session,
      some,
      some.filter((id) => remoteIds.includes(id)),
      rules.filter((rule) => some.includes(rule.security_group_id)),
    );
  if (!share) return [...(await read(ids)).values()];
  const keys = new Map([...ids].sort().map((id) => [id, remoteIds.includes(id) ? 'with members' : 'rules only']));
  return share.groups.get(share.sequence, keys, read);
}
