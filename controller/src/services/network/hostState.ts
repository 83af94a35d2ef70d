// What hosts' network agents must make so: the objects that belong on each host, read in a fixed number of queries for all of them.
import type {
  DhcpHostState,
  NetworkObject,
  NetworkState,
  PortState,
  RouterState,
  SecurityGroupState,
} from '@cumulet/common';
import { groupBy, In, type ReadSession, type Row } from '../../db';
import {
  floatingIps,
  portGroups,
  ports,
  routerInterfaces,
  routers,
  type Network,
  type PortAddress,
  type Router,
  type Subnet,
} from '../../db/entities/network';
import { hostnameOf } from './dnsNames';
import { groupsOf, readGroupStates, readRules, unique, type HostGroups, type RulesByGroup } from './groupStates';
import { AGENT_PORT, networksWithPorts, type AgentPort } from './networkRows';
import { routerState } from './routerState';
import { readPlaces, tunnelState } from './tunnels';

/** What of the network service belongs on one host. */
export interface HostState {
  /** Kinds and ids of everything that belongs there, described here or not. */
  readonly present: ReadonlySet<string>;
  readonly networks: readonly NetworkState[];
  readonly ports: readonly PortState[];
  readonly groups: readonly SecurityGroupState[];
  readonly routers: readonly RouterState[];
}

const byId = <T extends { id: string }>(rows: readonly T[]): Map<string, T> =>
  new Map(rows.map((row) => [row.id, row]));
const isServersPort = (port: AgentPort): boolean => port.host !== '' && !port.device_owner.startsWith('network:');

const addressState = (row: PortAddress) => ({ subnet_id: row.subnet_id, address: row.address });

function dhcpHost(port: AgentPort, addresses: readonly PortAddress[]): DhcpHostState {
  return {
    port_id: port.id,
    mac: port.mac_address,
    hostname: hostnameOf(port.dns_name, addresses[0]?.address ?? ''),
    addresses: addresses.map(addressState),
    extra_options: port.extra_dhcp_opts.map((option) => ({
      name: option.opt_name,
      value: option.opt_value,
      ip_version: option.ip_version,
    })),
  };
}

interface NetworkParts {
  readonly subnets: readonly Subnet[];
  readonly ports: readonly AgentPort[];
  readonly addresses: ReadonlyMap<string, readonly PortAddress[]>;
}

/** What is the same on every host. */
function networkState(network: Network, parts: NetworkParts): Omit<NetworkState, 'tunnel'> {
  const dhcp = parts.ports.find((port) => port.device_owner === 'network:dhcp');
  const hosts = parts.ports.filter(
    (port) => !port.device_owner.startsWith('network:') && (parts.addresses.get(port.id) ?? []).length > 0,
  );
  return {
    kind: 'network',
    id: network.id,
    mtu: network.mtu,
    attachment:
      network.physical_network === null
        ? { type: 'tenant' }
        : { type: 'physical', physical_network: network.physical_network },
    dns_domain: network.dns_domain,
    subnets: parts.subnets.map((subnet) => ({
      id: subnet.id,
      cidr: subnet.cidr,
      ip_version: subnet.ip_version === 4 ? 4 : 6,
      gateway_ip: subnet.gateway_ip,
      enable_dhcp: subnet.enable_dhcp,
      dns_nameservers: [...subnet.dns_nameservers],
      host_routes: subnet.host_routes.map(({ destination, nexthop }) => ({ destination, nexthop })),
      ipv6_ra_mode: subnet.ipv6_ra_mode,
      ipv6_address_mode: subnet.ipv6_address_mode,
    })),
    dhcp: dhcp
      ? {
          port_id: dhcp.id,
          mac: dhcp.mac_address,
          addresses: (parts.addresses.get(dhcp.id) ?? []).map(addressState),
        }
      : null,
    dhcp_hosts: hosts.map((port) => dhcpHost(port, parts.addresses.get(port.id) ?? [])),
  };
}

/** A network that is down closes its ports. */
function portState(
  port: AgentPort,
  networkUp: boolean,
  addresses: readonly PortAddress[],
  groupIds: readonly string[],
): PortState {
  return {
    kind: 'port',
    id: port.id,
    network_id: port.network_id,
    mac: port.mac_address,
    fixed_ips: addresses.map(addressState),
    admin_state_up: port.admin_state_up && networkUp,
    port_security_enabled: port.port_security_enabled,
    allowed_address_pairs: port.allowed_address_pairs.map(({ ip_address, mac_address }) => ({
      ip_address,
      mac_address,
    })),
    security_group_ids: [...groupIds],
  };
}

