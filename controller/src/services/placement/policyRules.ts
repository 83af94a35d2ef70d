// Who may use the placement API by default: administrators, services, and readers of the whole system for what only reads.
import type { PolicyRules } from '../policy/policy';

const READ = 'rule:admin or role:service or (role:reader and system_scope:all)';
const WRITE = 'rule:admin or role:service';

const verbs = (noun: string, names: readonly string[], rule: string): PolicyRules =>
  Object.fromEntries(names.map((verb) => [`placement:${noun}:${verb}`, rule]));

export const placementRules: PolicyRules = {
  ...verbs('resource_providers', ['list', 'show'], READ),
  ...verbs('resource_providers', ['create', 'update', 'delete'], WRITE),
  ...verbs('resource_classes', ['list', 'show'], READ),
  ...verbs('resource_classes', ['create', 'update', 'delete'], WRITE),
  ...verbs('resource_providers:inventories', ['list', 'show'], READ),
  ...verbs('resource_providers:inventories', ['create', 'update', 'delete'], WRITE),
  ...verbs('resource_providers:aggregates', ['list'], READ),
  ...verbs('resource_providers:aggregates', ['update'], WRITE),
  ...verbs('resource_providers:traits', ['list'], READ),
  ...verbs('resource_providers:traits', ['update', 'delete'], WRITE),
  ...verbs('resource_providers:allocations', ['list'], READ),
  ...verbs('traits', ['list', 'show'], READ),
  ...verbs('traits', ['update', 'delete'], WRITE),
  ...verbs('allocations', ['list'], READ),
  ...verbs('allocations', ['manage', 'update', 'delete'], WRITE),
  ...verbs('allocation_candidates', ['list'], READ),
  ...verbs('reshaper', ['reshape'], WRITE),
  'placement:resource_providers:usages': READ,
  /** Readers of a project see what it uses. */
  'placement:usages': `${READ} or rule:project_reader`,
};
