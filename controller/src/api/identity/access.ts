// Who may see and do what: a thing that does not exist and one that is not for the caller give the same answer.
import type { Cloud } from '../../cloud';
import { NotFoundError } from '../../errors';
import type { Group, Project, Role, User } from '../../db/entities/identity';
import type { PolicyTarget } from '../../services/policy/policy';
import type { ApiRequest } from '../route';

/** How policy rules name the attributes of a thing. */
export const targetOf = {
  /** A domain that is asked for as a project is its own domain. */
  project: (row: Pick<Project, 'id' | 'domain_id' | 'is_domain'>): PolicyTarget => ({
    'target.project.id': row.id,
    'target.project.domain_id': row.is_domain ? row.id : row.domain_id,
  }),
  domain: (row: Pick<Project, 'id'>): PolicyTarget => ({ 'target.domain.id': row.id }),
  user: (row: Pick<User, 'id' | 'domain_id'>): PolicyTarget => ({
    'target.user.id': row.id,
    'target.user.domain_id': row.domain_id,
  }),
  group: (row: Pick<Group, 'id' | 'domain_id'>): PolicyTarget => ({
    'target.group.id': row.id,
    'target.group.domain_id': row.domain_id,
  }),
  role: (row: Pick<Role, 'id' | 'domain_id' | 'name'>): PolicyTarget => ({
    'target.role.id': row.id,
    'target.role.name': row.name,
    'target.role.domain_id': row.domain_id === '' ? null : row.domain_id,
  }),
} as const;

/**
 * Checks a rule against a thing that may not exist.
 * @throws ForbiddenError when the caller may not, whether or not it exists
 * @throws NotFoundError when the caller may and it does not exist
 */
export function allowed<T>(
  request: ApiRequest,
  cloud: Cloud,
  rule: string,
  row: T | undefined,
  target: (row: T) => PolicyTarget,
  what: string,
): T {
  cloud.policy.require(request.caller, rule, row === undefined ? {} : target(row));
  if (row === undefined) throw new NotFoundError(`Could not find ${what}.`);
  return row;
}
