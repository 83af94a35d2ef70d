// Which roles somebody ends up with: assignments that reach a target, and the roles that those imply. Pure.
import type { Assignment, ImpliedRole, Role } from '../../db/entities/identity';
import type { Scope } from './tokenFormat';

/** All roles that a role implies, itself first, each once. */
export function impliedClosure(
  roleId: string,
  implied: readonly Pick<ImpliedRole, 'prior_role_id' | 'implied_role_id'>[],
): string[] {
  const found = [roleId];
  for (let at = 0; at < found.length; at++) {
    for (const rule of implied) {
      if (rule.prior_role_id === found[at] && !found.includes(rule.implied_role_id)) found.push(rule.implied_role_id);
    }
  }
  return found;
}

/** Where a scope's assignments come from: on itself, and inherited from what is above it. */
export interface ReachableTargets {
  readonly type: Assignment['target_type'];
  readonly id: string;
  /** Ids of the parent projects and of the domain. */
  readonly above: readonly string[];
}

/** What an assignment must be on to count in a scope. An unscoped token has no roles. */
export function targetsOf(scope: Scope, above: readonly string[]): ReachableTargets | undefined {
  switch (scope.kind) {
    case 'unscoped':
      return undefined;
    case 'system':
      return { type: 'system', id: 'all', above: [] };
    case 'domain':
      return { type: 'domain', id: scope.id, above: [] };
    case 'project':
      return { type: 'project', id: scope.id, above };
  }
}

/** Whether an assignment gives its role on a target. */
export function reaches(assignment: Assignment, target: ReachableTargets): boolean {
  if (!assignment.inherited) return assignment.target_type === target.type && assignment.target_id === target.id;
  return assignment.target_type !== 'system' && target.above.includes(assignment.target_id);
}

/** The roles of a token: those assigned and those implied; a domain's own roles count only through what they imply. */
export function effectiveRoles(
  assignments: readonly Assignment[],
  target: ReachableTargets,
  implied: readonly ImpliedRole[],
  roles: readonly Role[],
): Role[] {
  const ids = new Set<string>();
  for (const assignment of assignments) {
    if (!reaches(assignment, target)) continue;
    for (const id of impliedClosure(assignment.role_id, implied)) ids.add(id);
  }
  return roles.filter((role) => ids.has(role.id) && role.domain_id === '');
}
