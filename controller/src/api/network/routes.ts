// The route table of the network API.
import type { Table } from '../../db';
import type { ApiService, Route } from '../route';
import { addressGroupNoun, addressGroupRoutes } from './addressGroups';
import { agentRoutes } from './agents';
import { zoneRoutes } from './availabilityZones';
import { crudRoutes } from './crud';
import { renderNetworkError } from './errors';
import { extensionRoutes } from './extensions';
import { floatingIpNoun } from './floatingIps';
import { availabilityRoutes } from './ipAvailability';
import { networkNoun } from './networks';
import type { Noun } from './noun';
import { portNoun } from './ports';
import { quotaRoutes } from './quotas';
import { rbacNoun } from './rbac';
import { routerNoun, routerRoutes } from './routers';
import { securityGroupRuleNoun } from './securityGroupRules';
import { securityGroupNoun } from './securityGroups';
import { subnetPoolNoun, subnetPoolRoutes } from './subnetPools';
import { subnetNoun } from './subnets';
import { tagRoutes } from './tags';
import { resourcesRoute, versionRoutes } from './versions';

const tagged = <T extends Table>(noun: Noun<T>): Route[] => [
  ...crudRoutes(noun),
  ...tagRoutes(noun.path, noun.resource),
];

const nouns = [
  networkNoun,
  subnetNoun,
  portNoun,
  routerNoun,
  floatingIpNoun,
  securityGroupNoun,
  securityGroupRuleNoun,
  subnetPoolNoun,
  addressGroupNoun,
  rbacNoun,
];

export const networkService: ApiService = {
  name: 'network',
  prefixes: ['/network/v2.0'],
  routes: [
    resourcesRoute(nouns.map(({ member, path, resource }) => ({ member, collection: resource.collection, path }))),
    ...routerRoutes,
    ...tagged(networkNoun),
    ...tagged(subnetNoun),
    ...tagged(portNoun),
    ...tagged(routerNoun),
    ...tagged(floatingIpNoun),
    ...tagged(securityGroupNoun),
    ...crudRoutes(securityGroupRuleNoun),
    ...subnetPoolRoutes,
    ...tagged(subnetPoolNoun),
    ...addressGroupRoutes,
    ...crudRoutes(addressGroupNoun),
    ...crudRoutes(rbacNoun),
    ...quotaRoutes,
    ...agentRoutes,
    ...zoneRoutes,
    ...availabilityRoutes,
    ...extensionRoutes,
  ],
  renderError: renderNetworkError,
};

/** The version document at /network. */
export const networkRootService: ApiService = {
  name: 'network versions',
  prefixes: ['/network'],
  routes: versionRoutes,
  renderError: renderNetworkError,
};
