// Quotas: limits per project over defaults, and per user within a project, and use that is counted by conditional statements.
import { addToCounter, addToCounters, In, isDuplicate, IsNull, type ReadSession, type WriteSession } from '../../db';
import { computeQuotas, computeUsages, keypairs, servers } from '../../db/entities/compute';
import { InvalidError, OverQuotaError } from '../../errors';
import { heldQuota, openMigrations } from './migrations';

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

type SomeLimits = Partial<Record<QuotaResource, number>>;

/** What was set, by whom it is for, read in one query. */
async function storedLimits(session: ReadSession, projectId: string, userId = '') {
  const everybody = { project_id: In([DEFAULT_CLASS, projectId]), user_id: '' };
  const where = userId === '' ? everybody : [everybody, { project_id: projectId, user_id: userId }];
  const stored = { defaults: {} as SomeLimits, project: {} as SomeLimits, user: {} as SomeLimits };
  for (const row of await session.find(computeQuotas, { where })) {
    if (!isResource(row.resource)) continue;
    const of = row.project_id === DEFAULT_CLASS ? stored.defaults : row.user_id === '' ? stored.project : stored.user;
    of[row.resource] = row.hard_limit;
  }
  return { project: { ...defaultLimits, ...stored.defaults, ...stored.project }, user: stored.user };
}

/** What a project gets when it has no limits of its own. */
export const defaultQuota = (session: ReadSession): Promise<Limits> => projectQuota(session, DEFAULT_CLASS);

/** A project's limits. */
export async function projectQuota(session: ReadSession, projectId: string): Promise<Limits> {
  return (await storedLimits(session, projectId)).project;
}

/** What a user may have of a project's: the project's limits where nobody set the user's. */
export async function userQuota(session: ReadSession, projectId: string, userId: string): Promise<Limits> {
  const { project, user } = await storedLimits(session, projectId, userId);
  return { ...project, ...user };
}

export async function limitOf(
  session: ReadSession,
  projectId: string,
  userId: string,
  resource: QuotaResource,
): Promise<number> {
  return (await userQuota(session, projectId, userId))[resource];
}

/** What a project's servers use now. */
export async function projectUsage(session: ReadSession, projectId: string): Promise<Usage> {
  const { instances = 0, cores = 0, ram = 0 } = await countedUsage(session, projectId);
  return { instances, cores, ram };
}

/** The same, without what was never counted. */
const usagesOf = (projectId: string) => ({ where: { project_id: projectId } });

async function countedUsage(session: ReadSession, projectId: string): Promise<Partial<Usage>> {
  const rows = await session.find(computeUsages, usagesOf(projectId));
  return Object.fromEntries(rows.map((row) => [row.resource, row.used]));
}

/** What the servers that a user made in a project use now; counted, because few users have limits of their own. */
export async function userUsage(session: ReadSession, projectId: string, userId: string): Promise<Usage> {
  const own = await session.find(servers, { where: { project_id: projectId, user_id: userId, deleted_at: IsNull() } });
  const moving = await openMigrations(session, [projectId]);
  const held = own.map((server) => heldQuota(server, moving.get(server.id)));
  const sum = (of: (usage: Usage) => number): number => held.reduce((total, usage) => total + of(usage), 0);
  return { instances: own.length, cores: sum(({ cores }) => cores), ram: sum(({ ram }) => ram) };
}

/** How many keypairs a user has; this quota counts per user. */
export const keypairUsage = (session: ReadSession, userId: string): Promise<number> =>
  session.count(keypairs, { user_id: userId });

/** What a transaction decides by that takes quota: limits, those of the user where somebody set some, and what is used. */
export interface Account {
  readonly projectId: string;
  readonly userId: string;
  readonly project: Limits;
  readonly user: SomeLimits;
  /** What is used, as far as something was ever counted. */
  readonly used: Partial<Usage>;
}

/** A user's account in a project, in two statements. */
export async function readAccount(session: ReadSession, projectId: string, userId: string): Promise<Account> {
  const limits = await storedLimits(session, projectId, userId);
  return { projectId, userId, ...limits, used: await countedUsage(session, projectId) };
}

async function addUsage(session: WriteSession, { projectId, project }: Account, amount: Usage): Promise<boolean> {
  const additions = countedResources
    .filter((key) => amount[key] !== 0)
    .map((key) => ({ key, amount: amount[key], ...(project[key] < 0 ? {} : { limit: project[key] }) }));
  const where = { project_id: projectId };
  return addToCounters(session, computeUsages, where, { key: 'resource', count: 'used' }, additions);
}

/** Makes the rows that count, for the first server of a project. */
async function makeUsages(session: WriteSession, { projectId, used }: Account): Promise<void> {
  for (const resource of countedResources.filter((one) => used[one] === undefined))
    try {
      await session.insert(computeUsages, { project_id: projectId, resource, used: 0 });
    } catch (error) {
      if (!isDuplicate(error)) throw error;
    }
}

