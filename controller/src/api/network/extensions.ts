// The list of extensions: only what is implemented whole is named here.
import { NotFoundError } from '../../errors';
import { param } from '../query';
import type { Route } from '../route';

interface Extension {
  readonly alias: string;
  readonly name: string;
  readonly description: string;
}

const extension = (alias: string, name: string, description: string): Extension => ({ alias, name, description });

/** Aliases that clients ask for before they use a feature. */
const extensions: readonly Extension[] = [
  extension('address-group', 'Address group', 'Lists of addresses that rules name'),
  extension('agent', 'agent', 'The agents of the hosts'),
  extension('allowed-address-pairs', 'Allowed Address Pairs', 'Addresses a port may use besides its own'),
  extension('availability_zone', 'Availability Zone', 'Zones of hosts'),
  extension('binding', 'Port Binding', 'Host and kind of a port'),
  extension('default-subnetpools', 'Default Subnetpools', 'Subnets from the default pool'),
  extension('dns-integration', 'DNS Integration', 'Names of ports, networks and floating IPs'),
  extension('empty-string-filtering', 'Empty String Filtering', 'Filters with an empty value'),
  extension(
    'ext-gw-mode',
    'Neutron L3 Configurable external gateway mode',
    'Source NAT of a router can be switched off',
  ),
  extension('external-net', 'Neutron external network', 'Networks that routers have gateways on'),
  extension('extra_dhcp_opt', 'Neutron Extra DHCP options', 'DHCP options of a port'),
  extension('extraroute', 'Neutron Extra Route', 'Static routes of routers'),
  extension('extraroute-atomic', 'Atomically add/remove extra routes', 'Adds and removes single routes'),
  extension('filter-validation', 'Filter parameters validation', 'Unknown filters are refused'),
  extension('fip-port-details', 'Floating IP Port Details Extension', 'The port behind a floating IP'),
  extension('ip-substring-filtering', 'IP address substring filtering', 'Ports by a part of their address'),
  extension('net-mtu', 'Network MTU', 'MTU of a network'),
  extension('net-mtu-writable', 'Network MTU (writable)', 'MTU of a network can be set'),
  extension('network-ip-availability', 'Network IP Availability', 'Address use of networks'),
  extension('network_availability_zone', 'Network Availability Zone', 'Zones of networks'),
  extension('pagination', 'Pagination support', 'Lists in pages'),
  extension(
    'port-mac-address-regenerate',
    'Neutron Port MAC address regenerate',
    'A null MAC address asks for a new one',
  ),
  extension('port-security', 'Port Security', 'Filtering of a port can be switched off'),
  extension('project-id', 'project_id field enabled', 'The owner is shown as project_id too'),
  extension('provider', 'Provider Network', 'How a network is carried'),
  extension('quota_details', 'Quota details management support', 'Use of quotas'),
  extension('quotas', 'Quota management support', 'Limits of projects'),
  extension('rbac-policies', 'RBAC Policies', 'Networks for other projects'),
  extension('rbac-security-groups', 'Add security_group type to network RBAC', 'Security groups for other projects'),
  extension('revision-if-match', 'If-Match constraints based on revision_number', 'Changes only at a known revision'),
  extension('router', 'Neutron L3 Router', 'Routers and floating IPs'),
  extension('router_availability_zone', 'Router Availability Zone', 'Zones of routers'),
  extension('security-group', 'security-group', 'Filters of ports'),
  extension(
    'security-groups-normalized-cidr',
    'Normalized CIDR field for security group rules',
    "The network of a rule's prefix",
  ),
  extension(
    'security-groups-remote-address-group',
    'Remote address group id field for security group rules',
    'Rules that name an address group',
  ),
  extension(
    'security-groups-shared-filtering',
    'Security group filtering on the shared field',
    'Shared security groups',
  ),
  extension('service-type', 'Neutron Service Type Management', 'Providers of services'),
  extension('sorting', 'Sorting support', 'Lists in any order'),
  extension('standard-attr-description', 'standard-attr-description', 'Descriptions of resources'),
  extension('standard-attr-revisions', 'Resource revision numbers', 'Counts changes of a resource'),
  extension(
    'standard-attr-tag',
    'Tag support for resources with standard attribute: floatingip, network, port, router, security_group, subnet, subnetpool',
    'Tags of resources',
  ),
  extension('standard-attr-timestamp', 'Resource timestamps', 'Times of creation and change'),
  extension('stateful-security-group', 'Stateful security group', 'Groups without connection tracking'),
  extension('subnet-service-types', 'Subnet service types', 'Subnets for kinds of ports'),
  extension('subnet_allocation', 'Subnet Allocation', 'Subnets from pools'),
  extension('subnetpool-prefix-ops', 'Subnet Pool Prefix Operations', 'Adds and removes prefixes of pools'),
  extension('tag-ports-during-bulk-creation', 'Tag Ports During Bulk Creation', 'Tags in the body of new ports'),
];

const UPDATED = '2026-01-01T00:00:00-00:00';

function view({ alias, name, description }: Extension) {
  return { alias, name, description, updated: UPDATED, links: [] };
}

export const extensionRoutes: readonly Route[] = [
  { method: 'GET', path: '/extensions', handler: () => ({ status: 200, body: { extensions: extensions.map(view) } }) },
  {
    method: 'GET',
    path: '/extensions/:alias',
    handler: (request) => {
      const alias = param(request, 'alias');
      const found = extensions.find((one) => one.alias === alias);
      if (!found) throw new NotFoundError(`Extension with alias ${alias} does not exist`, 'HTTPNotFound');
      return { status: 200, body: { extension: view(found) } };
    },
  },
];
