// What other servers ask of a host: hints that name servers, and the policy of the server's group.
import type { Filter } from './filters';
import type { GroupSpread } from './scheduler';

/** Why a host may not take one more member of a group. */
export function refuseByGroup(host: string, group: GroupSpread): string | undefined {
  const here = group.members.get(host) ?? 0;
  if (group.policy === 'anti-affinity' && here >= group.maxPerHost)
    return `it has ${here} server${here === 1 ? '' : 's'} of the anti-affinity group already`;
  if (group.policy === 'affinity' && group.members.size > 0 && here === 0)
    return 'the other servers of the affinity group are elsewhere';
  return undefined;
}

export const hintFilters: readonly Filter[] = [
  {
    name: 'same host',
    asks: ({ sameHosts }) =>
      sameHosts === null
        ? undefined
        : ({ name }) => (sameHosts.includes(name) ? undefined : 'not the host of the servers in same_host'),
  },
  {
    name: 'different host',
    asks: ({ differentHosts }) =>
      differentHosts.length === 0
        ? undefined
        : ({ name }) => (differentHosts.includes(name) ? 'it has a server of different_host' : undefined),
  },
  {
    name: 'server group',
    asks: ({ group }) => (group === null ? undefined : ({ name }) => refuseByGroup(name, group)),
  },
];
