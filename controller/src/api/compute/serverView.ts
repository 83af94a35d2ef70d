// Servers as the compute API shows them: exactly the keys of each microversion, and the extended ones for administrators.
import { createHash } from 'node:crypto';
import type { Cloud } from '../../cloud';
import type { ServerFacts } from '../../services/compute/serverFacts';
import type { ListedServer } from '../../services/compute/serverList';
import { statusOf } from '../../services/compute/serverStates';
import type { ServerPort } from '../../services/network/serverPortViews';
import type { ApiRequest } from '../route';
import { bookmark, resourceLinks } from './links';
import { isoMicrosecondsOrNull, isoSeconds } from './times';

/** How much of a server an answer shows. */
export interface ServerViewOptions {
  /** `update`: what PUT and rebuild answered before 2.75. */
  readonly kind: 'show' | 'detail' | 'update' | 'rebuild';
  readonly extended: boolean;
  readonly hostStatus: boolean;
  readonly extraSpecs: boolean;
}

/** What the caller may see. */
export function viewOptions(cloud: Cloud, request: ApiRequest, kind: ServerViewOptions['kind']): ServerViewOptions {
  const target = { project_id: request.caller.projectId };
  const may = (rule: string): boolean => cloud.policy.allows(request.caller, `os_compute_api:${rule}`, target);
  return {
    kind,
    extended: may('os-extended-server-attributes'),
    hostStatus: may('servers:show:host_status'),
    extraSpecs: may('servers:show:flavor-extra-specs'),
  };
}

const progressStatuses = new Set(['ACTIVE', 'BUILD', 'REBUILD', 'RESIZE', 'VERIFY_RESIZE']);

/** A project's name for a host, the same for all its servers there and telling nothing else. */
export const hostId = (projectId: string, host: string | null): string =>
  host === null
    ? ''
    : createHash('sha224')
        .update(projectId + host)
        .digest('hex');

/** The name of the server's domain on its host. */
const instanceName = (server: Pick<ListedServer, 'id'>): string => `cumulet-${server.id}`;

interface AddressView {
  readonly version: number;
  readonly addr: string;
}

/** Addresses by network name: fixed ones first, then floating ones. */
export function addressesOf(ports: readonly ServerPort[], extended: boolean): Record<string, AddressView[]> {
  const byNetwork = new Map<string, { fixed: AddressView[]; floating: AddressView[] }>();
  for (const { port, network, addresses } of ports) {
    const known = byNetwork.get(network.name) ?? { fixed: [], floating: [] };
    byNetwork.set(network.name, known);
    const more = (type: string) =>
      extended ? { 'OS-EXT-IPS:type': type, 'OS-EXT-IPS-MAC:mac_addr': port.mac_address } : {};
    for (const { address, version, floating } of addresses) {
      known.fixed.push({ version, addr: address, ...more('fixed') });
      for (const addr of floating) known.floating.push({ version: 4, addr, ...more('floating') });
    }
  }
  return Object.fromEntries([...byNetwork].map(([name, { fixed, floating }]) => [name, [...fixed, ...floating]]));
}

function flavorOf(request: ApiRequest, server: ListedServer, extraSpecs: boolean): object {
  const { flavor } = server;
  if (request.microversion.minor < 47) return { id: flavor.id, links: [bookmark(request, 'flavors', flavor.id)] };
  return {
    original_name: flavor.name,
    vcpus: flavor.vcpus,
    ram: flavor.ram,
    disk: flavor.disk,
    ephemeral: flavor.ephemeral,
    swap: flavor.swap,
    ...(extraSpecs ? { extra_specs: flavor.extra_specs } : {}),
  };
}

const imageOf = (request: ApiRequest, server: ListedServer): object | string =>
  server.image_id === null ? '' : { id: server.image_id, links: [bookmark(request, 'images', server.image_id)] };

/** A view that grows by what is asked for: pages have a thousand, and putting them together of parts takes twice as long. */
type View = Record<string, unknown>;

/** The reason of a failure; details may name hosts, so they are for administrators. */
function faultOf(request: ApiRequest, server: ListedServer): object | undefined {
  if (!server.fault) return undefined;
  const { code, created, message, details } = server.fault;
  const shown = details !== '' && (request.caller.isAdmin || code !== 500);
  return { code, created: isoSeconds(created), message, ...(shown ? { details } : {}) };
}

