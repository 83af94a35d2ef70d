// The first tables of the identity service. Frozen: later changes are migrations of their own.
import { flag, id, integer, longText, nullable, sequence, text } from '../../columns';
import { createTable, type MigrationStep } from '../migration';

export const identity: readonly MigrationStep[] = [
  createTable(
    'project',
    {
      id: id(),
      name: id(),
      domain_id: id(),
      parent_id: nullable(id()),
      is_domain: flag(),
      enabled: flag(),
      description: nullable(longText()),
      options: longText(),
      extra: longText(),
      created_at: integer(),
    },
    { unique: [['domain_id', 'name']], indices: [['parent_id']] },
  ),
  createTable(
    'project_tag',
    { project_id: id(), name: text(255) },
    { primary: ['project_id', 'name'], indices: [['name']] },
  ),
  createTable(
    'user',
    {
      id: id(),
      name: text(255),
      domain_id: id(),
      enabled: flag(),
      default_project_id: nullable(id()),
      description: nullable(longText()),
      options: longText(),
      extra: longText(),
      password_hash: nullable(text(255)),
      created_at: integer(),
    },
    { unique: [['domain_id', 'name']] },
  ),
  createTable('login_failure', { id: id(), failures: integer(), last_at: integer() }, { indices: [['last_at']] }),
  createTable(
    'user_group',
    {
      id: id(),
      name: id(),
      domain_id: id(),
      description: nullable(longText()),
      extra: longText(),
      created_at: integer(),
    },
    { unique: [['domain_id', 'name']] },
  ),
  createTable(
    'user_group_member',
    { group_id: id(), user_id: id() },
    { primary: ['group_id', 'user_id'], indices: [['user_id']] },
  ),
  createTable(
    'role',
    {
      id: id(),
      name: text(255),
      domain_id: id(),
      description: nullable(longText()),
      options: longText(),
      extra: longText(),
      created_at: integer(),
    },
    { unique: [['domain_id', 'name']] },
  ),
  createTable(
    'implied_role',
    { prior_role_id: id(), implied_role_id: id() },
    { primary: ['prior_role_id', 'implied_role_id'] },
  ),
  createTable(
    'role_assignment',
    { actor_type: text(8), actor_id: id(), target_type: text(8), target_id: id(), role_id: id(), inherited: flag() },
    {
      primary: ['actor_type', 'actor_id', 'target_type', 'target_id', 'role_id', 'inherited'],
      indices: [['target_type', 'target_id'], ['role_id']],
    },
  ),
  createTable('region', {
    id: text(255),
    parent_region_id: nullable(text(255)),
    description: longText(),
    extra: longText(),
  }),
  createTable('catalog_service', {
    id: id(),
    type: text(255),
    name: nullable(text(255)),
    description: nullable(longText()),
    enabled: flag(),
    extra: longText(),
  }),
  createTable(
    'catalog_endpoint',
    {
      id: id(),
      service_id: id(),
      interface: text(8),
      region_id: nullable(text(255)),
      url: longText(),
      enabled: flag(),
      extra: longText(),
    },
    { indices: [['service_id']] },
  ),
  createTable(
    'token_key',
    { generation: integer(), kid: id(), public_key: longText(), private_key: longText(), created_at: integer() },
    { primary: ['generation'], unique: [['kid']] },
  ),
  createTable(
    'identity_change',
    {
      sequence: sequence(),
      audit_id: nullable(id()),
      audit_chain_id: nullable(id()),
      user_id: nullable(id()),
      project_id: nullable(id()),
      domain_id: nullable(id()),
      issued_before: nullable(integer()),
      created_at: integer(),
    },
    { primary: ['sequence'], indices: [['created_at']] },
  ),
];
