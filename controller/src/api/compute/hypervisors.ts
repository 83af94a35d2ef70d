// Handlers of /os-hypervisors.
import { isUuid } from '@cumulet/common';
import type { Cloud } from '../../cloud';
import type { ReadSession } from '../../db';
import type { Server } from '../../db/entities/compute';
import { InvalidError, NotFoundError } from '../../errors';
import { computeHosts, serversByHost, type ComputeHost } from '../../services/compute/computeHosts';
import { param, queryFlag, queryValue } from '../query';
import type { ApiRequest, Handler, Route } from '../route';
import { capacityOf, hypervisorDetail, hypervisorId, hypervisorSummary, serversPart } from './hypervisorView';
import { MAX_PAGE, nextPage, readPage } from './links';
import { refuseUnknownQuery } from './queryKeys';

const listKeys = ['limit', 'marker', 'hypervisor_hostname_pattern', 'with_servers'];

async function everything(
  session: ReadSession,
  cloud: Cloud,
): Promise<{ hosts: ComputeHost[]; servers: Map<string | null, Server[]> }> {
  const hosts = await computeHosts(session, cloud);
  const servers = await serversByHost(
    session,
    hosts.map((one) => one.host.name),
  );
  return { hosts, servers };
}

/** Hosts whose name contains a text. @throws NotFoundError when there is none */
function matching(hosts: readonly ComputeHost[], text: string): ComputeHost[] {
  const found = hosts.filter((one) => one.host.name.includes(text));
  if (found.length === 0) throw new NotFoundError(`No hypervisor matching '${text}' could be found.`);
  return found;
}

function paged(
  request: ApiRequest,
  hosts: readonly ComputeHost[],
  limit: number,
  marker: string | undefined,
): ComputeHost[] {
  if (marker === undefined) return hosts.slice(0, limit);
  const at = hosts.findIndex((one) => String(hypervisorId(request, one)) === marker);
  if (at < 0) throw new InvalidError(`marker [${marker}] not found`, 'MarkerNotFound');
  return hosts.slice(at + 1, at + 1 + limit);
}

const listHandler =
  (detailed: boolean): Handler =>
  (request, cloud) => {
    const { minor } = request.microversion;
    refuseUnknownQuery(request, listKeys);
    const pages = minor >= 33;
    const page = pages ? readPage(request) : { limit: MAX_PAGE, marker: undefined };
    const pattern = minor >= 53 ? queryValue(request.query, 'hypervisor_hostname_pattern') : undefined;
    const withServers = minor >= 53 && (queryFlag(request.query, 'with_servers') ?? false);
    if (pattern !== undefined && (request.query.has('limit') || page.marker !== undefined))
      throw new InvalidError(
        'Paging over hypervisors with the hypervisor_hostname_pattern query parameter is not supported.',
      );
    return cloud.db.read(async (session) => {
      const { hosts, servers } = await everything(session, cloud);
      const shown = pattern === undefined ? paged(request, hosts, page.limit, page.marker) : matching(hosts, pattern);
      const last = shown.at(-1);
      const path = detailed ? 'os-hypervisors/detail' : 'os-hypervisors';
      const lastId = last && String(hypervisorId(request, last));
      const links = pages && pattern === undefined ? nextPage(request, path, page, lastId, shown.length) : undefined;
      return {
        status: 200,
        body: {
          hypervisors: shown.map((one) => {
            const own = servers.get(one.host.name) ?? [];
            const view = detailed ? hypervisorDetail(request, one, own) : hypervisorSummary(request, one);
            return { ...view, ...serversPart(request, own, withServers) };
          }),
          ...(links ? { hypervisors_links: links } : {}),
        },
      };
    });
  };

/** @throws NotFoundError, InvalidError from 2.53 on for what is no UUID */
function byId(request: ApiRequest, hosts: readonly ComputeHost[]): ComputeHost {
  const id = param(request, 'id');
  if (request.microversion.minor >= 53 && !isUuid(id)) throw new InvalidError(`Invalid uuid ${id}`);
  const found = hosts.find((one) => String(hypervisorId(request, one)) === id);
  if (!found) throw new NotFoundError(`Hypervisor with ID '${id}' could not be found.`);
  return found;
}

const show: Handler = (request, cloud) => {
  refuseUnknownQuery(request, ['with_servers']);
  const withServers = request.microversion.minor >= 53 && (queryFlag(request.query, 'with_servers') ?? false);
  return cloud.db.read(async (session) => {
    const { hosts, servers } = await everything(session, cloud);
    const one = byId(request, hosts);
    const own = servers.get(one.host.name) ?? [];
    const view = { ...hypervisorDetail(request, one, own), ...serversPart(request, own, withServers) };
    return { status: 200, body: { hypervisor: view } };
  });
};

const uptime: Handler = (request, cloud) =>
  cloud.db.read(async (session) => {
    const one = byId(request, await computeHosts(session, cloud));
    return { status: 200, body: { hypervisor: { ...hypervisorSummary(request, one), uptime: '' } } };
  });

const statistics: Handler = (_request, cloud) =>
  cloud.db.read(async (session) => {
    const { hosts, servers } = await everything(session, cloud);
    const all = hosts.map((one) => capacityOf(one, servers.get(one.host.name) ?? []));
    const sum = (key: keyof ReturnType<typeof capacityOf>): number => all.reduce((total, one) => total + one[key], 0);
    return {
      status: 200,
      body: {
        hypervisor_statistics: {
          count: hosts.length,
          vcpus: sum('vcpus'),
          vcpus_used: sum('vcpus_used'),
          memory_mb: sum('memory_mb'),
          memory_mb_used: sum('memory_mb_used'),
          free_ram_mb: sum('free_ram_mb'),
          local_gb: sum('local_gb'),
          local_gb_used: sum('local_gb_used'),
          free_disk_gb: sum('free_disk_gb'),
          disk_available_least: sum('disk_available_least'),
          running_vms: sum('running_vms'),
          current_workload: sum('current_workload'),
        },
      },
    };
  });

const search: Handler = (request, cloud) =>
  cloud.db.read(async (session) => {
    const found = matching(await computeHosts(session, cloud), param(request, 'id'));
    return { status: 200, body: { hypervisors: found.map((one) => hypervisorSummary(request, one)) } };
  });

const serversOf: Handler = (request, cloud) =>
  cloud.db.read(async (session) => {
    const { hosts, servers } = await everything(session, cloud);
    const found = matching(hosts, param(request, 'id'));
    return {
      status: 200,
      body: {
        hypervisors: found.map((one) => ({
          ...hypervisorSummary(request, one),
          ...serversPart(request, servers.get(one.host.name) ?? [], true),
        })),
      },
    };
  });

const rule = (operation: string): string => `os_compute_api:os-hypervisors:${operation}`;
const path = '/os-hypervisors';
export const hypervisorRoutes: readonly Route[] = [
  { method: 'GET', path, handler: listHandler(false), policy: rule('list') },
  { method: 'GET', path: `${path}/detail`, handler: listHandler(true), policy: rule('list-detail') },
  { method: 'GET', path: `${path}/statistics`, handler: statistics, policy: rule('statistics'), until: 87 },
  { method: 'GET', path: `${path}/:id`, handler: show, policy: rule('show') },
  { method: 'GET', path: `${path}/:id/uptime`, handler: uptime, policy: rule('uptime'), until: 87 },
  { method: 'GET', path: `${path}/:id/search`, handler: search, policy: rule('search'), until: 52 },
  { method: 'GET', path: `${path}/:id/servers`, handler: serversOf, policy: rule('servers'), until: 52 },
];
