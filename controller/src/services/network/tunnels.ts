// Tenant networks between hosts: which hosts a network spans, and behind which of them each of its MAC addresses is.
import { isIPv4 } from 'node:net';
import type { TunnelState } from '@cumulet/common';
import { In, type ReadSession } from '../../db';
import { ports, routerInterfaces, routers, type Network } from '../../db/entities/network';
import { agents, type Agent } from '../../db/entities/tasks';
import { isRouterOwner } from './addressPlan';
import { changedNetwork, type ChangedObject } from './changes';
import type { AgentPort } from './networkRows';

/** The address by which other hosts reach this agent's host; undefined when it registered none. */
export function underlayOf(agent: Pick<Agent, 'inventory'> | undefined): string | undefined {
  const address = agent?.inventory['underlay_address'];
  return typeof address === 'string' && isIPv4(address) ? address : undefined;
}

/** What is needed to say where a port is: the same two queries whatever the number of ports. */
export interface Places {
  readonly routerHosts: ReadonlyMap<string, string | null>;
  /** Underlay addresses by host. */
  readonly underlays: ReadonlyMap<string, string>;
}

/** @param hosts those that ask, whose own addresses are needed too */
export async function readPlaces(
  session: ReadSession,
  hosts: readonly string[],
  rows: readonly AgentPort[],
): Promise<Places> {
  const routerIds = rows.filter((port) => isRouterOwner(port.device_owner)).map((port) => port.device_id);
  const routerRows = await session.find(routers, { where: { id: In([...new Set(routerIds)]) } });
  const spanned = new Set([
    ...hosts,
    ...rows.flatMap((port) => [port.host, port.migrating_to]),
    ...routerRows.flatMap((router) => router.host ?? []),
  ]);
  const where = { role: 'network', host: In([...spanned]) };
  const agentRows = await session.pick(agents, ['host', 'inventory'], { where });
  return {
    routerHosts: new Map(routerRows.map((router) => [router.id, router.host])),
    underlays: new Map(
      agentRows.flatMap((agent) => {
        const address = underlayOf(agent);
        return address === undefined ? [] : [[agent.host, address] as const];
      }),
    ),
  };
}

/** A network's way to other hosts as this host sees it. Null when it has none: a physical network, or no underlay here. */
export function tunnelState(
  network: Network,
  host: string,
  rows: readonly AgentPort[],
  { routerHosts, underlays }: Places,
): TunnelState | null {
  const local = underlays.get(host);
  if (network.segmentation_id === null || network.physical_network !== null || local === undefined) return null;
  const entries = rows.flatMap((port) => {
    const at = isRouterOwner(port.device_owner) ? routerHosts.get(port.device_id) : port.host;
    const peer = at === host ? undefined : underlays.get(at ?? '');
    return peer === undefined ? [] : [{ mac: port.mac_address, peer }];
  });
  // Where a server is migrated to it is not yet, but its port must hear what is sent to all.
  const coming = rows.flatMap((port) => (port.migrating_to === host ? [] : (underlays.get(port.migrating_to) ?? [])));
  const peers = [...new Set([...entries.map((entry) => entry.peer), ...coming])].sort();
  return { vni: network.segmentation_id, local, peers, entries };
}

/** What the feed must say when a host is reached by another address: every network that it has. */
export async function changedNetworksOfHost(session: ReadSession, host: string): Promise<ChangedObject[]> {
  const bound = await session.find(ports, { where: [{ host }, { migrating_to: host }] });
  const here = await session.find(routers, { where: { host } });
  const joined = await session.find(routerInterfaces, { where: { router_id: In(here.map((router) => router.id)) } });
  const ids = [
    ...[...bound, ...joined].map((one) => one.network_id),
    ...here.flatMap((router) => router.gateway_network_id ?? []),
  ];
  return [...new Set(ids)].map(changedNetwork);
}
