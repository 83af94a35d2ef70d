// Lists role assignments with all filters, as assigned or in effect.
import type { Cloud } from '../../cloud';
import { assignments, groupMembers, groups, impliedRoles, projects, roles, users } from '../../db/entities/identity';
import { InvalidError } from '../../errors';
import { findProject } from '../../services/identity/projects';
import {
  effectiveAssignments,
  filterAssignments,
  type AssignmentFilter,
  type ListedAssignment,
} from '../../services/identity/roleAssignments';
import { queryValue } from '../query';
import type { ApiRequest, ApiResponse, Query, Route } from '../route';
import { targetOf } from './access';
import { collection, identityFlag, linkBase } from './listing';
import { roleAssignmentView, type Names } from './roleAssignmentView';

const invalid = (words: string): InvalidError => new InvalidError(words, 'ValidationError');

/** Combinations that can't be meant. @throws InvalidError */
function requireSense(filter: AssignmentFilter, effective: boolean): void {
  const scopes = [filter.projectId, filter.domainId, filter.system].filter((scope) => scope !== undefined);
  if (scopes.length > 1) throw invalid('Specify only one of project, domain and system.');
  if (filter.userId !== undefined && filter.groupId !== undefined) throw invalid('Specify a user or group, not both.');
  if (effective && filter.groupId !== undefined)
    throw invalid('Combining effective and group filter will always result in an empty list.');
  if (effective && filter.domainId !== undefined && filter.inherited)
    throw invalid('Combining effective, domain and inherited filters will always result in an empty list.');
  if (filter.subtree && filter.projectId === undefined)
    throw invalid('scope.project.id must be specified if include_subtree is also specified.');
}

function filterOf(query: Query): AssignmentFilter {
  const text = (key: string): string | undefined => queryValue(query, key) || undefined;
  const pick = <K extends string, V>(key: K, value: V | undefined): { [P in K]?: V } =>
    (value === undefined ? {} : { [key]: value }) as { [P in K]?: V };
  const inheritedTo = text('scope.OS-INHERIT:inherited_to');
  return {
    ...pick('userId', text('user.id')),
    ...pick('groupId', text('group.id')),
    ...pick('roleId', text('role.id')),
    ...pick('projectId', text('scope.project.id')),
    ...pick('domainId', text('scope.domain.id')),
    ...pick('system', query.has('scope.system') ? true : undefined),
    ...pick('inherited', inheritedTo === undefined ? undefined : inheritedTo === 'projects'),
    subtree: identityFlag(query, 'include_subtree') === true,
  };
}

async function requireAllowed(request: ApiRequest, cloud: Cloud, filter: AssignmentFilter): Promise<void> {
  const { caller } = request;
  if (!filter.subtree)
    return cloud.policy.require(caller, 'identity:list_role_assignments', { 'target.domain_id': caller.domainId });
  const project = filter.projectId === undefined ? undefined : await findProject(cloud, filter.projectId);
  cloud.policy.require(caller, 'identity:list_role_assignments_for_tree', project ? targetOf.project(project) : {});
}

const byId = <R extends { readonly id: string }>(rows: readonly R[]): Map<string, R> =>
  new Map(rows.map((row) => [row.id, row]));

function loadFacts(cloud: Cloud) {
  return cloud.db.read(async (session) => ({
    assignments: await session.find(assignments),
    members: await session.find(groupMembers),
    projects: await session.find(projects),
    implied: await session.find(impliedRoles),
    roles: await session.find(roles),
  }));
}

async function loadNames(cloud: Cloud, facts: Awaited<ReturnType<typeof loadFacts>>): Promise<Names> {
  const [people, teams] = await cloud.db.read(
    async (session) => [await session.find(users), await session.find(groups)] as const,
  );
  return { users: byId(people), groups: byId(teams), projects: byId(facts.projects), roles: byId(facts.roles) };
}

/** A caller with domain scope sees what is in the domain. */
function inDomain(
  lines: readonly ListedAssignment[],
  domainId: string,
  facts: Awaited<ReturnType<typeof loadFacts>>,
): ListedAssignment[] {
  const inside = new Set(facts.projects.filter((row) => row.domain_id === domainId).map((row) => row.id)).add(domainId);
  return lines.filter((line) => line.assignment.target_type !== 'system' && inside.has(line.assignment.target_id));
}

async function listAll(request: ApiRequest, cloud: Cloud): Promise<ApiResponse> {
  const filter = filterOf(request.query);
  await requireAllowed(request, cloud, filter);
  const effective = identityFlag(request.query, 'effective') === true;
  requireSense(filter, effective);
  const facts = await loadFacts(cloud);
  const all = effective ? effectiveAssignments(facts) : facts.assignments.map((assignment) => ({ assignment }));
  const fitting = filterAssignments(all, filter, facts.projects);
  const { domainId } = request.caller;
  const shown = domainId === null ? fitting : inDomain(fitting, domainId, facts);
  const names = identityFlag(request.query, 'include_names') === true ? await loadNames(cloud, facts) : undefined;
  const base = linkBase(request);
  return collection(
    request,
    'role_assignments',
    shown.map((line) => roleAssignmentView(line, base, names)),
  );
}

export const roleAssignmentRoutes: readonly Route[] = [{ method: 'GET', path: '/role_assignments', handler: listAll }];
