// Default rules of the network API. Names are network:COLLECTION:VERB[:ATTRIBUTE]; an administrator's file may override each.
import type { PolicyRules } from '../policy/policy';

const member = 'rule:admin_or_member';
const admin = 'rule:admin';
/** Administrators, and readers of the whole system. */
const seesAll = 'rule:admin or (role:reader and system_scope:all)';
const anybody = '@';
const networkOwner = 'rule:admin or (role:member and project_id:%(network:project_id)s)';

/** List, create, update and delete of a collection; whose rows a caller sees at all is `all_projects`. */
function collection(
  name: string,
  rules: Partial<Record<'list' | 'create' | 'update' | 'delete', string>> = {},
): PolicyRules {
  return {
    [`network:${name}:all_projects`]: seesAll,
    [`network:${name}:list`]: rules.list ?? anybody,
    [`network:${name}:create`]: rules.create ?? member,
    [`network:${name}:update`]: rules.update ?? member,
    [`network:${name}:delete`]: rules.delete ?? member,
    [`network:${name}:update:tags`]: member,
  };
}

/** The same rule for attributes at creation, at change or in bodies. */
function attributes(
  name: string,
  verbs: readonly ('create' | 'update' | 'show')[],
  names: readonly string[],
  rule: string,
): PolicyRules {
  return Object.fromEntries(verbs.flatMap((verb) => names.map((one) => [`network:${name}:${verb}:${one}`, rule])));
}

const provider = ['provider:network_type', 'provider:physical_network', 'provider:segmentation_id'];
const writes = ['create', 'update'] as const;

export const networkRules: PolicyRules = {
  ...collection('networks'),
  ...attributes('networks', writes, ['shared', 'router:external'], admin),
  ...attributes('networks', [...writes, 'show'], provider, admin),
  ...collection('subnets', { create: networkOwner, update: networkOwner, delete: networkOwner }),
  ...collection('ports'),
  ...attributes(
    'ports',
    writes,
    ['mac_address', 'fixed_ips', 'port_security_enabled', 'allowed_address_pairs'],
    networkOwner,
  ),
  ...attributes('ports', [...writes, 'show'], ['binding:host_id', 'binding:profile'], admin),
  ...attributes('ports', ['show'], ['binding:vif_type', 'binding:vif_details'], admin),
  ...collection('routers'),
  ...attributes(
    'routers',
    writes,
    ['external_gateway_info:enable_snat', 'external_gateway_info:external_fixed_ips'],
    admin,
  ),
  'network:routers:add_router_interface': member,
  'network:routers:remove_router_interface': member,
  'network:routers:add_extraroutes': member,
  'network:routers:remove_extraroutes': member,
  ...collection('floatingips'),
  ...attributes('floatingips', writes, ['floating_ip_address'], admin),
  ...collection('security_groups'),
  'network:security_groups:delete:default': admin,
  ...collection('security_group_rules', {
    create: 'rule:admin or (role:member and project_id:%(security_group:project_id)s)',
    update: 'rule:admin or (role:member and project_id:%(security_group:project_id)s)',
    delete: 'rule:admin or (role:member and project_id:%(security_group:project_id)s)',
  }),
  ...collection('address_groups'),
  ...collection('rbac_policies'),
  'network:rbac_policies:create:everybody': admin,
  'network:rbac_policies:update:everybody': admin,
  ...collection('subnetpools'),
  ...attributes('subnetpools', writes, ['shared', 'is_default'], admin),
  'network:agents:list': admin,
  'network:agents:update': admin,
  'network:agents:delete': admin,
  'network:network_ip_availabilities:list': admin,
  'network:availability_zones:list': anybody,
  'network:quotas:list': admin,
  'network:quotas:show': 'rule:admin_or_reader',
  'network:quotas:update': admin,
  'network:quotas:delete': admin,
};
