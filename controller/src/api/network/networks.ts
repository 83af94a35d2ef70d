// Networks in the API.
import { groupBy, type ReadSession } from '../../db';
import type { networks } from '../../db/entities/network';
import { subnetRowsOf } from '../../services/network/networkParts';
import { createNetwork, deleteNetwork, updateNetwork } from '../../services/network/networks';
import { networkResource } from '../../services/network/resources';
import { tagsOf } from '../../services/network/tags';
import { openToProject, sharedAmong } from '../../services/network/visibility';
import { zoneNames } from '../../services/network/zones';
import { readable, standardAttributes, writable, initial } from './attribute';
import { flag, integer, listOf, orNull, text } from './checks';
import { domainName } from './dnsChecks';
import { networkView } from './networkView';
import type { Noun } from './noun';
import { flagOf } from './filterValues';

const attributes = {
  ...standardAttributes,
  name: writable(text(), { column: 'name', sort: true }),
  description: writable(text(), { column: 'description' }),
  admin_state_up: writable(flag, { column: 'admin_state_up', filter: 'flag', sort: true }),
  status: readable({ column: 'status', sort: true }),
  subnets: readable(),
  shared: writable(flag, { guarded: true }),
  'router:external': writable(flag, { guarded: true, column: 'external', filter: 'flag' }),
  mtu: writable(integer(0, 65_535), { column: 'mtu', filter: 'number' }),
  port_security_enabled: writable(flag, { column: 'port_security_enabled', filter: 'flag' }),
  dns_domain: writable(domainName, { column: 'dns_domain' }),
  availability_zone_hints: initial(listOf(text(), true)),
  availability_zones: readable(),
  'provider:network_type': writable(orNull(text(32)), { guarded: true, hidden: true, column: 'network_type' }),
  'provider:physical_network': writable(orNull(text(64)), { guarded: true, hidden: true, column: 'physical_network' }),
  'provider:segmentation_id': writable(orNull(integer(0)), {
    guarded: true,
    hidden: true,
    column: 'segmentation_id',
    filter: 'number',
  }),
  tags: readable(),
};

/** Networks that are shared with the caller. */
async function sharedIds(session: ReadSession, projectId: string | null): Promise<string[]> {
  return openToProject(session, 'network', projectId ?? '', ['access_as_shared']);
}

export const networkNoun: Noun<typeof networks> = {
  member: 'network',
  path: '/networks',
  resource: networkResource,
  attributes,
  filters: {
    shared: async (values, { session, caller }) => {
      const ids = await sharedIds(session, caller.projectId);
      const wanted = new Set(values.map((value) => flagOf('shared', value)));
      if (wanted.size > 1) return [];
      return [{ column: 'id', op: wanted.has(true) ? 'in' : 'not in', value: ids }];
    },
  },
  views: async ({ session, caller }, rows) => {
    const ids = rows.map((row) => row.id);
    const shared = await sharedAmong(session, 'network', ids, caller.projectId ?? '');
    const subnets = groupBy(await subnetRowsOf(session, ids), (subnet) => subnet.network_id);
    const tags = await tagsOf(session, ids);
    const zones = await zoneNames(session);
    return rows.map((row) =>
      networkView(row, {
        subnets: subnets.get(row.id) ?? [],
        shared: shared.has(row.id),
        zones: (subnets.get(row.id) ?? []).some((subnet) => subnet.enable_dhcp) ? zones : [],
        tags: tags.get(row.id) ?? [],
      }),
    );
  },
  create: (context, { projectId, values }) => createNetwork(context, projectId, values),
  update: (context, row, values) => updateNetwork(context, row, values),
  remove: deleteNetwork,
};
