// Address use of networks in the API, for administrators.
import { notFound } from '../../services/network/errors';
import { addressUse, type NetworkUse } from '../../services/network/ipAvailability';
import { param } from '../query';
import type { Handler, Query, Route } from '../route';
import { filterBodies } from './derivedList';

/** Numbers beyond 2^53 lose their last digits, which nobody counts addresses by. */
function view({ network, subnets }: NetworkUse): Record<string, unknown> {
  return {
    network_id: network.id,
    network_name: network.name,
    tenant_id: network.project_id,
    project_id: network.project_id,
    total_ips: Number(subnets.reduce((sum, one) => sum + one.total, 0n)),
    used_ips: subnets.reduce((sum, one) => sum + one.used, 0),
    subnet_ip_availability: subnets.map(({ subnet, total, used }) => ({
      subnet_id: subnet.id,
      subnet_name: subnet.name,
      cidr: subnet.cidr,
      ip_version: subnet.ip_version,
      total_ips: Number(total),
      used_ips: used,
    })),
  };
}

/** `ip_version` leaves the subnets of the other version out of the sums. */
function ofVersion(query: Query, uses: readonly NetworkUse[]): NetworkUse[] {
  const versions = query.get('ip_version');
  if (!versions) return [...uses];
  return uses
    .map((use) => ({ ...use, subnets: use.subnets.filter((one) => versions.includes(String(one.subnet.ip_version))) }))
    .filter((use) => use.subnets.length > 0);
}

const FILTERS = ['network_id', 'network_name', 'tenant_id', 'project_id'];

const listUse: Handler = async (request, cloud) => {
  const uses = cloud.policy.allows(request.caller, 'network:network_ip_availabilities:list')
    ? await cloud.db.read(addressUse)
    : [];
  const query = new Map([...request.query].filter(([key]) => key !== 'ip_version'));
  const bodies = filterBodies(query, ofVersion(request.query, uses).map(view), FILTERS);
  return { status: 200, body: { network_ip_availabilities: bodies } };
};

const showUse: Handler = async (request, cloud) => {
  const id = param(request, 'id');
  const uses = cloud.policy.allows(request.caller, 'network:network_ip_availabilities:list')
    ? await cloud.db.read(addressUse)
    : [];
  const found = uses.find((use) => use.network.id === id);
  if (!found) throw notFound('network', id);
  return { status: 200, body: { network_ip_availability: view(found) } };
};

export const availabilityRoutes: readonly Route[] = [
  { method: 'GET', path: '/network-ip-availabilities', handler: listUse },
  { method: 'GET', path: '/network-ip-availabilities/:id', handler: showUse },
];
