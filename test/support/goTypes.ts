// What Go's JSON decoder takes for the fields that gophercloud declares: a wrong type or an unlisted time format is an error, null and a missing key are not.

/** A named check of one value, a list of one shape, or the fields of an object (others are ignored, as in Go). */
export type Shape = Kind | readonly [Shape] | { readonly [field: string]: Shape };
type Kind =
  | 'text or number'
  | 'text or object'
  | 'string'
  | 'bool'
  | 'int'
  | 'float'
  | 'object'
  | 'strings'
  | 'stringMap'
  | 'rfc3339'
  | 'microseconds'
  | 'time';

const isText = (value: unknown): boolean => typeof value === 'string';
const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);
const isTime = (value: unknown, pattern: RegExp): boolean =>
  typeof value === 'string' && pattern.test(value) && !Number.isNaN(Date.parse(value));
const RFC3339 = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)$/;
const WITHOUT_ZONE = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?$/;

const checks: Record<Kind, (value: unknown) => boolean> = {
  string: isText,
  bool: (value) => typeof value === 'boolean',
  int: (value) => Number.isInteger(value),
  float: (value) => typeof value === 'number',
  object: isObject,
  strings: (value) => Array.isArray(value) && value.every(isText),
  stringMap: (value) => isObject(value) && Object.values(value).every(isText),
  'text or number': (value) => isText(value) || typeof value === 'number',
  'text or object': (value) => isText(value) || isObject(value),
  /** Go's own time.Time: a zone is required. */
  rfc3339: (value) => isTime(value, RFC3339),
  /** JSONRFC3339MilliNoZ: a zone is an error. */
  microseconds: (value) => value === '' || isTime(value, WITHOUT_ZONE),
  /** Networking: one form is tried, then the other. */
  time: (value) => isTime(value, RFC3339) || isTime(value, WITHOUT_ZONE),
};

/** What Go could not read, as "path: value is no kind"; empty when all fits. */
export function unreadable(shape: Shape, value: unknown, path: string): string[] {
  if (value === null || value === undefined) return [];
  const wrong = (kind: string): string[] => [`${path}: ${JSON.stringify(value)} is no ${kind}`];
  if (typeof shape === 'string') return checks[shape](value) ? [] : wrong(shape);
  if (Array.isArray(shape)) {
    if (!Array.isArray(value)) return wrong('list');
    return value.flatMap((one, index) => unreadable((shape as readonly [Shape])[0], one, `${path}[${index}]`));
  }
  if (!isObject(value)) return wrong('object');
  return Object.entries(shape).flatMap(([field, kind]) => unreadable(kind, value[field], `${path}.${field}`));
}

const standard = {
  id: 'string',
  name: 'string',
  description: 'string',
  tenant_id: 'string',
  project_id: 'string',
  tags: 'strings',
  revision_number: 'int',
  created_at: 'time',
  updated_at: 'time',
} as const;

const rule = {
  ...standard,
  direction: 'string',
  ethertype: 'string',
  security_group_id: 'string',
  port_range_min: 'int',
  port_range_max: 'int',
  protocol: 'string',
  remote_address_group_id: 'string',
  remote_group_id: 'string',
  remote_ip_prefix: 'string',
} as const;

