// The interfaces that the desired state calls for: bridges, taps and veths, with what each hangs on.
import type { NetworkState, TunnelState } from '@cumulet/common';
import type { NetworkAgentConfig } from './config';
import type { Desired } from './desired';
import {
  bridgeName,
  dhcpLinkName,
  dhcpNamespace,
  gatewayLinkName,
  routerLinkName,
  routerNamespace,
  safeId,
  tapName,
  vxlanName,
} from './names';

export interface DesiredBridge {
  readonly name: string;
  readonly networkId: string;
  readonly mtu: number;
}

/** A network's link to other hosts. */
export interface DesiredTunnel extends TunnelState {
  readonly name: string;
  readonly networkId: string;
  readonly mtu: number;
  readonly bridge: string;
}

export interface DesiredTap {
  readonly name: string;
  readonly portId: string;
  readonly networkId: string;
  readonly mtu: number;
  readonly bridge: string;
}

export interface DesiredVeth {
  /** The name of both ends. */
  readonly name: string;
  readonly portId: string;
  /** What it was made for: the network of a DHCP server, or the router. */
  readonly owner: string;
  readonly networkId: string;
  readonly namespace: string;
  readonly mtu: number;
  readonly bridge: string;
}

export interface DesiredLinks {
  readonly bridges: readonly DesiredBridge[];
  readonly tunnels: readonly DesiredTunnel[];
  readonly taps: readonly DesiredTap[];
  readonly veths: readonly DesiredVeth[];
  /** Why a port (or a router's port) can't be wired, in words. */
  readonly faults: ReadonlyMap<string, string>;
}

type Place = { readonly bridge: string; readonly network: NetworkState } | { readonly fault: string };

/** The bridge of a network on this host, or why there is none. */
function placeOf(network: NetworkState | undefined, id: string, config: NetworkAgentConfig): Place {
  if (!network) return { fault: `network ${id} is not known on this host` };
  if (network.attachment.type === 'tenant') return { bridge: bridgeName(id), network };
  const name = network.attachment.physical_network;
  const bridge = Object.hasOwn(config.physical_networks, name) ? config.physical_networks[name] : undefined;
  return bridge === undefined
    ? { fault: `physical network ${JSON.stringify(name)} is not mapped to a bridge on this host` }
    : { bridge, network };
}

function routerEnds(desired: Desired): { portId: string; networkId: string; owner: string; name: string }[] {
  return [...desired.routers.values()]
    .filter((router) => router.admin_state_up)
    .flatMap((router) => [
      ...router.interfaces.map((port) => ({
        portId: port.port_id,
        networkId: port.network_id,
        owner: router.id,
        name: routerLinkName(port.port_id),
      })),
      ...(router.gateway === null
        ? []
        : [
            {
              portId: router.gateway.port_id,
              networkId: router.gateway.network_id,
              owner: router.id,
              name: gatewayLinkName(router.gateway.port_id),
            },
          ]),
    ]);
}

/** Everything that should exist. The feed names the networks that a server's port or a router of this host is on. */
export function desiredLinks(desired: Desired, config: NetworkAgentConfig): DesiredLinks {
  const bridges: DesiredBridge[] = [];
  const tunnels: DesiredTunnel[] = [];
  const taps: DesiredTap[] = [];
  const veths: DesiredVeth[] = [];
  const faults = new Map<string, string>();
  const prefix = config.namespace_prefix;
  const attach = (portId: string, networkId: string, add: (bridge: string, network: NetworkState) => void): void => {
    const place = placeOf(desired.networks.get(networkId), networkId, config);
    if ('fault' in place) faults.set(safeId(portId), place.fault);
    else add(place.bridge, place.network);
  };
  for (const { id, attachment, mtu, tunnel } of desired.networks.values()) {
    if (attachment.type !== 'tenant') continue;
    const bridge = bridgeName(id);
    bridges.push({ name: bridge, networkId: safeId(id), mtu });
    if (tunnel && tunnel.peers.length > 0) tunnels.push({ ...tunnel, name: vxlanName(id), networkId: id, mtu, bridge });
  }
  for (const port of desired.ports.values()) {
    attach(port.id, port.network_id, (bridge, { mtu, id }) => {
      taps.push({ name: tapName(port.id), portId: safeId(port.id), networkId: id, mtu, bridge });
    });
  }
  for (const networkId of new Set(taps.map((tap) => tap.networkId))) {
    const portId = desired.networks.get(networkId)?.dhcp?.port_id;
    if (portId === undefined) continue;
    attach(portId, networkId, (bridge, { mtu }) => {
      const [name, namespace] = [dhcpLinkName(portId), dhcpNamespace(prefix, networkId)];
      veths.push({ name, portId, owner: networkId, networkId, namespace, mtu, bridge });
    });
  }
  for (const end of routerEnds(desired)) {
    attach(end.portId, end.networkId, (bridge, { mtu }) => {
      veths.push({ ...end, namespace: routerNamespace(prefix, end.owner), mtu, bridge });
    });
  }
  return { bridges, tunnels, taps, veths, faults };
}
