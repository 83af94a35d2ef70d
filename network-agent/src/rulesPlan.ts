// All packet rules of the host for the desired state. A port whose rules don't compile is closed by itself, the others are applied.
import { messageOf, type PortState, type SecurityGroupState } from '@cumulet/common';
import { familyOf, type Family } from './addresses';
import type { Desired } from './desired';
import { closedFrames, frameRules, type FrameRules } from './firewall/antispoof';
import { emptyBridgeTable, type BridgeTable } from './firewall/bridgeTable';
import { hostFilterChains, hostNatChains, jumps, type External, type Jump } from './firewall/host';
import { noTables, type Tables } from './firewall/iptables';
import { localServerRules } from './firewall/localServer';
import { remoteSets, type AddressSets } from './firewall/ipset';
import { filterChains, groupChains, type PortRules } from './firewall/securityGroups';
import { tunnelChains, tunnelJumps } from './firewall/tunnels';
import type { DesiredTunnel } from './links';

export interface RulesPlan {
  readonly zones: ReadonlyMap<string, number>;
  readonly frames: BridgeTable;
  readonly tables: Readonly<Record<Family, Tables>>;
  readonly jumps: Readonly<Record<Family, readonly Jump[]>>;
  readonly sets: AddressSets;
  /** Names of the chains of each security group in use. */
  readonly groupChains: ReadonlyMap<string, readonly string[]>;
  /** Ports that are closed, and why. */
  readonly closed: ReadonlyMap<string, string>;
}

export const noRules: RulesPlan = {
  zones: new Map(),
  frames: emptyBridgeTable,
  tables: { 4: noTables, 6: noTables },
  jumps: { 4: [], 6: [] },
  sets: new Map(),
  groupChains: new Map(),
  closed: new Map(),
};

/** What of the links matters to the rules. */
export interface Wiring {
  readonly zones: ReadonlyMap<string, number>;
  /** Ports that will be on a bridge. */
  readonly ports: readonly PortState[];
  /** Our ends of routers and DHCP servers. */
  readonly veths: readonly string[];
  /** Interfaces on tenant bridges. */
  readonly isolated: ReadonlySet<string>;
  readonly external: External | null;
  /** Bridges of this host that are not ours. */
  readonly foreignBridges: readonly string[];
  /** Links of tenant networks to other hosts. */
  readonly tunnels: readonly DesiredTunnel[];
}

interface Compiled {
  readonly group: SecurityGroupState;
  readonly chains: Readonly<Record<Family, ReadonlyMap<string, readonly string[]>>>;
}

/** Each used group's chains, or why it has none. */
function compileGroups(
  wiring: Wiring,
  desired: Desired,
  refused: ReadonlyMap<string, string>,
): Map<string, Compiled | string> {
  const compiled = new Map<string, Compiled | string>();
  for (const id of new Set(wiring.ports.flatMap((port) => port.security_group_ids))) {
    const group = desired.groups.get(id);
    const why = refused.get(id);
    if (!group) compiled.set(id, `security group ${id} is not known on this host`);
    else if (why !== undefined) compiled.set(id, `security group ${id}: its host refused the rules`);
    else {
      try {
        compiled.set(id, { group, chains: { 4: groupChains(group, 4), 6: groupChains(group, 6) } });
      } catch (error) {
        compiled.set(id, `security group ${id}: ${messageOf(error)}`);
      }
    }
  }
  return compiled;
}

function portFault(port: PortState, groups: ReadonlyMap<string, Compiled | string>): string | undefined {
  return port.security_group_ids.map((id) => groups.get(id)).find((entry) => typeof entry === 'string');
}

function dhcpServers(port: PortState, desired: Desired): string[] {
  const addresses = desired.networks.get(port.network_id)?.dhcp?.addresses ?? [];
  return addresses.map((entry) => entry.address).filter((address) => familyOf(address) === 4);
}

/** A tunnel whose rules don't compile passes nothing. */
function tunnelFrames(tunnels: readonly DesiredTunnel[], desired: Desired): Map<string, FrameRules> {
  return new Map(
    tunnels.map(({ networkId }) => {
      const network = desired.networks.get(networkId);
      try {
        return [networkId, network ? localServerRules(network) : closedFrames];
      } catch {
        // The network's own server is refused for the same address, with words.
        return [networkId, closedFrames];
      }
    }),
  );
}

/**
 * The rules for what is wired. @param refused security groups and ports whose compiled rules the kernel did not take, with its words
 */
export function planRules(
  wiring: Wiring,
  desired: Desired,
  refused: ReadonlyMap<string, string> = new Map(),
): RulesPlan {
  const groups = compileGroups(wiring, desired, refused);
  const closed = new Map<string, string>();
  const frames = new Map<string, FrameRules>();
  const ports: PortRules[] = wiring.ports.map((port) => {
    const refusal = refused.get(port.id);
    let fault = portFault(port, groups);
    if (refusal !== undefined) fault ??= `port ${port.id}: its host refused the rules for its addresses`;
    let servers: string[] = [];
    let own = closedFrames;
    try {
      servers = dhcpServers(port, desired);
      own = frameRules(port);
    } catch (error) {
      fault ??= `port ${port.id}: ${messageOf(error)}`;
    }
    if (fault !== undefined) closed.set(port.id, fault);
    frames.set(port.id, fault === undefined ? own : closedFrames);
    const stateful = port.security_group_ids.every((id) => desired.groups.get(id)?.stateful !== false);
    return { port, closed: fault !== undefined, stateful, dhcpServers: servers };
  });
  const good = [...groups.values()].filter((entry) => typeof entry !== 'string');
  const chains = (family: Family): Tables => ({
    filter: new Map([
      ...filterChains(
        family,
        ports,
        new Map(good.map((entry) => [entry.group.id, entry.chains[family]])),
        wiring.veths,
      ),
      ...hostFilterChains(family, wiring.external, wiring.foreignBridges),
      ...tunnelChains(family, wiring.tunnels),
    ]),
    nat: family === 4 ? hostNatChains(wiring.external) : new Map(),
  });
  return {
    zones: wiring.zones,
    frames: { ports: frames, tunnels: tunnelFrames(wiring.tunnels, desired), isolated: wiring.isolated },
    tables: { 4: chains(4), 6: chains(6) },
    jumps: {
      4: [...jumps(4, wiring.external), ...tunnelJumps(wiring.tunnels)],
      6: jumps(6, wiring.external),
    },
    sets: remoteSets(
      good.map((entry) => entry.group),
      desired.groups,
    ),
    groupChains: new Map(good.map((entry) => [entry.group.id, [...entry.chains[4].keys()]])),
    closed,
  };
}