/** What is on a host, by rows that say where things are, not what they are. */
interface Inventory {
  readonly bound: readonly AgentPort[];
  readonly routers: readonly Router[];
  readonly interfaces: readonly Row<typeof routerInterfaces>[];
  readonly links: readonly Row<typeof portGroups>[];
  readonly groups: HostGroups;
}

/** The inventories of hosts and the rules of their groups, in the same number of queries whatever the number of hosts. */
async function readInventories(
  session: ReadSession,
  hosts: readonly string[],
): Promise<{ readonly inventories: ReadonlyMap<string, Inventory>; readonly rules: RulesByGroup }> {
  const there = In([...hosts]);
  const portRows = await session.pick(ports, AGENT_PORT, { where: [{ host: there }, { migrating_to: there }] });
  const bound = portRows.filter(isServersPort);
  const routerRows = await session.find(routers, { where: { host: there }, order: { id: 'ASC' } });
  const interfaces = await session.find(routerInterfaces, {
    where: { router_id: In(routerRows.map((router) => router.id)) },
  });
  const links = await session.find(portGroups, {
    where: { port_id: In(bound.map((port) => port.id)) },
    order: { security_group_id: 'ASC' },
  });
  const rules = await readRules(session, unique(links.map((link) => link.security_group_id)));
  const interfacesOf = groupBy(interfaces, (one) => one.router_id);
  const linksOf = groupBy(links, (link) => link.port_id);
  const inventoryOf = (host: string): Inventory => {
    const here = bound.filter((port) => port.host === host || port.migrating_to === host);
    const itsRouters = routerRows.filter((router) => router.host === host);
    const itsLinks = here.flatMap(({ id }) => linksOf.get(id) ?? []);
    return {
      bound: here,
      routers: itsRouters,
      interfaces: itsRouters.flatMap(({ id }) => interfacesOf.get(id) ?? []),
      links: itsLinks,
      groups: groupsOf(rules, unique(itsLinks.map((link) => link.security_group_id))),
    };
  };
  return { inventories: new Map(hosts.map((host) => [host, inventoryOf(host)])), rules };
}

/** The networks of some of a host's ports and routers. */
const networksOf = (
  { interfaces }: Inventory,
  chosen: { readonly ports: readonly AgentPort[]; readonly routers: readonly Router[] },
): string[] =>
  unique([
    ...chosen.ports.map((port) => port.network_id),
    ...interfaces
      .filter((one) => chosen.routers.some((router) => router.id === one.router_id))
      .map((one) => one.network_id),
    ...chosen.routers.flatMap((router) => router.gateway_network_id ?? []),
  ]);

/** What is described: everything, or what changed and what that needs, which may be new on this host without having changed itself. */
interface Chosen {
  readonly ports: readonly AgentPort[];
  readonly routers: readonly Router[];
  readonly networkIds: readonly string[];
  readonly groupIds: readonly string[];
}

type Changed = Pick<ReadonlySet<string>, 'has'>;

function choose(inventory: Inventory, changed: Changed | undefined): Chosen {
  const { bound, links, groups } = inventory;
  const all = { ports: bound, routers: inventory.routers };
  if (!changed) return { ...all, networkIds: networksOf(inventory, all), groupIds: groups.ids };
  const chosen = {
    ports: bound.filter(({ id }) => changed.has(`port ${id}`)),
    routers: inventory.routers.filter(({ id }) => changed.has(`router ${id}`)),
  };
  const needed = new Set(networksOf(inventory, chosen));
  const portIds = new Set(chosen.ports.map(({ id }) => id));
  // Those of ports that did not change the host was told when these came, with whatever changed since.
  const told = new Set(links.filter((link) => !portIds.has(link.port_id)).map((link) => link.security_group_id));
  const groupIds = new Set(
    links
      .filter((link) => portIds.has(link.port_id) && !told.has(link.security_group_id))
      .map((link) => link.security_group_id),
  );
  for (const id of groups.ids) if (changed.has(`security_group ${id}`)) groupIds.add(id);
  // Groups that rules of these name, and so on: a set grows while it is walked.
  const rulesOf = groupBy(groups.rules, (rule) => rule.security_group_id);
  for (const id of groupIds)
    for (const { remote_group_id: remote } of rulesOf.get(id) ?? []) if (remote !== null) groupIds.add(remote);
  return {
    ...chosen,
    networkIds: networksOf(inventory, all).filter((id) => needed.has(id) || changed.has(`network ${id}`)),
    groupIds: groups.ids.filter((id) => groupIds.has(id)),
  };
}

