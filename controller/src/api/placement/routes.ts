// The route table of the placement API.
import type { ApiService, Handler, Route } from '../route';
import * as aggregates from './aggregates';
import * as allocationCandidates from './allocationCandidates';
import * as allocations from './allocations';
import { jsonOnly } from './answer';
import { renderPlacementError } from './errors';
import * as inventories from './inventories';
import { maximumVersion, microversionHeaders, minimumVersion, parseMicroversion } from './microversion';
import * as resourceClasses from './resourceClasses';
import * as resourceProviders from './resourceProviders';
import * as traits from './traits';
import * as usages from './usages';
import { root } from './versions';

const rule = (name: string): string => `placement:${name}`;
const get = (path: string, handler: Handler, policy: string, since = 0): Route => ({
  method: 'GET',
  path,
  handler: jsonOnly(handler),
  policy: rule(policy),
  since,
});
type Schema = NonNullable<Route['schema']>;
const writing =
  (method: 'POST' | 'PUT' | 'DELETE') =>
  (path: string, handler: Handler, policy: string, more: { schema?: Schema; since?: number } = {}): Route => ({
    method,
    path,
    handler,
    policy: rule(policy),
    ...more,
  });
const [post, put, remove] = [writing('POST'), writing('PUT'), writing('DELETE')];

const one = '/resource_providers/:uuid';
const routes: readonly Route[] = [
  { method: 'GET', path: '/', handler: root, open: true },

  get('/resource_providers', resourceProviders.listHandler, 'resource_providers:list'),
  post('/resource_providers', resourceProviders.createHandler, 'resource_providers:create', {
    schema: resourceProviders.createSchema,
  }),
  get(one, resourceProviders.show, 'resource_providers:show'),
  put(one, resourceProviders.updateHandler, 'resource_providers:update', { schema: resourceProviders.updateSchema }),
  remove(one, resourceProviders.deleteHandler, 'resource_providers:delete'),

  get(`${one}/inventories`, inventories.listHandler, 'resource_providers:inventories:list'),
  post(`${one}/inventories`, inventories.createHandler, 'resource_providers:inventories:create', {
    schema: inventories.createSchema,
  }),
  put(`${one}/inventories`, inventories.replaceHandler, 'resource_providers:inventories:update', {
    schema: inventories.replaceSchema,
  }),
  remove(`${one}/inventories`, inventories.deleteAllHandler, 'resource_providers:inventories:delete'),
  get(`${one}/inventories/:class`, inventories.showHandler, 'resource_providers:inventories:show'),
  put(`${one}/inventories/:class`, inventories.updateHandler, 'resource_providers:inventories:update', {
    schema: inventories.updateSchema,
  }),
  remove(`${one}/inventories/:class`, inventories.deleteHandler, 'resource_providers:inventories:delete'),

  get(`${one}/usages`, usages.ofProvider, 'resource_providers:usages'),
  { method: 'GET', path: '/usages', handler: jsonOnly(usages.ofProject), since: 9 },

  get(`${one}/allocations`, allocations.ofProvider, 'resource_providers:allocations:list'),
  get('/allocations/:consumer', allocations.ofConsumer, 'allocations:list'),
  put('/allocations/:consumer', allocations.setHandler, 'allocations:update', { schema: allocations.setSchema }),
  remove('/allocations/:consumer', allocations.deleteHandler, 'allocations:delete'),
  post('/allocations', allocations.manageHandler, 'allocations:manage', {
    schema: allocations.manageSchema,
    since: 13,
  }),
  post('/reshaper', allocations.reshapeHandler, 'reshaper:reshape', { schema: allocations.reshapeSchema, since: 30 }),

  get(`${one}/aggregates`, aggregates.listHandler, 'resource_providers:aggregates:list', 1),
  put(`${one}/aggregates`, aggregates.setHandler, 'resource_providers:aggregates:update', {
    schema: aggregates.setSchema,
    since: 1,
  }),

  get('/resource_classes', resourceClasses.listHandler, 'resource_classes:list', 2),
  post('/resource_classes', resourceClasses.createHandler, 'resource_classes:create', {
    schema: resourceClasses.createSchema,
    since: 2,
  }),
  get('/resource_classes/:name', resourceClasses.showHandler, 'resource_classes:show', 2),
  put('/resource_classes/:name', resourceClasses.putHandler, 'resource_classes:update', { since: 2 }),
  remove('/resource_classes/:name', resourceClasses.deleteHandler, 'resource_classes:delete', { since: 2 }),

  get('/traits', traits.listHandler, 'traits:list', 6),
  // It answers without a body, so what the caller accepts does not matter.
  { method: 'GET', path: '/traits/:name', handler: traits.showHandler, policy: rule('traits:show'), since: 6 },
  put('/traits/:name', traits.putHandler, 'traits:update', { since: 6 }),
  remove('/traits/:name', traits.deleteHandler, 'traits:delete', { since: 6 }),
  get(`${one}/traits`, traits.listOfProvider, 'resource_providers:traits:list', 6),
  put(`${one}/traits`, traits.setOfProvider, 'resource_providers:traits:update', {
    schema: traits.setSchema,
    since: 6,
  }),
  remove(`${one}/traits`, traits.deleteOfProvider, 'resource_providers:traits:delete', { since: 6 }),

  get('/allocation_candidates', allocationCandidates.listHandler, 'allocation_candidates:list', 10),
];

export const placementService: ApiService = {
  name: 'placement',
  prefixes: ['/placement'],
  routes,
  renderError: renderPlacementError,
  microversions: {
    minimum: minimumVersion,
    maximum: maximumVersion,
    parse: parseMicroversion,
    headers: microversionHeaders,
  },
};
