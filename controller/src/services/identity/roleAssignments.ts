// The list of who has which role where: as assigned, or in effect with groups, inheritance and implied roles worked out. Pure.
import type { Assignment, ImpliedRole, Project, Role } from '../../db/entities/identity';
import { impliedClosure } from './roleExpansion';

/** One line of the list. */
export interface ListedAssignment {
  readonly assignment: Assignment;
  /** The group through which a user has it. */
  readonly viaGroup?: string;
  /** Where the inherited assignment that it comes from really is. */
  readonly from?: { readonly type: 'project' | 'domain'; readonly id: string };
  /** The role that was assigned, when this one is only implied by it. */
  readonly priorRole?: string;
}

/** Everything that effects depend on. */
export interface AssignmentFacts {
  readonly assignments: readonly Assignment[];
  readonly members: readonly { readonly group_id: string; readonly user_id: string }[];
  readonly projects: readonly Project[];
  readonly implied: readonly ImpliedRole[];
  readonly roles: readonly Role[];
}

export interface AssignmentFilter {
  readonly userId?: string;
  readonly groupId?: string;
  readonly roleId?: string;
  readonly projectId?: string;
  readonly domainId?: string;
  readonly system?: boolean;
  /** Only inherited ones, or only those that are not. */
  readonly inherited?: boolean;
  /** Also those on projects below `projectId`. */
  readonly subtree?: boolean;
}

/** Ids of all projects below one, or below a domain. */
export function projectsBelow(id: string, projects: readonly Project[]): string[] {
  const found: string[] = [];
  let level = [id];
  while (level.length > 0) {
    const above = new Set(level);
    level = projects.filter((row) => row.parent_id !== null && above.has(row.parent_id)).map((row) => row.id);
    found.push(...level);
  }
  return found;
}

/** A group's assignment becomes one of each member. */
function expandGroup(line: ListedAssignment, facts: AssignmentFacts): ListedAssignment[] {
  const { assignment } = line;
  if (assignment.actor_type !== 'group') return [line];
  return facts.members
    .filter((member) => member.group_id === assignment.actor_id)
    .map((member) => ({
      ...line,
      assignment: { ...assignment, actor_type: 'user', actor_id: member.user_id },
      viaGroup: assignment.actor_id,
    }));
}

/** An inherited assignment becomes one on each project below. */
function expandInherited(line: ListedAssignment, facts: AssignmentFacts): ListedAssignment[] {
  const { assignment } = line;
  if (!assignment.inherited) return [line];
  const type = assignment.target_type === 'domain' ? 'domain' : 'project';
  return projectsBelow(assignment.target_id, facts.projects).map((id) => ({
    ...line,
    assignment: { ...assignment, target_type: 'project', target_id: id, inherited: false },
    from: { type, id: assignment.target_id },
  }));
}

function expandImplied(line: ListedAssignment, facts: AssignmentFacts): ListedAssignment[] {
  const { assignment } = line;
  return impliedClosure(assignment.role_id, facts.implied).map((role_id) =>
    role_id === assignment.role_id
      ? line
      : { ...line, assignment: { ...assignment, role_id }, priorRole: assignment.role_id },
  );
}

/** What is in effect: only users, only real targets, implied roles too. Roles of domains count through what they imply. */
export function effectiveAssignments(facts: AssignmentFacts): ListedAssignment[] {
  const ofDomains = new Set(facts.roles.filter((role) => role.domain_id !== '').map((role) => role.id));
  return facts.assignments
    .flatMap((assignment) => expandGroup({ assignment }, facts))
    .flatMap((line) => expandInherited(line, facts))
    .flatMap((line) => expandImplied(line, facts))
    .filter((line) => !ofDomains.has(line.assignment.role_id));
}

function onTarget({ assignment }: ListedAssignment, filter: AssignmentFilter, below: ReadonlySet<string>): boolean {
  const { target_type, target_id } = assignment;
  if (
    filter.projectId !== undefined &&
    !(target_type === 'project' && (target_id === filter.projectId || below.has(target_id)))
  )
    return false;
  if (filter.domainId !== undefined && !(target_type === 'domain' && target_id === filter.domainId)) return false;
  return !filter.system || target_type === 'system';
}

/** Lines that fit a filter. */
export function filterAssignments(
  lines: readonly ListedAssignment[],
  filter: AssignmentFilter,
  projects: readonly Project[],
): ListedAssignment[] {
  const below = new Set(
    filter.subtree && filter.projectId !== undefined ? projectsBelow(filter.projectId, projects) : [],
  );
  return lines.filter((line) => {
    const { actor_type, actor_id, role_id, inherited } = line.assignment;
    if (filter.userId !== undefined && !(actor_type === 'user' && actor_id === filter.userId)) return false;
    if (filter.groupId !== undefined && !(actor_type === 'group' && actor_id === filter.groupId)) return false;
    if (filter.roleId !== undefined && role_id !== filter.roleId) return false;
    if (filter.inherited !== undefined && (inherited || line.from !== undefined) !== filter.inherited) return false;
    return onTarget(line, filter, below);
  });
}