function addExtended(view: View, server: ListedServer, minor: number, userData: boolean): void {
  view['OS-EXT-SRV-ATTR:host'] = server.host;
  view['OS-EXT-SRV-ATTR:instance_name'] = instanceName(server);
  view['OS-EXT-SRV-ATTR:hypervisor_hostname'] = server.host;
  if (minor < 3) return;
  view['OS-EXT-SRV-ATTR:hostname'] = server.hostname;
  view['OS-EXT-SRV-ATTR:kernel_id'] = '';
  view['OS-EXT-SRV-ATTR:ramdisk_id'] = '';
  view['OS-EXT-SRV-ATTR:launch_index'] = server.launch_index;
  view['OS-EXT-SRV-ATTR:reservation_id'] = server.reservation_id;
  view['OS-EXT-SRV-ATTR:root_device_name'] = server.root_device_name;
  if (userData) view['OS-EXT-SRV-ATTR:user_data'] = server.user_data;
}

/** Groups of all ports: one entry for each port that has it, as nova has it. A group without a name goes by its id. */
function groupsOf(ports: readonly ServerPort[]): { name: string }[] {
  return ports.flatMap(({ securityGroups }) => securityGroups.map(({ id, name }) => ({ name: name || id })));
}

/** What PUT and rebuild lacked before 2.75. */
function addComplete(
  view: View,
  server: ListedServer,
  facts: ServerFacts,
  minor: number,
  options: ServerViewOptions,
): void {
  view['config_drive'] = server.config_drive ? 'True' : '';
  view['OS-EXT-AZ:availability_zone'] = facts.zone ?? server.availability_zone ?? '';
  view['OS-SRV-USG:launched_at'] = isoMicrosecondsOrNull(server.launched_at);
  view['OS-SRV-USG:terminated_at'] = isoMicrosecondsOrNull(server.terminated_at);
  view['OS-EXT-STS:task_state'] = server.task_state;
  view['OS-EXT-STS:vm_state'] = server.vm_state;
  view['OS-EXT-STS:power_state'] = server.power_state;
  view['os-extended-volumes:volumes_attached'] = [];
  const groups = groupsOf(facts.ports);
  if (groups.length > 0) view['security_groups'] = groups;
  if (options.extended) addExtended(view, server, minor, options.kind !== 'rebuild');
  if (minor >= 16 && options.hostStatus) view['host_status'] = facts.hostStatus;
  if (minor >= 96) view['pinned_availability_zone'] = server.availability_zone;
}

/** What later microversions added to every answer. */
function addVersioned(
  view: View,
  server: ListedServer,
  facts: ServerFacts,
  minor: number,
  options: ServerViewOptions,
): void {
  if (minor >= 9) view['locked'] = server.locked;
  if (minor >= 19) view['description'] = server.description;
  if (minor >= 26) view['tags'] = facts.tags;
  if (minor >= 63) view['trusted_image_certificates'] = null;
  if (minor >= 71 && options.kind !== 'detail')
    view['server_groups'] = server.server_group_id === null ? [] : [server.server_group_id];
  if (minor >= 73) view['locked_reason'] = server.locked_reason;
  if (minor >= 90) view['OS-EXT-SRV-ATTR:hostname'] = server.hostname;
}

/** A server in full. */
export function serverView(
  request: ApiRequest,
  server: ListedServer,
  facts: ServerFacts,
  options: ServerViewOptions,
): object {
  const { minor } = request.microversion;
  const status = statusOf(server);
  const complete = options.kind === 'show' || options.kind === 'detail' || minor >= 75;
  const withKey = complete || (options.kind === 'rebuild' && minor >= 54);
  const fault = status === 'ERROR' || status === 'DELETED' ? faultOf(request, server) : undefined;
  const view: View = {
    id: server.id,
    name: server.name,
    status,
    tenant_id: server.project_id,
    user_id: server.user_id,
    metadata: server.metadata,
    hostId: hostId(server.project_id, server.host),
    image: imageOf(request, server),
    flavor: flavorOf(request, server, options.extraSpecs),
    created: isoSeconds(server.created_at),
    updated: isoSeconds(server.updated_at),
    addresses: server.vm_state === 'building' ? {} : addressesOf(facts.ports, complete),
    accessIPv4: server.access_ip_v4,
    accessIPv6: server.access_ip_v6,
    links: resourceLinks(request, 'servers', server.id),
    'OS-DCF:diskConfig': server.disk_config,
  };
  if (progressStatuses.has(status)) view['progress'] = 0;
  if (fault) view['fault'] = fault;
  if (withKey) view['key_name'] = server.key_name;
  if (complete) addComplete(view, server, facts, minor, options);
  addVersioned(view, server, facts, minor, options);
  return view;
}

/** A server in a short list. */
export const serverSummary = (request: ApiRequest, server: Pick<ListedServer, 'id' | 'name'>): object => ({
  id: server.id,
  name: server.name,
  links: resourceLinks(request, 'servers', server.id),
});
