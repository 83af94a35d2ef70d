// What a user may enter: the projects and domains on which he has a role, directly, by a group, inherited.
import type { Cloud } from '../../cloud';
import { In, type ReadSession } from '../../db';
import { assignments, groupMembers, projects, type Assignment, type Project } from '../../db/entities/identity';

async function assignmentsOf(session: ReadSession, userId: string): Promise<Assignment[]> {
  const memberships = await session.find(groupMembers, { where: { user_id: userId } });
  return session.find(assignments, {
    where: [
      { actor_type: 'user', actor_id: userId },
      { actor_type: 'group', actor_id: In(memberships.map((row) => row.group_id)) },
    ],
  });
}

/** Whether something above a project, or its domain, is one of these. */
function below(project: Project, tops: ReadonlySet<string>, byId: ReadonlyMap<string, Project>): boolean {
  let next = project.parent_id;
  while (next !== null) {
    if (tops.has(next)) return true;
    next = byId.get(next)?.parent_id ?? null;
  }
  return false;
}

/** Projects on which the user has a role, enabled or not. */
export function accessibleProjects(cloud: Cloud, userId: string): Promise<Project[]> {
  return cloud.db.read(async (session) => {
    const found = await assignmentsOf(session, userId);
    const direct = new Set(
      found.filter((row) => row.target_type === 'project' && !row.inherited).map((row) => row.target_id),
    );
    const tops = new Set(
      found.filter((row) => row.target_type !== 'system' && row.inherited).map((row) => row.target_id),
    );
    if (tops.size === 0) return session.find(projects, { where: { id: In([...direct]) }, order: { id: 'ASC' } });
    const all = await session.find(projects, { order: { id: 'ASC' } });
    const byId = new Map(all.map((row) => [row.id, row]));
    return all.filter((row) => direct.has(row.id) || (!row.is_domain && below(row, tops, byId)));
  });
}

/** Domains on which the user has a role, enabled or not. */
export function accessibleDomains(cloud: Cloud, userId: string): Promise<Project[]> {
  return cloud.db.read(async (session) => {
    const found = await assignmentsOf(session, userId);
    const ids = found.filter((row) => row.target_type === 'domain' && !row.inherited).map((row) => row.target_id);
    return session.find(projects, { where: { id: In(ids), is_domain: true }, order: { id: 'ASC' } });
  });
}

/** Whether the user has a role on the system. */
export function hasSystemAccess(cloud: Cloud, userId: string): Promise<boolean> {
  return cloud.db.read(async (session) =>
    (await assignmentsOf(session, userId)).some((row) => row.target_type === 'system'),
  );
}
