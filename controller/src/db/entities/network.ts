// Tables of the network service. Times are milliseconds; `revision` counts changes of the resource that a client can see.
import { flag, id, integer, json, longText, nullable, table, text, time, type Row, type Table } from '../columns';

/** What every resource of the network API has. */
const standard = {
  id: id(),
  project_id: id(),
  name: text(255),
  description: text(255),
  created_at: time(),
  updated_at: time(),
  revision: integer(),
};

export interface AllocationPool {
  readonly start: string;
  readonly end: string;
}
export interface HostRoute {
  readonly destination: string;
  readonly nexthop: string;
}
export interface AddressPair {
  readonly ip_address: string;
  readonly mac_address: string;
}
export interface DhcpOption {
  readonly opt_name: string;
  readonly opt_value: string;
  readonly ip_version: number;
}

export const networks = table(
  'network',
  {
    ...standard,
    admin_state_up: flag(),
    status: text(16),
    mtu: integer(),
    port_security_enabled: flag(),
    /** `vxlan`, `flat` or `vlan`. */
    network_type: text(32),
    physical_network: nullable(text(64)),
    segmentation_id: nullable(integer()),
    dns_domain: text(255),
    /** Whether routers may have a gateway here. */
    external: flag(),
    availability_zone_hints: json<readonly string[]>(),
  },
  { indices: [['project_id'], ['name']] },
);
export type Network = Row<typeof networks>;

/** Segmentation ids in use: no two networks of one type and physical network share one. */
export const segments = table(
  'network_segment',
  { network_type: text(32), physical_network: text(64), segmentation_id: integer(), network_id: id() },
  { primary: ['network_type', 'physical_network', 'segmentation_id'], indices: [['network_id']] },
);

export const subnets = table(
  'subnet',
  {
    ...standard,
    network_id: id(),
    ip_version: integer(),
    cidr: text(64),
    gateway_ip: nullable(text(64)),
    enable_dhcp: flag(),
    allocation_pools: json<readonly AllocationPool[]>(),
    dns_nameservers: json<readonly string[]>(),
    host_routes: json<readonly HostRoute[]>(),
    service_types: json<readonly string[]>(),
    ipv6_ra_mode: nullable(text(32)),
    ipv6_address_mode: nullable(text(32)),
    subnetpool_id: nullable(id()),
  },
  { indices: [['network_id'], ['project_id'], ['subnetpool_id']] },
);
export type Subnet = Row<typeof subnets>;

export const ports = table(
  'port',
  {
    ...standard,
    network_id: id(),
    admin_state_up: flag(),
    mac_address: text(32),
    status: text(16),
    device_id: text(255),
    device_owner: text(255),
    port_security_enabled: flag(),
    allowed_address_pairs: json<readonly AddressPair[]>(),
    extra_dhcp_opts: json<readonly DhcpOption[]>(),
    dns_name: text(255),
    /** The host the port is bound to; '' for none. */
    host: text(255),
    /** The host that its server is migrated to while it runs: the port is wired there too; '' for none. */
    migrating_to: text(255),
    /** Counts bindings to a host; an agent's late word about an older one is not believed. */
    generation: integer(),
    vnic_type: text(32),
    profile: json<Record<string, unknown>>(),
    /** The server that has the port. Unlike `device_id`, which any owner may write, only the compute service sets it. */
    server_id: nullable(id()),
    /** The port was made for its server and is deleted with it. */
    made_for_server: flag(),
    /** The tag a server's user gave to this interface. */
    device_tag: nullable(text(255)),
    /** The order of a server's interfaces: a guest names its cards by it. */
    device_position: integer(),
    /** Why the host could not wire the port. */
    fault: nullable(longText()),
  },
  {
    unique: [['network_id', 'mac_address']],
    indices: [['device_id'], ['server_id'], ['host'], ['migrating_to'], ['project_id'], ['device_owner']],
  },
);
export type Port = Row<typeof ports>;

/** Addresses of ports: the unique pair is what hands out an address only once. */
export const portAddresses = table(
  'port_address',
  { subnet_id: id(), address: text(64), port_id: id(), network_id: id(), position: integer() },
  { primary: ['subnet_id', 'address'], indices: [['port_id'], ['network_id', 'address']] },
);
export type PortAddress = Row<typeof portAddresses>;

export const routers = table(
  'router',
  {
    ...standard,
    admin_state_up: flag(),
    status: text(16),
    gateway_port_id: nullable(id()),
    gateway_network_id: nullable(id()),
    enable_snat: flag(),
    routes: json<readonly HostRoute[]>(),
    availability_zone_hints: json<readonly string[]>(),
    /** The one host that has the router; null until it has an interface or a gateway. */
    host: nullable(text(255)),
    generation: integer(),
  },
  { indices: [['project_id'], ['host']] },
);
export type Router = Row<typeof routers>;