/** The structs that gophercloud 2 and the OpenStack provider of Terraform read answers into. */
export const goTypes = {
  token: {
    expires_at: 'rfc3339',
    catalog: [{ id: 'string', name: 'string', type: 'string', endpoints: ['stringMap'] }],
    user: 'object',
    project: 'object',
    roles: ['object'],
  },
  project: {
    id: 'string',
    name: 'string',
    description: 'string',
    domain_id: 'string',
    parent_id: 'string',
    enabled: 'bool',
    is_domain: 'bool',
    tags: 'strings',
    options: 'object',
  },
  user: {
    id: 'string',
    name: 'string',
    description: 'string',
    default_project_id: 'string',
    domain_id: 'string',
    enabled: 'bool',
    links: 'object',
    options: 'object',
    password_expires_at: 'microseconds',
  },
  role: {
    id: 'string',
    name: 'string',
    domain_id: 'string',
    description: 'string',
    links: 'object',
    options: 'object',
  },
  image: {
    ...standard,
    status: 'string',
    container_format: 'string',
    disk_format: 'string',
    min_disk: 'int',
    min_ram: 'int',
    owner: 'string',
    protected: 'bool',
    visibility: 'string',
    os_hidden: 'bool',
    checksum: 'string',
    size: 'int',
    virtual_size: 'int',
    metadata: 'stringMap',
    file: 'string',
    schema: 'string',
    created_at: 'rfc3339',
    updated_at: 'rfc3339',
  },
  flavor: {
    id: 'string',
    name: 'string',
    description: 'string',
    disk: 'int',
    ram: 'int',
    vcpus: 'int',
    rxtx_factor: 'float',
    'os-flavor-access:is_public': 'bool',
    'OS-FLV-EXT-DATA:ephemeral': 'int',
    extra_specs: 'stringMap',
  },
  keypair: {
    name: 'string',
    fingerprint: 'string',
    public_key: 'string',
    private_key: 'string',
    user_id: 'string',
    type: 'string',
  },
  server: {
    id: 'string',
    tenant_id: 'string',
    user_id: 'string',
    name: 'string',
    created: 'rfc3339',
    updated: 'rfc3339',
    hostId: 'string',
    status: 'string',
    progress: 'int',
    accessIPv4: 'string',
    accessIPv6: 'string',
    flavor: 'object',
    addresses: 'object',
    metadata: 'stringMap',
    links: ['object'],
    key_name: 'string',
    adminPass: 'string',
    security_groups: ['object'],
    'os-extended-volumes:volumes_attached': [{ id: 'string' }],
    fault: { code: 'int', created: 'rfc3339', details: 'string', message: 'string' },
    tags: 'strings',
    'OS-EXT-SRV-ATTR:host': 'string',
    'OS-EXT-SRV-ATTR:instance_name': 'string',
    'OS-EXT-SRV-ATTR:hypervisor_hostname': 'string',
    'OS-EXT-STS:task_state': 'string',
    'OS-EXT-STS:vm_state': 'string',
    'OS-EXT-STS:power_state': 'int',
    'OS-DCF:diskConfig': 'string',
    'OS-EXT-AZ:availability_zone': 'string',
    'OS-SRV-USG:launched_at': 'microseconds',
    'OS-SRV-USG:terminated_at': 'microseconds',
  },
  network: {
    ...standard,
    admin_state_up: 'bool',
    status: 'string',
    subnets: 'strings',
    shared: 'bool',
    availability_zone_hints: 'strings',
    'router:external': 'bool',
    port_security_enabled: 'bool',
    mtu: 'int',
    dns_domain: 'string',
    qos_policy_id: 'string',
    vlan_transparent: 'bool',
    'provider:network_type': 'string',
    'provider:physical_network': 'string',
  },
  subnet: {
    ...standard,
    network_id: 'string',
    ip_version: 'int',
    cidr: 'string',
    gateway_ip: 'string',
    dns_nameservers: 'strings',
    dns_publish_fixed_ip: 'bool',
    service_types: 'strings',
    allocation_pools: [{ start: 'string', end: 'string' }],
    host_routes: [{ destination: 'string', nexthop: 'string' }],
    enable_dhcp: 'bool',
    ipv6_address_mode: 'string',
    ipv6_ra_mode: 'string',
    subnetpool_id: 'string',
    segment_id: 'string',
  },
  port: {
    ...standard,
    network_id: 'string',
    admin_state_up: 'bool',
    status: 'string',
    mac_address: 'string',
    fixed_ips: [{ subnet_id: 'string', ip_address: 'string' }],
    device_owner: 'string',
    device_id: 'string',
    security_groups: 'strings',
    allowed_address_pairs: [{ ip_address: 'string', mac_address: 'string' }],
    propagate_uplink_status: 'bool',
    extra_dhcp_opts: [{ opt_name: 'string', opt_value: 'string', ip_version: 'int' }],
    port_security_enabled: 'bool',
    dns_name: 'string',
    dns_assignment: ['stringMap'],
    qos_policy_id: 'string',
    'binding:host_id': 'string',
    'binding:vif_details': 'object',
    'binding:vif_type': 'string',
    'binding:vnic_type': 'string',
    'binding:profile': 'object',
  },
  router: {
    ...standard,
    status: 'string',
    admin_state_up: 'bool',
    distributed: 'bool',
    routes: [{ destination: 'string', nexthop: 'string' }],
    availability_zone_hints: 'strings',
    external_gateway_info: {
      network_id: 'string',
      enable_snat: 'bool',
      external_fixed_ips: [{ ip_address: 'string', subnet_id: 'string' }],
      qos_policy_id: 'string',
    },
  },
  routerInterface: { id: 'string', subnet_id: 'string', port_id: 'string', tenant_id: 'string' },
  floatingip: {
    ...standard,
    floating_network_id: 'string',
    floating_ip_address: 'string',
    port_id: 'string',
    fixed_ip_address: 'string',
    router_id: 'string',
    status: 'string',
    dns_name: 'string',
    dns_domain: 'string',
  },
  subnetpool: {
    ...standard,
    prefixes: 'strings',
    default_quota: 'int',
    default_prefixlen: 'int',
    min_prefixlen: 'int',
    max_prefixlen: 'int',
    address_scope_id: 'string',
    ip_version: 'int',
    shared: 'bool',
    is_default: 'bool',
  },
  address_group: { id: 'string', name: 'string', description: 'string', project_id: 'string', addresses: 'strings' },
  rbac_policy: {
    id: 'string',
    action: 'string',
    object_id: 'string',
    object_type: 'string',
    tenant_id: 'string',
    target_tenant: 'string',
    project_id: 'string',
    tags: 'strings',
  },
  quota: {
    floatingip: 'int',
    network: 'int',
    port: 'int',
    rbac_policy: 'int',
    router: 'int',
    security_group: 'int',
    security_group_rule: 'int',
    subnet: 'int',
    subnetpool: 'int',
    trunk: 'int',
  },
  quota_set: {
    id: 'string',
    fixed_ips: 'int',
    floating_ips: 'int',
    injected_file_content_bytes: 'int',
    injected_file_path_bytes: 'int',
    injected_files: 'int',
    key_pairs: 'int',
    metadata_items: 'int',
    ram: 'int',
    security_group_rules: 'int',
    security_groups: 'int',
    cores: 'int',
    instances: 'int',
    server_groups: 'int',
    server_group_members: 'int',
  },
  limits: {
    absolute: {
      maxTotalCores: 'int',
      maxServerMeta: 'int',
      maxPersonality: 'int',
      maxTotalKeypairs: 'int',
      maxTotalInstances: 'int',
      maxTotalRAMSize: 'int',
      totalCoresUsed: 'int',
      totalInstancesUsed: 'int',
      totalRAMUsed: 'int',
    },
  },
  hypervisor: {
    cpu_info: 'text or object',
    current_workload: 'int',
    status: 'string',
    state: 'string',
    disk_available_least: 'int',
    host_ip: 'string',
    free_disk_gb: 'int',
    free_ram_mb: 'int',
    hypervisor_hostname: 'string',
    hypervisor_type: 'string',
    hypervisor_version: 'int',
    id: 'text or number',
    local_gb: 'int',
    memory_mb: 'int',
    service: { host: 'string', id: 'text or number', disabled_reason: 'string' },
    vcpus: 'int',
  },
  zone: { zoneName: 'string', zoneState: { available: 'bool' }, hosts: 'object' },
  member: {
    created_at: 'rfc3339',
    updated_at: 'rfc3339',
    image_id: 'string',
    member_id: 'string',
    schema: 'string',
    status: 'string',
  },
  group: { id: 'string', name: 'string', description: 'string', domain_id: 'string', links: 'object' },
  flavor_access: { flavor_id: 'string', tenant_id: 'string' },
  security_group: { ...standard, stateful: 'bool', security_group_rules: [rule] },
  security_group_rule: rule,
} as const satisfies Record<string, Shape>;
