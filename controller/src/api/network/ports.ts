// Ports in the API.
import type { ports } from '../../db/entities/network';
import { badRequest } from '../../services/network/errors';
import { networkRowsOf } from '../../services/network/networkParts';
import { unplugDeleted } from '../../services/compute/serverInterfaces';
import { portIdsInGroups, portIdsWithAddress, type AddressFilter } from '../../services/network/portFilters';
import { addressesByPort } from '../../services/network/portAddresses';
import { groupsByPort } from '../../services/network/portRows';
import { createPort, deletePort, networkOwner, updatePort } from '../../services/network/ports';
import { portResource } from '../../services/network/resources';
import { ensureDefaultGroupOf } from '../../services/network/securityGroups';
import { replaceTags, tagsOf } from '../../services/network/tags';
import { initial, readable, required, standardAttributes, writable } from './attribute';
import { cidr, dictionary, fixedIps, flag, listOf, mac, object, oneOf, orNull, text, uuid, type Check } from './checks';
import { canonicalAddress } from '../../services/network/cidr';
import { extraDhcpOptions } from './dhcpOptions';
import { hostName } from './dnsChecks';
import { pairOf } from './filterValues';
import type { Noun, SpecialFilter } from './noun';
import { portView } from './portView';
import { tagList } from './tags';

/** An address or a range. */
const addressOrRange: Check<string> = (value) =>
  (typeof value === 'string' ? canonicalAddress(value) : undefined) ?? cidr(value);
const vnicTypes = ['normal'] as const;

const attributes = {
  ...standardAttributes,
  name: writable(text(), { column: 'name', sort: true }),
  description: writable(text(), { column: 'description' }),
  network_id: required(uuid, { column: 'network_id', sort: true }),
  admin_state_up: writable(flag, { column: 'admin_state_up', filter: 'flag', sort: true }),
  mac_address: writable(orNull(mac), { guarded: true, column: 'mac_address', sort: true }),
  fixed_ips: writable(fixedIps, { guarded: true }),
  device_id: writable(text(), { column: 'device_id', sort: true }),
  device_owner: writable(text(), { column: 'device_owner', sort: true }),
  status: readable({ column: 'status', sort: true }),
  security_groups: writable(listOf(uuid, true)),
  port_security_enabled: writable(flag, { guarded: true, column: 'port_security_enabled', filter: 'flag' }),
  allowed_address_pairs: writable(listOf(object({ ip_address: addressOrRange, mac_address: mac }), true), {
    guarded: true,
  }),
  extra_dhcp_opts: writable(extraDhcpOptions),
  dns_name: writable(hostName, { column: 'dns_name' }),
  dns_assignment: readable(),
  'binding:host_id': writable(orNull(text()), { guarded: true, hidden: true, column: 'host' }),
  'binding:profile': writable(orNull(dictionary), { guarded: true, hidden: true }),
  'binding:vnic_type': writable(oneOf(vnicTypes), { column: 'vnic_type' }),
  'binding:vif_type': readable({ hidden: true }),
  'binding:vif_details': readable({ hidden: true }),
  tags: initial(tagList),
};

const addressFilter: SpecialFilter<typeof ports> = async (values, { session }) => {
  const filter: { -readonly [K in keyof AddressFilter]: string[] } = { subnetIds: [], addresses: [], parts: [] };
  for (const value of values) {
    const [key, wanted] = pairOf('fixed_ips', value);
    if (key === 'subnet_id') filter.subnetIds.push(wanted);
    else if (key === 'ip_address') filter.addresses.push(canonicalAddress(wanted) ?? wanted);
    else if (key === 'ip_address_substr') filter.parts.push(wanted);
    else
      throw badRequest(
        `Invalid input for fixed_ips. Reason: '${key}' is not among subnet_id, ip_address and ip_address_substr.`,
      );
  }
  return [{ column: 'id', op: 'in', value: await portIdsWithAddress(session, filter) }];
};

const groupFilter: SpecialFilter<typeof ports> = async (values, { session }) => [
  { column: 'id', op: 'in', value: await portIdsInGroups(session, values) },
];

export const portNoun: Noun<typeof ports> = {
  member: 'port',
  path: '/ports',
  resource: portResource,
  attributes,
  filters: {
    fixed_ips: addressFilter,
    security_groups: groupFilter,
    mac_address: (values) => [{ column: 'mac_address', op: 'in', value: values.map((value) => value.toLowerCase()) }],
  },
  beforeList: (cloud, caller) => ensureDefaultGroupOf(cloud, caller.projectId),
  views: async ({ session }, rows) => {
    const ids = rows.map((row) => row.id);
    const addresses = await addressesByPort(session, ids);
    const groups = await groupsByPort(session, ids);
    const networks = await networkRowsOf(
      session,
      rows.map((row) => row.network_id),
    );
    const tags = await tagsOf(session, ids);
    return rows.map((row) =>
      portView(row, {
        addresses: addresses.get(row.id) ?? [],
        groupIds: groups.get(row.id) ?? [],
        dnsDomain: networks.get(row.network_id)?.dns_domain ?? '',
        tags: tags.get(row.id) ?? [],
      }),
    );
  },
  policyTarget: async (viewing, { row, values }) => ({
    'network:project_id': await networkOwner(viewing, row?.network_id, values['network_id']),
  }),
  create: async (context, { projectId, values }) => {
    const { tags, ...port } = values;
    const row = await createPort(context, projectId, port);
    if (Array.isArray(tags)) await replaceTags(context.session, 'port', row.id, tags as string[]);
    return row;
  },
  update: (context, row, values) => updatePort(context, row, values),
  remove: async (context, row) => {
    await deletePort(context, row);
    await unplugDeleted(context, row);
  },
};
