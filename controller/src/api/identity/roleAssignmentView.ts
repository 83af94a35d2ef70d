// How a role assignment looks in the API: ids, names when they are asked for, and the links to what it comes from.
import type { Assignment, Group, Project, Role, User } from '../../db/entities/identity';
import type { ListedAssignment } from '../../services/identity/roleAssignments';

/** Rows by id, to give names. */
export interface Names {
  readonly users: ReadonlyMap<string, User>;
  readonly groups: ReadonlyMap<string, Group>;
  readonly projects: ReadonlyMap<string, Project>;
  readonly roles: ReadonlyMap<string, Role>;
}

const domainPart = (id: string, names: Names): object => ({ domain: { id, name: names.projects.get(id)?.name ?? '' } });

function actorView({ actor_type, actor_id: id }: Assignment, names: Names | undefined): object {
  const row = names && (actor_type === 'user' ? names.users : names.groups).get(id);
  return row && names ? { id, name: row.name, ...domainPart(row.domain_id, names) } : { id };
}

function targetView({ target_type, target_id: id }: Assignment, names: Names | undefined): object {
  if (target_type === 'system') return { system: { all: true } };
  const row = names?.projects.get(id);
  if (!row || !names) return { [target_type]: { id } };
  const domainId = row.is_domain ? row.id : row.domain_id;
  return { [target_type]: { id, name: row.name, ...(target_type === 'project' ? domainPart(domainId, names) : {}) } };
}

function roleRef(id: string, names: Names | undefined): object {
  const row = names?.roles.get(id);
  if (!row || !names) return { id };
  return { id, name: row.name, ...(row.domain_id === '' ? {} : domainPart(row.domain_id, names)) };
}

function links(line: ListedAssignment, base: string): object {
  const { assignment, viaGroup, from, priorRole } = line;
  const inherited = assignment.inherited || from !== undefined;
  const target =
    assignment.target_type === 'system'
      ? '/system'
      : `/${from?.type ?? assignment.target_type}s/${from?.id ?? assignment.target_id}`;
  const actor = viaGroup === undefined ? `/${assignment.actor_type}s/${assignment.actor_id}` : `/groups/${viaGroup}`;
  const role = `/roles/${priorRole ?? assignment.role_id}`;
  const path = inherited ? `/OS-INHERIT${target}${actor}${role}/inherited_to_projects` : target + actor + role;
  return {
    assignment: base + path,
    ...(viaGroup === undefined ? {} : { membership: `${base}/groups/${viaGroup}/users/${assignment.actor_id}` }),
    ...(priorRole === undefined ? {} : { prior_role: `${base}/prior_role/${priorRole}/implies/${assignment.role_id}` }),
  };
}

/** @param names given when the caller asked for names */
export function roleAssignmentView(line: ListedAssignment, base: string, names: Names | undefined): object {
  const { assignment, from } = line;
  const inherited = assignment.inherited || from !== undefined;
  return {
    [assignment.actor_type]: actorView(assignment, names),
    role: roleRef(assignment.role_id, names),
    scope: { ...targetView(assignment, names), ...(inherited ? { 'OS-INHERIT:inherited_to': 'projects' } : {}) },
    links: links(line, base),
  };
}
