// Handlers of /os-simple-tenant-usage.
import { InvalidError } from '../../errors';
import { usageOf, type Period, type ServerUsage } from '../../services/compute/usage';
import { param, queryValue } from '../query';
import type { ApiRequest, Handler, Route } from '../route';
import { MAX_PAGE, nextPage, readPage } from './links';
import { refuseUnknownQuery } from './queryKeys';
import { readTime } from './serverFilters';
import { isoMicroseconds, isoMicrosecondsOrNull } from './times';

/** @throws InvalidError for a period that ends before it begins */
function readPeriod(request: ApiRequest, now: number): Period {
  const [from, to] = [queryValue(request.query, 'start'), queryValue(request.query, 'end')];
  const start = from ? readTime(from, 'start') : now;
  const end = to ? readTime(to, 'end') : now;
  if (start >= end && (from !== undefined || to !== undefined))
    throw new InvalidError('Invalid start time. The start time cannot occur after the end time.');
  return { start, end: Math.min(end, now) };
}

const serverView = ({ server, hours, uptime }: ServerUsage) => ({
  instance_id: server.id,
  name: server.name,
  hours,
  flavor: server.flavor.name,
  memory_mb: server.flavor.ram,
  local_gb: server.flavor.disk + server.flavor.ephemeral,
  vcpus: server.flavor.vcpus,
  tenant_id: server.project_id,
  started_at: isoMicrosecondsOrNull(server.launched_at),
  ended_at: isoMicrosecondsOrNull(server.terminated_at),
  state: server.terminated_at === null ? server.vm_state : 'terminated',
  uptime,
});

const total = (usages: readonly ServerUsage[], each: (usage: ServerUsage) => number): number =>
  usages.reduce((sum, usage) => sum + each(usage), 0);

const projectView = (projectId: string, period: Period, usages: readonly ServerUsage[], detailed: boolean) => ({
  tenant_id: projectId,
  start: isoMicroseconds(period.start),
  stop: isoMicroseconds(period.end),
  total_hours: total(usages, ({ hours }) => hours),
  total_vcpus_usage: total(usages, ({ hours, server }) => hours * server.flavor.vcpus),
  total_memory_mb_usage: total(usages, ({ hours, server }) => hours * server.flavor.ram),
  total_local_gb_usage: total(usages, ({ hours, server }) => hours * (server.flavor.disk + server.flavor.ephemeral)),
  ...(detailed ? { server_usages: usages.map(serverView) } : {}),
});

const paging = (request: ApiRequest) =>
  request.microversion.minor >= 40 ? readPage(request) : { limit: MAX_PAGE, marker: undefined };

const index: Handler = (request, cloud) => {
  refuseUnknownQuery(request, ['start', 'end', 'detailed', 'limit', 'marker']);
  const now = cloud.clock.now();
  const period = readPeriod(request, now);
  const page = paging(request);
  const detailed = queryValue(request.query, 'detailed') === '1';
  return cloud.db.read(async (session) => {
    const usages = await usageOf(session, period, null, page, now);
    const projects = [...new Set(usages.map((one) => one.server.project_id))];
    const last = usages.at(-1)?.server.id;
    const paged = request.microversion.minor >= 40;
    const links = paged ? nextPage(request, 'os-simple-tenant-usage', page, last, usages.length) : undefined;
    return {
      status: 200,
      body: {
        tenant_usages: projects.map((id) =>
          projectView(
            id,
            period,
            usages.filter((one) => one.server.project_id === id),
            detailed,
          ),
        ),
        ...(links ? { tenant_usages_links: links } : {}),
      },
    };
  });
};

const show: Handler = (request, cloud) => {
  refuseUnknownQuery(request, ['start', 'end', 'limit', 'marker']);
  const id = param(request, 'project');
  cloud.policy.require(request.caller, 'os_compute_api:os-simple-tenant-usage:show', { project_id: id });
  const now = cloud.clock.now();
  const period = readPeriod(request, now);
  const page = paging(request);
  return cloud.db.read(async (session) => {
    const usages = await usageOf(session, period, id, page, now);
    const paged = request.microversion.minor >= 40;
    const last = usages.at(-1)?.server.id;
    const path = `os-simple-tenant-usage/${encodeURIComponent(id)}`;
    const links = paged ? nextPage(request, path, page, last, usages.length) : undefined;
    return {
      status: 200,
      body: {
        tenant_usage: usages.length > 0 ? projectView(id, period, usages, true) : {},
        ...(links ? { tenant_usage_links: links } : {}),
      },
    };
  });
};

export const usageRoutes: readonly Route[] = [
  {
    method: 'GET',
    path: '/os-simple-tenant-usage',
    handler: index,
    policy: 'os_compute_api:os-simple-tenant-usage:list',
  },
  { method: 'GET', path: '/os-simple-tenant-usage/:project', handler: show },
];
