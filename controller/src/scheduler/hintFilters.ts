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
    concerns: ({ sameHosts }) => sameHosts !== null,
    refuse: (host, { sameHosts }) =>
      sameHosts !== null && !sameHosts.includes(host.name) ? 'not the host of the servers in same_host' : undefined,
  },
  {
    name: 'different host',
    concerns: ({ differentHosts }) => differentHosts.length > 0,
    refuse: (host, { differentHosts }) =>
      differentHosts.includes(host.name) ? 'it has a server of different_host' : undefined,
  },
  {
    name: 'server group',
    concerns: ({ group }) => group !== null,
    refuse: (host, { group }) => (group ? refuseByGroup(host.name, group) : undefined),
  },
];
