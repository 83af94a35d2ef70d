// Floating IPs in the API.
import type { floatingIps } from '../../db/entities/network';
import { createFloatingIp, deleteFloatingIp, updateFloatingIp } from '../../services/network/floatingIps';
import { portRowsOf } from '../../services/network/networkParts';
import { floatingIpResource } from '../../services/network/resources';
import { tagsOf } from '../../services/network/tags';
import { initial, readable, required, standardAttributes, writable } from './attribute';
import { address, orNull, text, uuid } from './checks';
import { domainName, hostName } from './dnsChecks';
import { floatingIpView } from './floatingIpView';
import type { Noun } from './noun';

const attributes = {
  ...standardAttributes,
  description: writable(text(), { column: 'description' }),
  floating_network_id: required(uuid, { column: 'floating_network_id', sort: true }),
  floating_ip_address: initial(orNull(address), { guarded: true, column: 'floating_ip_address', sort: true }),
  subnet_id: initial(orNull(uuid)),
  port_id: writable(orNull(uuid), { column: 'port_id' }),
  fixed_ip_address: writable(orNull(address), { column: 'fixed_ip_address', sort: true }),
  router_id: readable({ column: 'router_id', sort: true }),
  status: readable({ column: 'status', sort: true }),
  port_details: readable(),
  dns_name: initial(hostName),
  dns_domain: initial(domainName),
  tags: readable(),
};

export const floatingIpNoun: Noun<typeof floatingIps> = {
  member: 'floatingip',
  path: '/floatingips',
  resource: floatingIpResource,
  attributes,
  views: async ({ session }, rows) => {
    const ports = await portRowsOf(
      session,
      rows.flatMap((row) => row.port_id ?? []),
    );
    const tags = await tagsOf(
      session,
      rows.map((row) => row.id),
    );
    return rows.map((row) => floatingIpView(row, ports.get(row.port_id ?? ''), tags.get(row.id) ?? []));
  },
  create: (context, { projectId, values }) => createFloatingIp(context, projectId, values),
  update: (context, row, values) => updateFloatingIp(context, row, values),
  remove: deleteFloatingIp,
};
