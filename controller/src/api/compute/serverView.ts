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

/** The reason of a failure; details may name hosts, so they are for administrators. */
function faultOf(request: ApiRequest, server: ListedServer): object | undefined {
  if (!server.fault) return undefined;
  const { code, created, message, details } = server.fault;
  const shown = details !== '' && (request.caller.isAdmin || code !== 500);
  return { code, created: isoSeconds(created), message, ...(shown ? { details } : {}) };
}

function extendedAttributes(server: ListedServer, minor: number, userData: boolean): object {
  const key = (name: string): string => `OS-EXT-SRV-ATTR:${name}`;
  return {
    [key('host')]: server.host,
    [key('instance_name')]: instanceName(server),
    [key('hypervisor_hostname')]: server.host,
    ...(minor >= 3
      ? {
          [key('hostname')]: server.hostname,
          [key('kernel_id')]: '',
          [key('ramdisk_id')]: '',
          [key('launch_index')]: server.launch_index,
          [key('reservation_id')]: server.reservation_id,
          [key('root_device_name')]: server.root_device_name,
          ...(userData ? { [key('user_data')]: server.user_data } : {}),
        }
      : {}),
  };
}

/** Groups of all ports: one entry for each port that has it, as nova has it. A group without a name goes by its id. */
function groupsOf(ports: readonly ServerPort[]): { name: string }[] {
  return ports.flatMap(({ securityGroups }) => securityGroups.map(({ id, name }) => ({ name: name || id })));
}

/** What PUT and rebuild lacked before 2.75. */
function completeAttributes(
  request: ApiRequest,
  server: ListedServer,
  facts: ServerFacts,
  options: ServerViewOptions,
): object {
  const { minor } = request.microversion;
  const groups = groupsOf(facts.ports);
  return {
    config_drive: server.config_drive ? 'True' : '',
    'OS-EXT-AZ:availability_zone': facts.zone ?? server.availability_zone ?? '',
    'OS-SRV-USG:launched_at': isoMicrosecondsOrNull(server.launched_at),
    'OS-SRV-USG:terminated_at': isoMicrosecondsOrNull(server.terminated_at),
    'OS-EXT-STS:task_state': server.task_state,
    'OS-EXT-STS:vm_state': server.vm_state,
    'OS-EXT-STS:power_state': server.power_state,
    'os-extended-volumes:volumes_attached': [],
    ...(groups.length > 0 ? { security_groups: groups } : {}),
    ...(options.extended ? extendedAttributes(server, minor, options.kind !== 'rebuild') : {}),
    ...(minor >= 16 && options.hostStatus ? { host_status: facts.hostStatus } : {}),
    ...(minor >= 96 ? { pinned_availability_zone: server.availability_zone } : {}),
  };
}

/** What later microversions added to every answer. */
function versionedAttributes(
  server: ListedServer,
  facts: ServerFacts,
  minor: number,
  options: ServerViewOptions,
): object {
  return {
    ...(minor >= 9 ? { locked: server.locked } : {}),
    ...(minor >= 19 ? { description: server.description } : {}),
    ...(minor >= 26 ? { tags: facts.tags } : {}),
    ...(minor >= 63 ? { trusted_image_certificates: null } : {}),
    ...(minor >= 71 && options.kind !== 'detail'
      ? { server_groups: server.server_group_id === null ? [] : [server.server_group_id] }
      : {}),
    ...(minor >= 73 ? { locked_reason: server.locked_reason } : {}),
    ...(minor >= 90 ? { 'OS-EXT-SRV-ATTR:hostname': server.hostname } : {}),
  };
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
  return {
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
    ...(progressStatuses.has(status) ? { progress: 0 } : {}),
    ...(fault ? { fault } : {}),
    ...(withKey ? { key_name: server.key_name } : {}),
    ...(complete ? completeAttributes(request, server, facts, options) : {}),
    ...versionedAttributes(server, facts, minor, options),
  };
}

/** A server in a short list. */
export const serverSummary = (request: ApiRequest, server: Pick<ListedServer, 'id' | 'name'>): object => ({
  id: server.id,
  name: server.name,
  links: resourceLinks(request, 'servers', server.id),
});
