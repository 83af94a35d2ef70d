// Sums that the database keeps so that a claim is one statement: room of hosts, quotas of projects.
import { IsNull, type ReadSession, type WriteSession } from '../../db';
import { computeUsages, servers } from '../../db/entities/compute';
import { allocations, hosts } from '../../db/entities/tasks';
import { heldQuota, openMigrations } from '../compute/migrations';
import type { Usage } from '../compute/quotas';
import type { Balance } from './compare';

const sum = <T>(rows: readonly T[], of: (row: T) => number): number => rows.reduce((total, row) => total + of(row), 0);

const HOST_SUMS = [
  { column: 'used_vcpus', of: 'vcpus', what: 'vCPUs claimed' },
  { column: 'used_memory_mib', of: 'memory_mib', what: 'MiB of memory claimed' },
  { column: 'used_disk_gib', of: 'disk_gib', what: 'GiB of disk claimed' },
] as const;

/** Each sum beside what it counts. Read for a correction, nobody can change a sum until the transaction ends. */
async function read(session: ReadSession, lock?: 'exclusive') {
  const locked = lock ? { lock } : {};
  const known = await session.find(hosts, locked);
  const usages = await session.find(computeUsages, locked);
  // Read after the sums are held: whoever changes one of these changes its sum in the same transaction.
  const claims = await session.find(allocations);
  const live = await session.find(servers, { where: { deleted_at: IsNull() } });
  const moving = await openMigrations(session);
  const perHost = known.flatMap((host) => {
    const own = claims.filter((claim) => claim.host === host.name);
    return HOST_SUMS.map((one) => ({
      host,
      ...one,
      recorded: host[one.column],
      counted: sum(own, (row) => row[one.of]),
    }));
  });
  const perProject = usages.map((usage) => {
    const own = live.filter((server) => server.project_id === usage.project_id);
    const resource = usage.resource as keyof Usage;
    const counted = sum(own, (server) => heldQuota(server, moving.get(server.id))[resource]);
    return { usage, recorded: usage.used, counted };
  });
  return { perHost, perProject };
}

export async function readBalances(session: ReadSession): Promise<Balance[]> {
  const { perHost, perProject } = await read(session);
  return [
    ...perHost.map(({ host, what, recorded, counted }) => ({ kind: 'host', id: host.name, what, recorded, counted })),
    ...perProject.map(({ usage, recorded, counted }) => ({
      kind: 'project',
      id: usage.project_id,
      what: `quota use of ${usage.resource}`,
      recorded,
      counted,
    })),
  ];
}

/** Makes every sum what it counts. */
export async function recount(session: WriteSession): Promise<void> {
  const { perHost, perProject } = await read(session, 'exclusive');
  for (const { host, column, recorded, counted } of perHost)
    if (recorded !== counted)
      await session.update(hosts, { id: host.id }, { [column]: counted, generation: host.generation + 1 });
  for (const { usage, recorded, counted } of perProject) {
    const { project_id, resource } = usage;
    if (recorded !== counted) await session.update(computeUsages, { project_id, resource }, { used: counted });
  }
}
