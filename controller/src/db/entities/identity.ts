// Tables of the identity service. A domain is a row of `project` with is_domain, as in the API.
import {
  flag,
  id,
  integer,
  json,
  longText,
  nullable,
  sequence,
  table,
  text,
  time,
  type Row,
  type Table,
} from '../columns';

/** Attributes that the service has no meaning for: stored and returned as they came. */
type Extra = Record<string, unknown>;

/** Projects and domains. A domain has no domain of its own: its domain_id is ''. */
export const projects = table(
  'project',
  {
    id: id(),
    name: text(64),
    domain_id: id(),
    parent_id: nullable(id()),
    is_domain: flag(),
    enabled: flag(),
    description: nullable(longText()),
    options: json<Extra>(),
    extra: json<Extra>(),
    created_at: time(),
  },
  { unique: [['domain_id', 'name']], indices: [['parent_id']] },
);
export type Project = Row<typeof projects>;

export const projectTags = table(
  'project_tag',
  { project_id: id(), name: text(255) },
  { primary: ['project_id', 'name'], indices: [['name']] },
);

export const users = table(
  'user',
  {
    id: id(),
    name: text(255),
    domain_id: id(),
    enabled: flag(),
    default_project_id: nullable(id()),
    description: nullable(longText()),
    options: json<Extra>(),
    extra: json<Extra>(),
    /** The hash with its parameters; null: no password, so no login with one. */
    password_hash: nullable(text(255)),
    created_at: time(),
  },
  { unique: [['domain_id', 'name']] },
);
export type User = Row<typeof users>;

/** Failed logins by a digest of who was named, whether or not that user exists: both must look alike, in time too. */
export const loginFailures = table(
  'login_failure',
  { id: id(), failures: integer(), last_at: time() },
  { indices: [['last_at']] },
);

export const groups = table(
  'user_group',
  {
    id: id(),
    name: text(64),
    domain_id: id(),
    description: nullable(longText()),
    extra: json<Extra>(),
    created_at: time(),
  },
  { unique: [['domain_id', 'name']] },
);
export type Group = Row<typeof groups>;

export const groupMembers = table(
  'user_group_member',
  { group_id: id(), user_id: id() },
  { primary: ['group_id', 'user_id'], indices: [['user_id']] },
);

/** Roles. domain_id is '' for a role of the whole cloud. */
export const roles = table(
  'role',
  {
    id: id(),
    name: text(255),
    domain_id: id(),
    description: nullable(longText()),
    options: json<Extra>(),
    extra: json<Extra>(),
    created_at: time(),
  },
  { unique: [['domain_id', 'name']] },
);
export type Role = Row<typeof roles>;

export const impliedRoles = table(
  'implied_role',
  { prior_role_id: id(), implied_role_id: id() },
  { primary: ['prior_role_id', 'implied_role_id'] },
);
export type ImpliedRole = Row<typeof impliedRoles>;

/** Who has which role on what. The target of a system assignment is 'all'. */
export const assignments = table(
  'role_assignment',
  {
    actor_type: text(8),
    actor_id: id(),
    target_type: text(8),
    target_id: id(),
    role_id: id(),
    /** True: not on the target itself but on all projects below it. */
    inherited: flag(),
  },
  {
    primary: ['actor_type', 'actor_id', 'target_type', 'target_id', 'role_id', 'inherited'],
    indices: [['target_type', 'target_id'], ['role_id']],
  },
);
export type Assignment = Row<typeof assignments>;

export const regions = table('region', {
  id: text(255),
  parent_region_id: nullable(text(255)),
  description: longText(),
  extra: json<Extra>(),
});
export type Region = Row<typeof regions>;

export const catalogServices = table('catalog_service', {
  id: id(),
  type: text(255),
  name: nullable(text(255)),
  description: nullable(longText()),
  enabled: flag(),
  extra: json<Extra>(),
});
export type CatalogService = Row<typeof catalogServices>;

/** Endpoints. A URL that begins with "/" is on the address at which the caller reached us. */
export const catalogEndpoints = table(
  'catalog_endpoint',
  {
    id: id(),
    service_id: id(),
    interface: text(8),
    region_id: nullable(text(255)),
    url: longText(),
    enabled: flag(),
    extra: json<Extra>(),
  },
  { indices: [['service_id']] },
);
export type CatalogEndpoint = Row<typeof catalogEndpoints>;

/** Keys that sign tokens. The newest is published but not used yet; the one before it signs. */
export const tokenKeys = table(
  'token_key',
  {
    generation: integer(),
    kid: text(64),
    /** PEM. */
    public_key: longText(),
    /** PEM, encrypted with the key file. */
    private_key: longText(),
    created_at: time(),
  },
  { primary: ['generation'], unique: [['kid']] },
);
export type TokenKey = Row<typeof tokenKeys>;

/**
 * What makes tokens invalid, and what other controllers must read anew: one feed, read by sequence. Without `issued_before` and
 * audit ids a row revokes nothing; it only says that something cached has changed.
 */
export const identityChanges = table(
  'identity_change',
  {
    sequence: sequence(),
    audit_id: nullable(text(64)),
    audit_chain_id: nullable(text(64)),
    user_id: nullable(id()),
    project_id: nullable(id()),
    domain_id: nullable(id()),
    /** Tokens issued at or before this time, for the user, project or domain named. */
    issued_before: nullable(time()),
    created_at: time(),
  },
  { primary: ['sequence'], indices: [['created_at']] },
);
export type IdentityChange = Row<typeof identityChanges>;

export const identityTables: readonly Table[] = [
  projects,
  projectTags,
  users,
  loginFailures,
  groups,
  groupMembers,
  roles,
  impliedRoles,
  assignments,
  regions,
  catalogServices,
  catalogEndpoints,
  tokenKeys,
  identityChanges,
];
