// What a network agent must make so on its host: the state of networks, ports, security groups and routers.
import { Type, type Static } from '@sinclair/typebox';

const Id = Type.String({ minLength: 1, maxLength: 64 });
const Mac = Type.String({ pattern: '^([0-9a-f]{2}:){5}[0-9a-f]{2}$' });
const Nullable = <T extends ReturnType<typeof Type.String> | ReturnType<typeof Type.Integer>>(type: T) =>
  Type.Union([type, Type.Null()]);

export const AddressState = Type.Object({ subnet_id: Id, address: Type.String() });
export type AddressState = Static<typeof AddressState>;

export const SubnetState = Type.Object({
  id: Id,
  cidr: Type.String(),
  ip_version: Type.Union([Type.Literal(4), Type.Literal(6)]),
  gateway_ip: Nullable(Type.String()),
  enable_dhcp: Type.Boolean(),
  dns_nameservers: Type.Array(Type.String()),
  host_routes: Type.Array(Type.Object({ destination: Type.String(), nexthop: Type.String() })),
  ipv6_ra_mode: Nullable(Type.String()),
  ipv6_address_mode: Nullable(Type.String()),
});
export type SubnetState = Static<typeof SubnetState>;

/** One static DHCP entry: every port of the network with an address, on whatever host. */
export const DhcpHostState = Type.Object({
  port_id: Id,
  mac: Mac,
  hostname: Type.String(),
  addresses: Type.Array(AddressState),
  extra_options: Type.Array(Type.Object({ name: Type.String(), value: Type.String(), ip_version: Type.Integer() })),
});
export type DhcpHostState = Static<typeof DhcpHostState>;

/** An IPv4 address as it may stand in a command. */
export const Ipv4Address = Type.String({
  pattern: '^((25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])(\\.(?!$)|$)){4}$',
});

/** How a network reaches other hosts: VXLAN between their underlay addresses. */
export const TunnelState = Type.Object({
  vni: Type.Integer({ minimum: 1, maximum: 16_777_215 }),
  /** This host's own underlay address, as its agent registered it. */
  local: Ipv4Address,
  /** Underlay addresses of the other hosts that have a port or a router of the network. */
  peers: Type.Array(Ipv4Address),
  /** Behind which peer each MAC address of another host is. */
  entries: Type.Array(Type.Object({ mac: Mac, peer: Ipv4Address })),
});
export type TunnelState = Static<typeof TunnelState>;

export const NetworkState = Type.Object({
  kind: Type.Literal('network'),
  id: Id,
  mtu: Type.Integer(),
  /** `tenant`: a bridge of our own on this host. `physical`: the bridge that this host's configuration maps the name to. */
  attachment: Type.Union([
    Type.Object({ type: Type.Literal('tenant') }),
    Type.Object({ type: Type.Literal('physical'), physical_network: Type.String() }),
  ]),
  /** Null for a physical network, and on a host without an underlay address. */
  tunnel: Type.Union([TunnelState, Type.Null()]),
  dns_domain: Type.String(),
  subnets: Type.Array(SubnetState),
  /** The network's DHCP and metadata port, local to each host; null when no subnet has DHCP. */
  dhcp: Type.Union([Type.Object({ port_id: Id, mac: Mac, addresses: Type.Array(AddressState) }), Type.Null()]),
  dhcp_hosts: Type.Array(DhcpHostState),
});
export type NetworkState = Static<typeof NetworkState>;

/** A port of a server on this host. */
export const PortState = Type.Object({
  kind: Type.Literal('port'),
  id: Id,
  network_id: Id,
  mac: Mac,
  fixed_ips: Type.Array(AddressState),
  admin_state_up: Type.Boolean(),
  port_security_enabled: Type.Boolean(),
  allowed_address_pairs: Type.Array(Type.Object({ ip_address: Type.String(), mac_address: Mac })),
  security_group_ids: Type.Array(Id),
});
export type PortState = Static<typeof PortState>;

export const SecurityGroupRuleState = Type.Object({
  id: Id,
  direction: Type.Union([Type.Literal('ingress'), Type.Literal('egress')]),
  ethertype: Type.Union([Type.Literal('IPv4'), Type.Literal('IPv6')]),
  /** A protocol name or number in decimal; null means any. */
  protocol: Nullable(Type.String()),
  /** For ICMP the type and the code. */
  port_range_min: Nullable(Type.Integer()),
  port_range_max: Nullable(Type.Integer()),
  remote_ip_prefix: Nullable(Type.String()),
  remote_group_id: Nullable(Type.String()),
});
export type SecurityGroupRuleState = Static<typeof SecurityGroupRuleState>;

export const SecurityGroupState = Type.Object({
  kind: Type.Literal('security_group'),
  id: Id,
  stateful: Type.Boolean(),
  rules: Type.Array(SecurityGroupRuleState),
  /** Addresses of all ports in the group, for other groups' rules that name it as remote. */
  members: Type.Array(Type.String()),
});
export type SecurityGroupState = Static<typeof SecurityGroupState>;

/** An address with its prefix length, as on an interface: "10.0.0.1/24". */
const InterfaceAddress = Type.String();

export const RouterState = Type.Object({
  kind: Type.Literal('router'),
  id: Id,
  admin_state_up: Type.Boolean(),
  interfaces: Type.Array(
    Type.Object({ port_id: Id, network_id: Id, mac: Mac, addresses: Type.Array(InterfaceAddress) }),
  ),
  gateway: Type.Union([
    Type.Object({
      port_id: Id,
      network_id: Id,
      mac: Mac,
      addresses: Type.Array(InterfaceAddress),
      next_hops: Type.Array(Type.String()),
      enable_snat: Type.Boolean(),
    }),
    Type.Null(),
  ]),
  floating_ips: Type.Array(Type.Object({ id: Id, floating_address: Type.String(), fixed_address: Type.String() })),
  routes: Type.Array(Type.Object({ destination: Type.String(), nexthop: Type.String() })),
});
export type RouterState = Static<typeof RouterState>;

export const NetworkObject = Type.Union([NetworkState, PortState, SecurityGroupState, RouterState]);
export type NetworkObject = Static<typeof NetworkObject>;

export const NetworkObjectKind = Type.Union([
  Type.Literal('network'),
  Type.Literal('port'),
  Type.Literal('security_group'),
  Type.Literal('router'),
]);
export type NetworkObjectKind = Static<typeof NetworkObjectKind>;

/** The answer to "what changed for this host since N": new states and what is no longer this host's. */
export const NetworkChanges = Type.Object({
  sequence: Type.Integer(),
  /** True: `objects` is everything that belongs on the host; forget the rest. */
  reload: Type.Boolean(),
  objects: Type.Array(NetworkObject),
  gone: Type.Array(Type.Object({ kind: NetworkObjectKind, id: Id })),
});
export type NetworkChanges = Static<typeof NetworkChanges>;
