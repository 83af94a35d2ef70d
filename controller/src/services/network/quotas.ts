// Quotas of the network service: a limit and a count per project and resource, changed by conditional statements.
import { addToCounter, In, isDuplicate, type ReadSession, type WriteSession } from '../../db';
import { networkQuotas } from '../../db/entities/network';
import { overQuota } from './errors';

/** Limits of a project that has none of its own; -1 is unlimited. */
export const defaultQuotas = {
  network: 100,
  subnet: 500,
  port: 500,
  router: 10,
  floatingip: 50,
  security_group: 10,
  security_group_rule: 100,
  subnetpool: -1,
  rbac_policy: 10,
} as const;
export type QuotaResource = keyof typeof defaultQuotas;
export const quotaResources = Object.keys(defaultQuotas) as QuotaResource[];

export interface QuotaState {
  readonly limit: number;
  readonly used: number;
}

async function ensureRow(session: WriteSession, projectId: string, resource: QuotaResource): Promise<void> {
  if (await session.findOne(networkQuotas, { project_id: projectId, resource })) return;
  try {
    await session.insert(networkQuotas, { project_id: projectId, resource, quota_limit: null, used: 0 });
  } catch (error) {
    if (!isDuplicate(error)) throw error;
  }
}

/**
 * Counts `amount` more of a resource. What the cloud makes for itself (DHCP ports, default groups) is counted without `enforce`.
 * @throws ApiError OverQuota (409)
 */
export async function takeQuota(
  session: WriteSession,
  projectId: string,
  resource: QuotaResource,
  amount = 1,
  enforce = true,
): Promise<void> {
  if (projectId === '' || amount === 0) return;
  const where = { project_id: projectId, resource };
  const limit = enforce ? { column: 'quota_limit', otherwise: defaultQuotas[resource] } : undefined;
  const count = (): Promise<boolean> => addToCounter(session, networkQuotas, where, 'used', amount, limit);
  if (await count()) return;
  // The first of the project, or one too many.
  await ensureRow(session, projectId, resource);
  if (!(await count())) throw overQuota([resource]);
}

export async function returnQuota(
  session: WriteSession,
  projectId: string,
  resource: QuotaResource,
  amount = 1,
): Promise<void> {
  if (projectId === '' || amount === 0) return;
  await addToCounter(session, networkQuotas, { project_id: projectId, resource }, 'used', -amount);
}

/** Limits and use of projects, complete for every resource. */
export async function quotasOf(
  session: ReadSession,
  projectIds: readonly string[],
): Promise<Map<string, Record<QuotaResource, QuotaState>>> {
  const rows = await session.find(networkQuotas, { where: { project_id: In([...projectIds]) } });
  const answer = new Map<string, Record<QuotaResource, QuotaState>>();
  for (const projectId of projectIds) {
    const entries = quotaResources.map((resource) => {
      const row = rows.find((one) => one.project_id === projectId && one.resource === resource);
      return [resource, { limit: row?.quota_limit ?? defaultQuotas[resource], used: row?.used ?? 0 }] as const;
    });
    answer.set(projectId, Object.fromEntries(entries) as Record<QuotaResource, QuotaState>);
  }
  return answer;
}

/** Sets a project's own limits. */
export async function setQuotas(
  session: WriteSession,
  projectId: string,
  limits: Partial<Record<QuotaResource, number>>,
): Promise<void> {
  for (const [resource, limit] of Object.entries(limits) as [QuotaResource, number][]) {
    await ensureRow(session, projectId, resource);
    await session.update(networkQuotas, { project_id: projectId, resource }, { quota_limit: limit });
  }
}

/** Gives a project the default limits again; use stays counted. @returns whether it had limits of its own */
export async function resetQuotas(session: WriteSession, projectId: string): Promise<boolean> {
  const rows = await session.find(networkQuotas, { where: { project_id: projectId } });
  await session.update(networkQuotas, { project_id: projectId }, { quota_limit: null });
  return rows.some((row) => row.quota_limit !== null);
}

/** Projects that have limits of their own. */
export async function projectsWithQuotas(session: ReadSession): Promise<string[]> {
  const rows = await session.find(networkQuotas);
  return [...new Set(rows.filter((row) => row.quota_limit !== null).map((row) => row.project_id))].sort();
}