export interface HostQuestion {
  readonly host: string;
  /** By kind and id: only what changed is told, and what that needs. Undefined: everything. */
  readonly changed: Changed | undefined;
}

/** The states of hosts, in the order of the questions and in the same number of queries whatever the hosts have and their number. */
export async function hostStates(session: ReadSession, questions: readonly HostQuestion[]): Promise<HostState[]> {
  if (questions.length === 0) return [];
  const hosts = unique(questions.map(({ host }) => host));
  const { inventories, rules } = await readInventories(session, hosts);
  const asked = questions.flatMap(({ host, changed }) => {
    const inventory = inventories.get(host);
    return inventory ? [{ host, inventory, chosen: choose(inventory, changed) }] : [];
  });
  const wanted = unique(asked.flatMap(({ chosen }) => chosen.networkIds));
  const networkRows = await networksWithPorts(session, wanted);
  const [subnetRows, portRows] = [networkRows.flatMap((one) => one.subnets), networkRows.flatMap((one) => one.ports)];
  const places = await readPlaces(session, hosts, portRows);
  const floating = await session.find(floatingIps, {
    where: { router_id: In(asked.flatMap(({ chosen }) => chosen.routers.map((router) => router.id))) },
    order: { id: 'ASC' },
  });
  const groupStates = await readGroupStates(
    session,
    rules,
    asked.map(({ inventory, chosen }) => ({ ids: chosen.groupIds, remoteIds: inventory.groups.remoteIds })),
  );

  const addresses = groupBy(
    networkRows.flatMap((one) => one.addresses),
    (row) => row.port_id,
  );
  const subnetsOf = groupBy(subnetRows, (subnet) => subnet.network_id);
  const parts = { ports: byId(portRows), addresses, subnets: byId(subnetRows), subnetsOf };
  const described = networkRows.map(({ network, subnets: own, ports: all }) => ({
    network,
    ports: all,
    state: networkState(network, { subnets: own, ports: all, addresses }),
  }));

  const stateOf = ({ host, inventory, chosen }: (typeof asked)[number], at: number): HostState => {
    const { bound, links, groups, interfaces } = inventory;
    const groupIds = groupBy(links, (link) => link.port_id);
    const networkIds = new Set(chosen.networkIds);
    const here = described.filter(({ network }) => networkIds.has(network.id));
    const networkUp = new Map(here.map(({ network }) => [network.id, network.admin_state_up]));
    const present = {
      network: networksOf(inventory, { ports: bound, routers: inventory.routers }),
      port: bound.map(({ id }) => id),
      router: inventory.routers.map(({ id }) => id),
      security_group: groups.ids,
    };
    return {
      present: new Set(Object.entries(present).flatMap(([kind, ids]) => ids.map((id) => `${kind} ${id}`))),
      networks: here.map(({ network, ports: all, state }) => ({
        ...state,
        tunnel: tunnelState(network, host, all, places),
      })),
      ports: chosen.ports.map((port) =>
        portState(
          port,
          networkUp.get(port.network_id) ?? false,
          addresses.get(port.id) ?? [],
          (groupIds.get(port.id) ?? []).map((link) => link.security_group_id),
        ),
      ),
      groups: groupStates[at] ?? [],
      routers: chosen.routers.map((router) =>
        routerState(
          router,
          interfaces.filter((one) => one.router_id === router.id).map((one) => one.port_id),
          floating.filter((one) => one.router_id === router.id),
          parts,
        ),
      ),
    };
  };
  return asked.map(stateOf);
}

export const allObjects = (state: HostState): NetworkObject[] => [
  ...state.networks,
  ...state.groups,
  ...state.ports,
  ...state.routers,
];
