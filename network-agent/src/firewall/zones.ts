// Conntrack zones by bridge, before defragmentation: what keeps tenants with equal addresses apart in the host's one conntrack.

/** Zones of our bridges start here, away from the low numbers that other software counts from. */
export const FIRST_ZONE = 16384;
const LAST_ZONE = 65535;

/** The lowest zone that no bridge has. Undefined when all are taken. */
export function freeZone(taken: ReadonlySet<number>): number | undefined {
  for (let zone = FIRST_ZONE; zone <= LAST_ZONE; zone++) if (!taken.has(zone)) return zone;
  return undefined;
}

/** The text of a bridge's alias: its network and its zone, so that both survive a restart of the agent. */
export const bridgeAlias = (networkId: string, zone: number): string => `${networkId} zone=${zone}`;

/** Network and zone from a bridge's alias, or undefined when it is not one of ours. */
export function parseBridgeAlias(alias: string): { readonly networkId: string; readonly zone: number } | undefined {
  const match = /^([0-9A-Za-z_.-]+) zone=(\d{1,5})$/.exec(alias);
  return match?.[1] === undefined ? undefined : { networkId: match[1], zone: Number(match[2]) };
}

/**
 * The inet table: each bridge's zone, and its packets kept out of the host's NAT. br_netfilter shows bridged packets to the host's
 * nat rules, so somebody else's masquerade or redirect for a range that a tenant also uses would change them. A translation
 * to the same address, made first, ends the matter for the flow.
 * Priority -450 comes before defragmentation (-400), so fragments of different tenants
 * are never joined; iptables' raw table (-300) would be too late.
 */
export function renderZones(zones: ReadonlyMap<string, number>): string[] {
  const names = [...zones.keys()].map((bridge) => `"${bridge}"`).join(', ');
  const elements = [...zones].map(([bridge, zone]) => `"${bridge}" : ${zone}`).join(', ');
  return [
    'table inet cumulet',
    'delete table inet cumulet',
    'table inet cumulet {',
    '  map zones {',
    '    typeof iifname : ct zone;',
    ...(elements ? [`    elements = { ${elements} };`] : []),
    '  }',
    '  set bridges {',
    '    type ifname;',
    ...(names ? [`    elements = { ${names} };`] : []),
    '  }',
    '  chain pre {',
    '    type filter hook prerouting priority -450; policy accept;',
    '    ct zone set iifname map @zones;',
    '  }',
    '  chain keepdst {',
    '    type nat hook prerouting priority -101; policy accept;',
    '    iifname @bridges meta nfproto ipv4 dnat ip to ip daddr;',
    '    iifname @bridges meta nfproto ipv6 dnat ip6 to ip6 daddr;',
    '  }',
    '  chain keepsrc {',
    '    type nat hook postrouting priority 99; policy accept;',
    '    oifname @bridges meta nfproto ipv4 snat ip to ip saddr;',
    '    oifname @bridges meta nfproto ipv6 snat ip6 to ip6 saddr;',
    '  }',
    '}',
  ];
}

/** Only what differs, for a table that is there. */
export function renderZoneChanges(before: ReadonlyMap<string, number>, after: ReadonlyMap<string, number>): string[] {
  const lines = (verb: 'add' | 'delete', [bridge, zone]: [string, number]): string[] => [
    `${verb} element inet cumulet zones { "${bridge}" : ${zone} }`,
    `${verb} element inet cumulet bridges { "${bridge}" }`,
  ];
  const gone = [...before].filter(([bridge, zone]) => after.get(bridge) !== zone);
  const added = [...after].filter(([bridge, zone]) => before.get(bridge) !== zone);
  return [...gone.flatMap((entry) => lines('delete', entry)), ...added.flatMap((entry) => lines('add', entry))];
}