/** Says what was asked, used and allowed. */
const overQuota = (resource: CountedResource, requested: number, used: number, limit: number): OverQuotaError =>
  new OverQuotaError(
    `Quota exceeded for ${resource}: Requested ${requested}, but already used ${used} of ${limit} ${resource}`,
    { resource, requested, used, limit },
  );

/** Takes quota for new servers in the caller's transaction. @throws OverQuotaError */
export async function takeQuota(session: WriteSession, account: Account, amount: Usage): Promise<void> {
  const { projectId, project } = account;
  const requireRoom = (used: Partial<Usage>): void => {
    for (const one of countedResources) {
      const [now, limit] = [used[one] ?? 0, project[one]];
      if (amount[one] > 0 && limit >= 0 && now + amount[one] > limit) throw overQuota(one, amount[one], now, limit);
    }
  };
  requireRoom(account.used);
  await makeUsages(session, account);
  if (await addUsage(session, account, amount)) {
    const now = countedResources.map((resource) => ({
      project_id: projectId,
      resource,
      used: (account.used[resource] ?? 0) + amount[resource],
    }));
    session.know(computeUsages, usagesOf(projectId), now);
    return requireUserQuota(session, account, amount);
  }
  // Somebody else was faster.
  requireRoom(await projectUsage(session, projectId));
  throw new Error(`the quota of project ${projectId} was not counted`);
}

/** Limits and use of servers: the project's, and the user's in it where somebody limited that user. */
export async function serverAccounts(
  session: ReadSession,
  { projectId, userId, project, user, used }: Account,
): Promise<readonly { readonly limits: Usage; readonly used: Usage }[]> {
  const { instances = 0, cores = 0, ram = 0 } = used;
  const account = { limits: project, used: { instances, cores, ram } };
  if (!countedResources.some((resource) => resource in user)) return [account];
  return [account, { limits: { ...project, ...user }, used: await userUsage(session, projectId, userId) }];
}

/**
 * Checks the user's account after quota was taken: it made requests of one project come one after the other, so that two of one user
 * don't both find room. @throws OverQuotaError
 */
async function requireUserQuota(
  session: ReadSession,
  { projectId, userId, user }: Account,
  amount: Usage,
): Promise<void> {
  if (!countedResources.some((resource) => resource in user)) return;
  const usage = await userUsage(session, projectId, userId);
  for (const resource of countedResources) {
    const [limit, used] = [user[resource] ?? -1, usage[resource]];
    if (limit >= 0 && amount[resource] > 0 && used + amount[resource] > limit)
      throw overQuota(resource, amount[resource], used, limit);
  }
}

/** Gives quota back, once, when a server is gone or smaller. */
export async function giveBackQuota(session: WriteSession, projectId: string, amount: Usage): Promise<void> {
  for (const resource of countedResources)
    await addToCounter(session, computeUsages, { project_id: projectId, resource }, 'used', -amount[resource]);
}

/** Resources that belong to no user: their limits are always the project's. */
const PROJECT_WIDE = new Set<string>(['fixed_ips', 'floating_ips', 'security_groups', 'security_group_rules']);

/**
 * Sets limits of a project or of the defaults, or of a user in a project.
 * @throws InvalidError when a limit is below what is used, or a user's above the project's, unless forced
 */
export async function setLimits(
  session: WriteSession,
  projectId: string,
  limits: SomeLimits,
  force: boolean,
  userId = '',
): Promise<void> {
  const used: Partial<Record<string, number>> =
    userId === '' ? await projectUsage(session, projectId) : await userUsage(session, projectId, userId);
  const most = userId === '' ? undefined : await projectQuota(session, projectId);
  for (const [resource, limit] of Object.entries(limits)) {
    const minimum = used[resource] ?? 0;
    const maximum = most && isResource(resource) && !PROJECT_WIDE.has(resource) ? most[resource] : -1;
    if (!force && maximum >= 0 && (limit < 0 || limit > maximum)) {
      throw new InvalidError(`Quota limit ${limit} for ${resource} must be less than or equal to ${maximum}.`);
    }
    if (!force && limit >= 0 && limit < minimum) {
      throw new InvalidError(
        `Quota limit ${limit} for ${resource} must be greater than or equal to already used and reserved ${minimum}.`,
      );
    }
    const where = { project_id: projectId, user_id: PROJECT_WIDE.has(resource) ? '' : userId, resource };
    if ((await session.update(computeQuotas, where, { hard_limit: limit })) === 0)
      await session.insert(computeQuotas, { ...where, hard_limit: limit });
  }
}

/** Back to the defaults, its users' limits too; or one user back to the project's. */
export async function clearLimits(session: WriteSession, projectId: string, userId?: string): Promise<void> {
  await session.delete(computeQuotas, {
    project_id: projectId,
    ...(userId === undefined ? {} : { user_id: userId }),
  });
}
