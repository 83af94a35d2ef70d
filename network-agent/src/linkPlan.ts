// What is missing among the host's interfaces and what is too much, as lines for `ip -batch`.
import type { NetworkAgentConfig } from './config';
import type { External } from './firewall/host';
import { bridgeAlias, freeZone, parseBridgeAlias } from './firewall/zones';
import type { DesiredBridge, DesiredLinks, DesiredTap, DesiredVeth } from './links';
import {
  bridgeMac,
  bridgeName,
  dhcpLinkName,
  EXTERNAL_ALIAS,
  gatewayLinkName,
  parseNamespace,
  routerLinkName,
  tapName,
  vxlanName,
} from './names';
import { forwardingSteps, isTunnel, tunnelSteps, type ForwardingEntry, type ObservedTunnel } from './tunnels';

export interface ObservedLink {
  readonly name: string;
  readonly alias: string;
  readonly kind: string;
  readonly master: string | undefined;
  readonly mtu: number;
  readonly up: boolean;
  /** Something is at its other end: of a tap, a guest. */
  readonly carrier: boolean;
  /** Of a bridge: whether its frames pass the host's packet rules. */
  readonly filtered?: boolean;
  /** Of a VXLAN link. */
  readonly tunnel?: ObservedTunnel;
}

export interface ObservedLinks {
  readonly links: ReadonlyMap<string, ObservedLink>;
  readonly namespaces: ReadonlySet<string>;
  /** Forwarding tables of our VXLAN links, by link. */
  readonly forwarding: ReadonlyMap<string, readonly ForwardingEntry[]>;
}

/** Lines that belong together: one of them failing concerns only their owner. */
export interface LinkStep {
  /** Port or network. */
  readonly owner: string;
  readonly lines: readonly string[];
}

export interface LinkPlan {
  /** First of all: what no longer belongs here leaves its bridge while its rules still hold. */
  readonly remove: readonly LinkStep[];
  readonly create: readonly LinkStep[];
  /** After that, for the `bridge` command: which peers the tunnels lead to. */
  readonly forward: readonly LinkStep[];
  /** Last, when the rules are in place. */
  readonly wire: readonly LinkStep[];
  /** Namespaces to remove, once nothing runs in them. */
  readonly namespaces: readonly string[];
  readonly zones: ReadonlyMap<string, number>;
  readonly faults: ReadonlyMap<string, string>;
  /** Names of bridges that are or will be there. */
  readonly bridges: ReadonlySet<string>;
}

/** The resource that one of our interfaces says it belongs to, or undefined when it is not ours: name and alias must agree. */
export function ownerOfLink(link: ObservedLink): { kind: 'bridge' | 'tap' | 'veth' | 'vxlan'; id: string } | undefined {
  const bridge = parseBridgeAlias(link.alias);
  if (bridge && bridgeName(bridge.networkId) === link.name) return { kind: 'bridge', id: bridge.networkId };
  if (link.alias === '') return undefined;
  if (tapName(link.alias) === link.name) return { kind: 'tap', id: link.alias };
  if (vxlanName(link.alias) === link.name) return { kind: 'vxlan', id: link.alias };
  const veths = [dhcpLinkName, routerLinkName, gatewayLinkName].map((name) => name(link.alias));
  return veths.includes(link.name) ? { kind: 'veth', id: link.alias } : undefined;
}

const occupied = (name: string, alias: string): string =>
  `interface ${name} is there already and is not ours (its alias is ${JSON.stringify(alias)})`;

/** Settings of a bridge by which its frames alone pass the host's packet rules: other people's bridges are not filtered for our sake. */
const FILTERED = 'nf_call_iptables 1 nf_call_ip6tables 1';
// Without a querier, snooping would lose neighbour discovery.
const NEW_BRIDGE = `type bridge forward_delay 0 mcast_snooping 0 ${FILTERED}`;

/** Switched off, all security groups would silently be skipped. */
const filterLines = (name: string, there: ObservedLink): string[] =>
  there.filtered === false ? [`link set dev ${name} type bridge ${FILTERED}`] : [];

function bridgeSteps(bridge: DesiredBridge, there: ObservedLink | undefined, zone: number): LinkStep[] {
  const { name, networkId: owner, mtu } = bridge;
  if (there) {
    const size = there.mtu === mtu ? [] : [`link set dev ${name} mtu ${mtu}`];
    const lines = [...size, ...filterLines(name, there)];
    return lines.length === 0 ? [] : [{ owner, lines }];
  }
  return [
    {
      owner,
      lines: [
        `link add name ${name} address ${bridgeMac(owner)} mtu ${mtu} ${NEW_BRIDGE}`,
        `link set dev ${name} alias "${bridgeAlias(owner, zone)}" addrgenmode none`,
      ],
    },
  ];
}

