// Quotas: limits per project over defaults, and use that is counted by conditional statements.
import { addToCounter, isDuplicate, type ReadSession, type WriteSession } from '../../db';
import { computeQuotas, computeUsages, keypairs } from '../../db/entities/compute';
import { InvalidError, OverQuotaError } from '../../errors';

/** Limits of a project that nobody set; -1 is unlimited. RAM in MiB. */
const defaultLimits = {
  instances: 10,
  cores: 20,
  ram: 51200,
  metadata_items: 128,
  injected_files: 5,
  injected_file_content_bytes: 10240,
  injected_file_path_bytes: 255,
  key_pairs: 100,
  server_groups: 10,
  server_group_members: 10,
  fixed_ips: -1,
  floating_ips: -1,
  security_groups: -1,
  security_group_rules: -1,
} as const;
export type QuotaResource = keyof typeof defaultLimits;
export type Limits = Readonly<Record<QuotaResource, number>>;
/** What servers use. */
export const countedResources = ['instances', 'cores', 'ram'] as const;
type CountedResource = (typeof countedResources)[number];
export type Usage = Readonly<Record<CountedResource, number>>;

/** The one quota class that exists: everybody's defaults. */
export const DEFAULT_CLASS = 'class:default';

const isResource = (key: string): key is QuotaResource => key in defaultLimits;

async function storedLimits(session: ReadSession, projectId: string): Promise<Partial<Record<QuotaResource, number>>> {
  const stored: Partial<Record<QuotaResource, number>> = {};
  for (const row of await session.find(computeQuotas, { where: { project_id: projectId } }))
    if (isResource(row.resource)) stored[row.resource] = row.hard_limit;
  return stored;
}

/** What a project gets when it has no limits of its own. */
export async function defaultQuota(session: ReadSession): Promise<Limits> {
  return { ...defaultLimits, ...(await storedLimits(session, DEFAULT_CLASS)) };
}

/** A project's limits. */
export async function projectQuota(session: ReadSession, projectId: string): Promise<Limits> {
  return { ...(await defaultQuota(session)), ...(await storedLimits(session, projectId)) };
}

export async function limitOf(session: ReadSession, projectId: string, resource: QuotaResource): Promise<number> {
  return (await projectQuota(session, projectId))[resource];
}

/** What a project's servers use now. */
export async function projectUsage(session: ReadSession, projectId: string): Promise<Usage> {
  const used = { instances: 0, cores: 0, ram: 0 };
  for (const row of await session.find(computeUsages, { where: { project_id: projectId } }))
    if (row.resource in used) used[row.resource as CountedResource] = row.used;
  return used;
}

/** How many keypairs a user has; this quota counts per user. */
export const keypairUsage = (session: ReadSession, userId: string): Promise<number> =>
  session.count(keypairs, { user_id: userId });

async function addUsage(
  session: WriteSession,
  projectId: string,
  resource: CountedResource,
  amount: number,
  limit: number,
): Promise<boolean> {
  const where = { project_id: projectId, resource };
  const maximum = limit < 0 ? undefined : limit;
  if (await addToCounter(session, computeUsages, where, 'used', amount, maximum)) return true;
  if (await session.findOne(computeUsages, where)) return false;
  try {
    await session.insert(computeUsages, { ...where, used: 0 });
  } catch (error) {
    if (!isDuplicate(error)) throw error;
  }
  return addToCounter(session, computeUsages, where, 'used', amount, maximum);
}

/**
 * Takes quota for new servers in the caller's transaction.
 * @throws OverQuotaError that says what was asked, used and allowed
 */
export async function takeQuota(session: WriteSession, projectId: string, amount: Usage): Promise<void> {
  const limits = await projectQuota(session, projectId);
  for (const resource of countedResources) {
    if (amount[resource] === 0) continue;
    if (await addUsage(session, projectId, resource, amount[resource], limits[resource])) continue;
    const used = await projectUsage(session, projectId);
    throw new OverQuotaError(
      `Quota exceeded for ${resource}: Requested ${amount[resource]}, but already used ${used[resource]} of ${limits[resource]} ${resource}`,
      { resource, requested: amount[resource], used: used[resource], limit: limits[resource] },
    );
  }
}

/** Gives quota back, once, when a server is gone. */
export async function giveBackQuota(session: WriteSession, projectId: string, amount: Usage): Promise<void> {
  for (const resource of countedResources)
    await addToCounter(session, computeUsages, { project_id: projectId, resource }, 'used', -amount[resource]);
}

/**
 * Sets limits of a project or of the defaults.
 * @throws InvalidError when a limit is below what is used, unless forced
 */
export async function setLimits(
  session: WriteSession,
  projectId: string,
  limits: Partial<Record<QuotaResource, number>>,
  force: boolean,
): Promise<void> {
  const used: Partial<Record<string, number>> = await projectUsage(session, projectId);
  for (const [resource, limit] of Object.entries(limits)) {
    const minimum = used[resource] ?? 0;
    if (!force && limit >= 0 && limit < minimum) {
      throw new InvalidError(
        `Quota limit ${limit} for ${resource} must be greater than or equal to already used and reserved ${minimum}.`,
      );
    }
    const where = { project_id: projectId, resource };
    if ((await session.update(computeQuotas, where, { hard_limit: limit })) === 0)
      await session.insert(computeQuotas, { ...where, hard_limit: limit });
  }
}

/** Back to the defaults. */
export async function clearLimits(session: WriteSession, projectId: string): Promise<void> {
  await session.delete(computeQuotas, { project_id: projectId });
}