/** Which ports join a router to its networks. A subnet is joined to a router once. */
export const routerInterfaces = table(
  'router_interface',
  { port_id: id(), router_id: id(), network_id: id() },
  { primary: ['port_id'], indices: [['router_id'], ['network_id']] },
);

export const floatingIps = table(
  'floating_ip',
  {
    id: id(),
    project_id: id(),
    description: text(255),
    created_at: time(),
    updated_at: time(),
    revision: integer(),
    floating_network_id: id(),
    floating_ip_address: text(64),
    floating_port_id: id(),
    port_id: nullable(id()),
    fixed_ip_address: nullable(text(64)),
    router_id: nullable(id()),
    status: text(16),
    dns_name: text(255),
    dns_domain: text(255),
  },
  {
    unique: [
      ['floating_network_id', 'floating_ip_address'],
      ['floating_network_id', 'port_id', 'fixed_ip_address'],
    ],
    indices: [['port_id'], ['router_id'], ['project_id'], ['floating_port_id']],
  },
);
export type FloatingIp = Row<typeof floatingIps>;

export const securityGroups = table(
  'security_group',
  { ...standard, stateful: flag() },
  { indices: [['project_id'], ['name']] },
);
export type SecurityGroup = Row<typeof securityGroups>;

/** The group `default` of each project; the primary key keeps it single. */
export const defaultGroups = table(
  'default_security_group',
  { project_id: id(), security_group_id: id() },
  { primary: ['project_id'], indices: [['security_group_id']] },
);

export const securityGroupRules = table(
  'security_group_rule',
  {
    id: id(),
    project_id: id(),
    description: text(255),
    created_at: time(),
    updated_at: time(),
    revision: integer(),
    security_group_id: id(),
    direction: text(16),
    ethertype: text(8),
    protocol: nullable(text(40)),
    port_range_min: nullable(integer()),
    port_range_max: nullable(integer()),
    remote_ip_prefix: nullable(text(64)),
    remote_group_id: nullable(id()),
    remote_address_group_id: nullable(id()),
  },
  { indices: [['security_group_id'], ['remote_group_id'], ['remote_address_group_id'], ['project_id']] },
);
export type SecurityGroupRule = Row<typeof securityGroupRules>;

export const portGroups = table(
  'port_security_group',
  { port_id: id(), security_group_id: id() },
  { primary: ['port_id', 'security_group_id'], indices: [['security_group_id']] },
);

export const addressGroups = table('address_group', standard, { indices: [['project_id']] });
export type AddressGroup = Row<typeof addressGroups>;

export const addressGroupAddresses = table(
  'address_group_address',
  { address_group_id: id(), address: text(64) },
  { primary: ['address_group_id', 'address'] },
);

/** Who besides the owner may use an object: `access_as_shared` or `access_as_external`; the target is a project or '*'. */
export const rbacPolicies = table(
  'network_rbac',
  {
    id: id(),
    project_id: id(),
    object_type: text(32),
    object_id: id(),
    action: text(32),
    target_tenant: id(),
  },
  {
    unique: [['object_type', 'object_id', 'action', 'target_tenant']],
    indices: [['target_tenant', 'object_type'], ['project_id']],
  },
);
export type RbacPolicy = Row<typeof rbacPolicies>;

export const networkTags = table(
  'network_tag',
  { resource_type: text(32), resource_id: id(), tag: text(255) },
  { primary: ['resource_id', 'tag'], indices: [['resource_type', 'tag']] },
);

/** Use and limit per project and resource. A null limit is the cloud's default; -1 is unlimited. */
export const networkQuotas = table(
  'network_quota',
  { project_id: id(), resource: text(32), quota_limit: nullable(integer()), used: integer() },
  { primary: ['project_id', 'resource'] },
);

export const subnetPools = table(
  'subnetpool',
  {
    ...standard,
    ip_version: integer(),
    shared: flag(),
    is_default: flag(),
    prefixes: json<readonly string[]>(),
    min_prefixlen: integer(),
    max_prefixlen: integer(),
    default_prefixlen: integer(),
    default_quota: nullable(integer()),
  },
  { indices: [['project_id']] },
);
export type SubnetPool = Row<typeof subnetPools>;

/** What an administrator set on an agent; the agent itself is in `agent`. */
export const agentSettings = table(
  'network_agent_setting',
  { agent_id: id(), admin_state_up: flag(), description: text(255) },
  { primary: ['agent_id'] },
);

export const networkTables: readonly Table[] = [
  networks,
  segments,
  subnets,
  ports,
  portAddresses,
  routers,
  routerInterfaces,
  floatingIps,
  securityGroups,
  defaultGroups,
  securityGroupRules,
  portGroups,
  addressGroups,
  addressGroupAddresses,
  rbacPolicies,
  networkTags,
  networkQuotas,
  subnetPools,
  agentSettings,
];