function tapSteps(tap: DesiredTap, there: ObservedLink | undefined): LinkStep[] {
  const { name, portId: owner, mtu } = tap;
  const settings = `link set dev ${name} mtu ${mtu}`;
  if (there) return there.mtu === mtu ? [] : [{ owner, lines: [settings] }];
  return [
    { owner, lines: [`tuntap add dev ${name} mode tap vnet_hdr`, `${settings} alias ${owner} addrgenmode none`] },
  ];
}

function vethSteps(veth: DesiredVeth, there: ObservedLink | undefined): LinkStep[] {
  const { name, portId: owner, mtu, namespace } = veth;
  if (there) return there.mtu === mtu ? [] : [{ owner, lines: [`link set dev ${name} mtu ${mtu}`] }];
  return [
    {
      owner,
      lines: [
        `link add name ${name} mtu ${mtu} type veth peer name ${name} mtu ${mtu} netns ${namespace}`,
        `link set dev ${name} alias ${owner} addrgenmode none`,
      ],
    },
  ];
}

function wireStep(owner: string, name: string, bridge: string, there: ObservedLink | undefined): LinkStep[] {
  if (there?.master === bridge && there.up) return [];
  return [{ owner, lines: [`link set dev ${name} master ${bridge} up`] }];
}

function externalSteps(external: External | null, observed: ObservedLinks): { create: LinkStep[]; fault?: string } {
  if (external === null) return { create: [] };
  const there = observed.links.get(external.bridge);
  if (there && there.alias !== EXTERNAL_ALIAS) return { create: [], fault: occupied(external.bridge, there.alias) };
  if (there) {
    const lines = [...(there.up ? [] : [`link set dev ${external.bridge} up`]), ...filterLines(external.bridge, there)];
    return { create: lines.length === 0 ? [] : [{ owner: 'external', lines }] };
  }
  const lines = [
    `link add name ${external.bridge} address ${bridgeMac(external.bridge)} ${NEW_BRIDGE}`,
    `link set dev ${external.bridge} alias "${EXTERNAL_ALIAS}" up`,
    `addr add ${external.address} dev ${external.bridge}`,
  ];
  return { create: [{ owner: 'external', lines }] };
}

/** The zone of each tenant bridge: the one in its alias, else a free one. */
function zonesOf(
  bridges: readonly DesiredBridge[],
  observed: ObservedLinks,
): { zones: Map<string, number>; full: Set<string> } {
  const aliases = [...observed.links.values()].flatMap((link) => {
    const parsed = parseBridgeAlias(link.alias);
    return parsed ? [{ name: link.name, ...parsed }] : [];
  });
  const taken = new Set(aliases.map((alias) => alias.zone));
  const zones = new Map<string, number>();
  const full = new Set<string>();
  for (const { name, networkId } of bridges) {
    const kept = aliases.find((alias) => alias.name === name && alias.networkId === networkId);
    const zone = kept?.zone ?? freeZone(taken);
    if (zone === undefined) full.add(networkId);
    else {
      taken.add(zone);
      zones.set(name, zone);
    }
  }
  return { zones, full };
}

/** Links of ours that don't belong here, or can't be changed into what does. */
function superfluous(desired: DesiredLinks, observed: ObservedLinks): { id: string; name: string }[] {
  // Of a namespace that was deleted the kernel removes the links a little later: they lead nowhere.
  const veths = desired.veths.filter(({ namespace }) => observed.namespaces.has(namespace));
  const wanted = new Set([...desired.taps, ...veths, ...desired.bridges].map((link) => link.name));
  for (const tunnel of desired.tunnels) {
    const there = observed.links.get(tunnel.name);
    if (there && isTunnel(tunnel, there)) wanted.add(tunnel.name);
  }
  const gone = [...observed.links.values()].flatMap((link) => {
    const owner = ownerOfLink(link);
    return owner && !wanted.has(link.name) ? [{ ...owner, name: link.name }] : [];
  });
  // Ports first: a bridge that still has one would pass it to nobody, but for a moment without its zone.
  return [...gone.filter((link) => link.kind !== 'bridge'), ...gone.filter((link) => link.kind === 'bridge')];
}

