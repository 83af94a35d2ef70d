// Every kind of resource the network service has, and who sees it.
import {
  addressGroups,
  floatingIps,
  networks,
  ports,
  rbacPolicies,
  routers,
  securityGroupRules,
  securityGroups,
  subnetPools,
  subnets,
} from '../../db/entities/network';
import { sharedBy, type Resource } from './resource';

export const networkResource: Resource<typeof networks> = {
  noun: 'network',
  collection: 'networks',
  table: networks,
  alsoVisible: sharedBy('network', 'id', ['access_as_shared', 'access_as_external']),
};

/** Subnets of external networks are not shown to tenants, only those of shared ones. */
export const subnetResource: Resource<typeof subnets> = {
  noun: 'subnet',
  collection: 'subnets',
  table: subnets,
  alsoVisible: sharedBy('network', 'network_id', ['access_as_shared']),
};

export const portResource: Resource<typeof ports> = { noun: 'port', collection: 'ports', table: ports };
export const routerResource: Resource<typeof routers> = { noun: 'router', collection: 'routers', table: routers };
export const floatingIpResource: Resource<typeof floatingIps> = {
  noun: 'floatingip',
  collection: 'floatingips',
  table: floatingIps,
};
export const securityGroupResource: Resource<typeof securityGroups> = {
  noun: 'security_group',
  collection: 'security_groups',
  table: securityGroups,
  alsoVisible: sharedBy('security_group', 'id', ['access_as_shared']),
};
export const securityGroupRuleResource: Resource<typeof securityGroupRules> = {
  noun: 'security_group_rule',
  collection: 'security_group_rules',
  table: securityGroupRules,
  alsoVisible: sharedBy('security_group', 'security_group_id', ['access_as_shared']),
};
export const addressGroupResource: Resource<typeof addressGroups> = {
  noun: 'address_group',
  collection: 'address_groups',
  table: addressGroups,
};
export const rbacResource: Resource<typeof rbacPolicies> = {
  noun: 'rbac_policy',
  collection: 'rbac_policies',
  table: rbacPolicies,
};
export const subnetPoolResource: Resource<typeof subnetPools> = {
  noun: 'subnetpool',
  collection: 'subnetpools',
  table: subnetPools,
  alsoVisible: () => Promise.resolve([{ column: 'shared', op: '=', value: true }]),
};
