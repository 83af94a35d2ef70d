// Subnets in the API.
import type { subnets } from '../../db/entities/network';
import { findVisible } from '../../services/network/resource';
import { networkResource, subnetResource } from '../../services/network/resources';
import { createSubnet, deleteSubnet, updateSubnet } from '../../services/network/subnets';
import { networkOwner } from '../../services/network/ports';
import { tagsOf } from '../../services/network/tags';
import { openToProject } from '../../services/network/visibility';
import { initial, readable, required, standardAttributes, writable } from './attribute';
import {
  address,
  cidr,
  flag,
  integer,
  listOf,
  object,
  oneOf,
  orNull,
  refuse,
  routes,
  text,
  uuid,
  type Check,
} from './checks';
import { flagOf } from './filterValues';
import type { Noun } from './noun';
import { subnetView } from './subnetView';

const ipv6Mode = oneOf(['slaac', 'dhcpv6-stateful', 'dhcpv6-stateless']);
const pools = listOf(object({ start: address, end: address }, ['start', 'end']), true);
/** `network:dhcp`, `compute:nova`: prefixes of the device owners a subnet is for. */
const serviceType: Check<string> = (value) => {
  const word = text()(value);
  return /^(network|compute):/.test(word)
    ? word
    : refuse(`Prefix for subnet service type '${word}' does not end with colon or is unknown`);
};

const attributes = {
  ...standardAttributes,
  name: writable(text(), { column: 'name', sort: true }),
  description: writable(text(), { column: 'description' }),
  network_id: required(uuid, { column: 'network_id', sort: true }),
  ip_version: initial(oneOf([4, 6]), { column: 'ip_version', filter: 'number', sort: true }),
  cidr: initial(orNull(cidr), { column: 'cidr', sort: true }),
  gateway_ip: writable(orNull(address), { column: 'gateway_ip', sort: true }),
  enable_dhcp: writable(flag, { column: 'enable_dhcp', filter: 'flag', sort: true }),
  allocation_pools: writable(pools),
  dns_nameservers: writable(listOf(address, true)),
  host_routes: writable(routes),
  service_types: writable(listOf(serviceType, true)),
  ipv6_ra_mode: initial(ipv6Mode, { column: 'ipv6_ra_mode', sort: true }),
  ipv6_address_mode: initial(ipv6Mode, { column: 'ipv6_address_mode', sort: true }),
  subnetpool_id: initial(orNull(uuid), { column: 'subnetpool_id', sort: true }),
  use_default_subnetpool: initial(flag),
  prefixlen: initial(integer(0, 128)),
  tags: readable(),
};

export const subnetNoun: Noun<typeof subnets> = {
  member: 'subnet',
  path: '/subnets',
  resource: subnetResource,
  attributes,
  filters: {
    shared: async (values, { session, caller }) => {
      const ids = await openToProject(session, 'network', caller.projectId ?? '', ['access_as_shared']);
      const wanted = new Set(values.map((value) => flagOf('shared', value)));
      if (wanted.size > 1) return [];
      return [{ column: 'network_id', op: wanted.has(true) ? 'in' : 'not in', value: ids }];
    },
  },
  views: async ({ session }, rows) => {
    const tags = await tagsOf(
      session,
      rows.map((row) => row.id),
    );
    return rows.map((row) => subnetView(row, tags.get(row.id) ?? []));
  },
  policyTarget: async (viewing, { row, values }) => ({
    'network:project_id': await networkOwner(viewing, row?.network_id, values['network_id']),
  }),
  create: async (context, { projectId, values }) => {
    const { session, cloud, caller } = context;
    const network = await findVisible(
      session,
      cloud,
      caller,
      networkResource,
      String(values['network_id']),
      'exclusive',
    );
    return createSubnet(context, projectId, network, values);
  },
  update: (context, row, values) => updateSubnet(context, row, values),
  remove: deleteSubnet,
};