/** Compares the desired interfaces with those of the host. */
export function planLinks(
  desired: DesiredLinks,
  observed: ObservedLinks,
  external: External | null,
  namespacePrefix: string,
): LinkPlan {
  const faults = new Map(desired.faults);
  const { zones, full } = zonesOf(desired.bridges, observed);
  const outside = externalSteps(external, observed);
  const create: LinkStep[] = [...outside.create];
  const wire: LinkStep[] = [];
  const bridges = new Set<string>(external !== null && outside.fault === undefined ? [external.bridge] : []);
  const broken = new Map<string, string>();
  const leaving = superfluous(desired, observed);
  const left = new Set(leaving.map((link) => link.name));
  for (const bridge of desired.bridges) {
    const there = observed.links.get(bridge.name);
    const zone = zones.get(bridge.name) ?? 0;
    if (there && ownerOfLink(there)?.id !== bridge.networkId)
      broken.set(bridge.name, occupied(bridge.name, there.alias));
    else if (full.has(bridge.networkId)) broken.set(bridge.name, 'all conntrack zones of this host are taken');
    else {
      create.push(...bridgeSteps(bridge, there, zone));
      if (!there?.up) wire.push({ owner: bridge.networkId, lines: [`link set dev ${bridge.name} up`] });
      bridges.add(bridge.name);
    }
  }
  for (const name of broken.keys()) zones.delete(name);
  const namespaces = new Set(observed.namespaces);
  /** `portId`: what the link says it is for; a tunnel is for its network. */
  const attach = (portId: string, name: string, bridge: string, steps: (there?: ObservedLink) => LinkStep[]): void => {
    const there = left.has(name) ? undefined : observed.links.get(name);
    const managed = bridge === external?.bridge ? outside.fault : broken.get(bridge);
    if (there && there.alias !== portId) faults.set(portId, occupied(name, there.alias));
    else if (managed !== undefined) faults.set(portId, managed);
    else if (!bridges.has(bridge) && observed.links.get(bridge)?.kind !== 'bridge') {
      faults.set(portId, `bridge ${bridge} does not exist on this host`);
    } else {
      bridges.add(bridge);
      create.push(...steps(there));
      wire.push(...wireStep(portId, name, bridge, there));
    }
  };
  const forward: LinkStep[] = [];
  for (const tunnel of desired.tunnels) {
    const { name, networkId, bridge } = tunnel;
    attach(networkId, name, bridge, (there) => {
      forward.push(...forwardingSteps(tunnel, (there && observed.forwarding.get(name)) ?? []));
      return tunnelSteps(tunnel, there);
    });
  }
  const ours = new Set([external?.bridge, ...desired.bridges.map(({ name }) => name)]);
  const mapped = new Set<string>();
  for (const tap of desired.taps)
    attach(tap.portId, tap.name, tap.bridge, (there) => {
      // An administrator's bridge with servers on it is filtered as ours are.
      const bridge = ours.has(tap.bridge) || mapped.has(tap.bridge) ? undefined : observed.links.get(tap.bridge);
      mapped.add(tap.bridge);
      const lines = bridge ? filterLines(tap.bridge, bridge) : [];
      return [...(lines.length === 0 ? [] : [{ owner: tap.portId, lines }]), ...tapSteps(tap, there)];
    });
  for (const veth of desired.veths) {
    if (!namespaces.has(veth.namespace)) {
      create.push({ owner: veth.owner, lines: [`netns add ${veth.namespace}`] });
      namespaces.add(veth.namespace);
    }
    attach(veth.portId, veth.name, veth.bridge, (there) => vethSteps(veth, there));
  }
  const inUse = new Set(desired.veths.map((veth) => veth.namespace));
  const idle = [...observed.namespaces].filter((name) => parseNamespace(namespacePrefix, name) && !inUse.has(name));
  const remove = leaving.map(({ id, name }) => ({ owner: id, lines: [`link del dev ${name}`] }));
  return { remove, create, forward, wire, namespaces: idle, zones, faults, bridges };
}

/** Bridges that are neither ours nor mapped to a physical network, by the names that a rule can hold. */
export function foreignBridges(observed: ObservedLinks, config: NetworkAgentConfig): string[] {
  const { physical_networks, external } = config;
  const mapped = new Set([...Object.values(physical_networks), external?.bridge, external?.floating?.interface]);
  return [...observed.links.values()]
    .filter((link) => link.kind === 'bridge' && ownerOfLink(link) === undefined && !mapped.has(link.name))
    .map((link) => link.name)
    .filter((name) => /^[A-Za-z0-9_.-]{1,15}$/.test(name) && !name.startsWith('-'))
    .sort();
}
