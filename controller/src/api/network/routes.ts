// The route table of the network API.
import type { Table } from '../../db';
import type { ApiService, Route } from '../route';
import { crudRoutes } from './crud';
import { renderNetworkError } from './errors';
import { extensionRoutes } from './extensions';
import { floatingIpNoun } from './floatingIps';
import { networkNoun } from './networks';
import type { Noun } from './noun';
import { portNoun } from './ports';
import { routerNoun, routerRoutes } from './routers';
import { securityGroupRuleNoun } from './securityGroupRules';
import { securityGroupNoun } from './securityGroups';
import { subnetNoun } from './subnets';
import { tagRoutes } from './tags';
import { resourcesRoute, versionRoutes } from './versions';

const tagged = <T extends Table>(noun: Noun<T>): Route[] => [
  ...crudRoutes(noun),
  ...tagRoutes(noun.path, noun.resource),
];

const nouns = [networkNoun, subnetNoun, portNoun, routerNoun, floatingIpNoun, securityGroupNoun, securityGroupRuleNoun];

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
