// What a user and a scope mean now: user, project, domain and effective roles, read from the database and cached until they change.
import { In, type Database, type ReadSession } from '../../db';
import {
  assignments,
  groupMembers,
  impliedRoles,
  projects,
  roles,
  users,
  type Project,
  type Role,
  type User,
} from '../../db/entities/identity';
import { effectiveRoles, targetsOf } from './roleExpansion';
import { scopeText, type Scope } from './tokenFormat';

/** A user in a scope, all of it enabled. */
export interface Resolved {
  readonly user: User;
  readonly userDomain: Project;
  readonly project: Project | null;
  readonly projectDomain: Project | null;
  readonly domain: Project | null;
  readonly roles: readonly Role[];
}

export interface Resolver {
  /** Undefined when the user or the scope does not exist, is disabled, or the user has no role there. */
  resolve(userId: string, scope: Scope): Promise<Resolved | undefined>;
  /** Forgets what is known of a user, or everything. */
  invalidate(userId: string | null): void;
}

const MAX_ENTRIES = 5000;

/** The chain of parents of a project, nearest first, up to and including its domain. */
export async function ancestorsOf(session: ReadSession, project: Project): Promise<Project[]> {
  const found: Project[] = [];
  let next = project.parent_id;
  while (next !== null) {
    const parent = await session.findOne(projects, { id: next });
    if (!parent) break;
    found.push(parent);
    next = parent.parent_id;
  }
  return found;
}

async function enabledUser(
  session: ReadSession,
  userId: string,
): Promise<Pick<Resolved, 'user' | 'userDomain'> | undefined> {
  const user = await session.findOne(users, { id: userId });
  if (!user?.enabled) return undefined;
  const userDomain = await session.findOne(projects, { id: user.domain_id, is_domain: true });
  return userDomain?.enabled ? { user, userDomain } : undefined;
}

/** The roles of a user in a scope. `above` are the ids that a project inherits from. */
async function rolesOf(session: ReadSession, userId: string, scope: Scope, above: readonly string[]): Promise<Role[]> {
  const target = targetsOf(scope, above);
  if (!target) return [];
  const memberships = await session.find(groupMembers, { where: { user_id: userId } });
  const groupIds = memberships.map((row) => row.group_id);
  const targetIds = In([target.id, ...above]);
  const found = await session.find(assignments, {
    where: [
      { actor_type: 'user', actor_id: userId, target_id: targetIds },
      { actor_type: 'group', actor_id: In(groupIds), target_id: targetIds },
    ],
  });
  if (found.length === 0) return [];
  return effectiveRoles(
    found,
    target,
    await session.find(impliedRoles),
    await session.find(roles, { order: { name: 'ASC' } }),
  );
}

async function load(session: ReadSession, userId: string, scope: Scope): Promise<Resolved | undefined> {
  const who = await enabledUser(session, userId);
  if (!who) return undefined;
  const base: Resolved = { ...who, project: null, projectDomain: null, domain: null, roles: [] };
  if (scope.kind === 'unscoped') return base;
  let resolved: Resolved = base;
  let above: string[] = [];
  if (scope.kind === 'project') {
    const project = await session.findOne(projects, { id: scope.id });
    if (!project?.enabled) return undefined;
    const domainId = project.is_domain ? project.id : project.domain_id;
    const projectDomain = await session.findOne(projects, { id: domainId });
    if (!projectDomain?.enabled) return undefined;
    above = (await ancestorsOf(session, project)).map((row) => row.id);
    resolved = { ...base, project, projectDomain };
  } else if (scope.kind === 'domain') {
    const domain = await session.findOne(projects, { id: scope.id, is_domain: true });
    if (!domain?.enabled) return undefined;
    resolved = { ...base, domain };
  }
  const found = await rolesOf(session, userId, scope, above);
  return found.length > 0 ? { ...resolved, roles: found } : undefined;
}

/** A resolver with a bounded cache. Whoever changes identity data must call `invalidate`. */
export function createResolver(db: Database): Resolver {
  const cache = new Map<string, Map<string, Resolved>>();
  let entries = 0;
  /** Counts invalidations: what was read before one must not be kept after it. */
  let generation = 0;

  function keep(userId: string, key: string, resolved: Resolved): void {
    if (entries >= MAX_ENTRIES) {
      cache.clear();
      entries = 0;
    }
    const ofUser = cache.get(userId) ?? new Map<string, Resolved>();
    if (!ofUser.has(key)) entries++;
    ofUser.set(key, resolved);
    cache.set(userId, ofUser);
  }

  return {
    async resolve(userId, scope) {
      const key = scopeText(scope);
      const known = cache.get(userId)?.get(key);
      if (known) return known;
      const before = generation;
      const resolved = await db.read((session) => load(session, userId, scope));
      if (resolved && before === generation) keep(userId, key, resolved);
      return resolved;
    },
    invalidate(userId) {
      generation++;
      if (userId === null) {
        cache.clear();
        entries = 0;
        return;
      }
      entries -= cache.get(userId)?.size ?? 0;
      cache.delete(userId);
    },
  };
}
