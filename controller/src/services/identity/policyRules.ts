// The default policy of the identity service for admin, member and reader in project, domain and system scope.
// An admin in a project or the system manages the cloud; in a domain, what belongs to that domain.
import type { PolicyRules } from '../policy/policy';

const SYSTEM_READER = '(role:reader and system_scope:all)';
const READ_ALL = `rule:admin or ${SYSTEM_READER}`;
const ADMIN = 'rule:admin';
const ANYBODY = '@';

const readerOf = (domain: string): string => `(role:reader and domain_id:%(${domain})s)`;
const adminOf = (domain: string): string => `(role:admin and domain_id:%(${domain})s)`;

/** Grants within one domain: actor and target belong to it. */
const within = (role: string): string =>
  `(role:${role} and domain_id:%(target.actor.domain_id)s and domain_id:%(target.target.domain_id)s)`;

const READ_PROJECT = `${READ_ALL} or ${readerOf('target.project.domain_id')} or project_id:%(target.project.id)s`;
const CHANGE_PROJECT = `${ADMIN} or ${adminOf('target.project.domain_id')}`;
const READ_USER = `${READ_ALL} or ${readerOf('target.user.domain_id')} or user_id:%(target.user.id)s`;
const CHANGE_USER = `${ADMIN} or ${adminOf('target.user.domain_id')}`;
const READ_GROUP = `${READ_ALL} or ${readerOf('target.group.domain_id')}`;
const CHANGE_GROUP = `${ADMIN} or ${adminOf('target.group.domain_id')}`;
const READ_GRANT = `${READ_ALL} or ${within('reader')}`;
const CHANGE_GRANT = `${ADMIN} or (${within('admin')} and rule:identity:domain_managed_role)`;
const OWN_TOKEN = 'user_id:%(target.token.user_id)s';

export const identityRules: PolicyRules = {
  /** Roles that the administrator of a domain may give: the domain's own and the cloud's, but nothing that leads to admin. */
  'identity:domain_managed_role':
    "'False':%(target.role.leads_to_admin)s and (None:%(target.role.domain_id)s or domain_id:%(target.role.domain_id)s)",

  'identity:validate_token': `${READ_ALL} or role:service or ${OWN_TOKEN}`,
  'identity:revoke_token': `${ADMIN} or ${OWN_TOKEN}`,

  'identity:get_region': ANYBODY,
  'identity:list_regions': ANYBODY,
  'identity:create_region': ADMIN,
  'identity:update_region': ADMIN,
  'identity:delete_region': ADMIN,
  'identity:get_service': READ_ALL,
  'identity:list_services': READ_ALL,
  'identity:create_service': ADMIN,
  'identity:update_service': ADMIN,
  'identity:delete_service': ADMIN,
  'identity:get_endpoint': READ_ALL,
  'identity:list_endpoints': READ_ALL,
  'identity:create_endpoint': ADMIN,
  'identity:update_endpoint': ADMIN,
  'identity:delete_endpoint': ADMIN,

  'identity:get_domain': `${READ_ALL} or domain_id:%(target.domain.id)s or project_domain_id:%(target.domain.id)s`,
  'identity:list_domains': `${READ_ALL} or ${readerOf('target.domain.id')}`,
  'identity:create_domain': ADMIN,
  'identity:update_domain': ADMIN,
  'identity:delete_domain': ADMIN,

  'identity:get_project': READ_PROJECT,
  'identity:list_projects': `${READ_ALL} or ${readerOf('target.project.domain_id')}`,
  'identity:list_user_projects': READ_USER,
  'identity:create_project': CHANGE_PROJECT,
  'identity:update_project': CHANGE_PROJECT,
  'identity:delete_project': CHANGE_PROJECT,
  'identity:get_project_tag': READ_PROJECT,
  'identity:list_project_tags': READ_PROJECT,
  'identity:create_project_tag': CHANGE_PROJECT,
  'identity:update_project_tags': CHANGE_PROJECT,
  'identity:delete_project_tag': CHANGE_PROJECT,
  'identity:delete_project_tags': CHANGE_PROJECT,

  'identity:get_user': READ_USER,
  'identity:list_users': `${READ_ALL} or ${readerOf('target.user.domain_id')}`,
  'identity:create_user': CHANGE_USER,
  'identity:update_user': CHANGE_USER,
  'identity:delete_user': CHANGE_USER,

  'identity:get_group': READ_GROUP,
  'identity:list_groups': READ_GROUP,
  'identity:list_groups_for_user': READ_USER,
  'identity:create_group': CHANGE_GROUP,
  'identity:update_group': CHANGE_GROUP,
  'identity:delete_group': CHANGE_GROUP,
  'identity:list_users_in_group': READ_GROUP,
  'identity:check_user_in_group': `${READ_ALL} or (role:reader and domain_id:%(target.group.domain_id)s and domain_id:%(target.user.domain_id)s)`,
  'identity:add_user_to_group': `${ADMIN} or (role:admin and domain_id:%(target.group.domain_id)s and domain_id:%(target.user.domain_id)s)`,
  'identity:remove_user_from_group': `${ADMIN} or (role:admin and domain_id:%(target.group.domain_id)s and domain_id:%(target.user.domain_id)s)`,

  'identity:get_role': READ_ALL,
  'identity:list_roles': READ_ALL,
  'identity:create_role': ADMIN,
  'identity:update_role': ADMIN,
  'identity:delete_role': ADMIN,
  'identity:get_domain_role': `${READ_ALL} or ${readerOf('target.role.domain_id')}`,
  'identity:list_domain_roles': `${READ_ALL} or ${readerOf('target.role.domain_id')}`,
  'identity:create_domain_role': ADMIN,
  'identity:update_domain_role': ADMIN,
  'identity:delete_domain_role': ADMIN,
  'identity:get_implied_role': READ_ALL,
  'identity:list_implied_roles': READ_ALL,
  'identity:create_implied_role': ADMIN,
  'identity:delete_implied_role': ADMIN,
  'identity:list_role_inference_rules': READ_ALL,

  'identity:check_grant': READ_GRANT,
  'identity:list_grants': READ_GRANT,
  'identity:create_grant': CHANGE_GRANT,
  'identity:revoke_grant': CHANGE_GRANT,
  'identity:check_system_grant': READ_ALL,
  'identity:list_system_grants': READ_ALL,
  'identity:create_system_grant': ADMIN,
  'identity:revoke_system_grant': ADMIN,
  'identity:list_role_assignments': `${READ_ALL} or ${readerOf('target.domain_id')}`,
  'identity:list_role_assignments_for_tree': `${READ_ALL} or (role:admin and project_id:%(target.project.id)s) or ${readerOf('target.project.domain_id')}`,
};
