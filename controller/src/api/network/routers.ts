// Routers in the API, with their own operations: interfaces and routes.
import type { Cloud } from '../../cloud';
import type { routers, Router } from '../../db/entities/network';
import type { NetworkContext } from '../../services/network/context';
import { badRequest } from '../../services/network/errors';
import { addressesByPort } from '../../services/network/portAddresses';
import { findVisible } from '../../services/network/resource';
import { routerResource } from '../../services/network/resources';
import {
  addInterface,
  removeInterface,
  type InterfaceAnswer,
  type InterfaceRequest,
} from '../../services/network/routerInterfaces';
import {
  addRoutes,
  createRouter,
  deleteRouter,
  removeRoutes,
  updateRouter,
  type RouterValues,
} from '../../services/network/routers';
import { tagsOf } from '../../services/network/tags';
import { zonesOfHosts } from '../../services/network/zones';
import { param } from '../query';
import type { ApiRequest, ApiResponse, Route } from '../route';
import { initial, readable, readUpdate, standardAttributes, writable } from './attribute';
import { fixedIps, flag, listOf, object, orNull, routes, text, uuid } from './checks';
import type { Noun } from './noun';
import { routerView } from './routerView';

const gateway = orNull(object({ network_id: uuid, enable_snat: flag, external_fixed_ips: fixedIps }));

const attributes = {
  ...standardAttributes,
  name: writable(text(), { column: 'name', sort: true }),
  description: writable(text(), { column: 'description' }),
  admin_state_up: writable(flag, { column: 'admin_state_up', filter: 'flag', sort: true }),
  status: readable({ column: 'status', sort: true }),
  external_gateway_info: writable(gateway),
  routes: writable(routes),
  availability_zone_hints: initial(listOf(text(), true)),
  availability_zones: readable(),
  tags: readable(),
};

/** What of a gateway only administrators may choose. */
function requireGatewayRights(context: NetworkContext, verb: string, projectId: string, values: RouterValues): void {
  const info = values.external_gateway_info;
  for (const key of ['enable_snat', 'external_fixed_ips'] as const) {
    if (info?.[key] !== undefined)
      context.cloud.policy.require(context.caller, `network:routers:${verb}:external_gateway_info:${key}`, {
        project_id: projectId,
      });
  }
}

export const routerNoun: Noun<typeof routers> = {
  member: 'router',
  path: '/routers',
  resource: routerResource,
  attributes: { ...attributes, routes: { ...attributes.routes, post: false } },
  views: async ({ session }, rows) => {
    const addresses = await addressesByPort(
      session,
      rows.flatMap((row) => row.gateway_port_id ?? []),
    );
    const tags = await tagsOf(
      session,
      rows.map((row) => row.id),
    );
    const zones = await zonesOfHosts(session);
    return rows.map((row) =>
      routerView(
        row,
        addresses.get(row.gateway_port_id ?? '') ?? [],
        tags.get(row.id) ?? [],
        zones.get(row.host ?? ''),
      ),
    );
  },
  create: (context, { projectId, values }) => {
    requireGatewayRights(context, 'create', projectId, values);
    return createRouter(context, projectId, values);
  },
  update: (context, row, values) => {
    requireGatewayRights(context, 'update', row.project_id, values);
    return updateRouter(context, row, values);
  },
  remove: deleteRouter,
};

/** The router of a request, if the caller may change it. */
async function routerOf(context: NetworkContext, request: ApiRequest, verb: string): Promise<Router> {
  const { session, cloud, caller } = context;
  const row = await findVisible(session, cloud, caller, routerResource, param(request, 'id'), 'exclusive');
  cloud.policy.require(caller, `network:routers:${verb}`, row);
  return row;
}

function interfaceBody(request: ApiRequest): InterfaceRequest {
  const body = request.body;
  if (typeof body !== 'object' || body === null || Array.isArray(body)) throw badRequest('Missing body');
  return readUpdate({ subnet_id: writable(uuid), port_id: writable(uuid) }, body as Record<string, unknown>);
}

function interfaceView(router: Router, answer: InterfaceAnswer, tags: readonly string[]): Record<string, unknown> {
  return {
    id: router.id,
    tenant_id: router.project_id,
    project_id: router.project_id,
    network_id: answer.port.network_id,
    port_id: answer.port.id,
    subnet_id: answer.subnetIds[0],
    subnet_ids: answer.subnetIds,
    tags,
  };
}

const interfaceHandler =
  (verb: string, work: (context: NetworkContext, router: Router, body: InterfaceRequest) => Promise<InterfaceAnswer>) =>
  (request: ApiRequest, cloud: Cloud): Promise<ApiResponse> => {
    const body = interfaceBody(request);
    return cloud.db.write(async (session) => {
      const context = { session, cloud, caller: request.caller };
      const router = await routerOf(context, request, verb);
      const answer = await work(context, router, body);
      const tags = (await tagsOf(session, [router.id])).get(router.id) ?? [];
      return { status: 200, body: interfaceView(router, answer, tags) };
    });
  };

const routesHandler =
  (verb: string, work: typeof addRoutes) =>
  (request: ApiRequest, cloud: Cloud): Promise<ApiResponse> => {
    const body = request.body as { router?: unknown } | undefined;
    const given = body?.router;
    if (typeof given !== 'object' || given === null) throw badRequest("Unable to find 'router' in request body");
    const values = readUpdate({ routes: writable(routes) }, given as Record<string, unknown>) as RouterValues;
    return cloud.db.write(async (session) => {
      const context = { session, cloud, caller: request.caller };
      const router = await work(context, await routerOf(context, request, verb), values.routes ?? []);
      const [view] = await routerNoun.views(context, [router]);
      return { status: 200, body: { router: view } };
    });
  };

/** The operations of routers besides the common ones. */
export const routerRoutes: readonly Route[] = [
  {
    method: 'PUT',
    path: '/routers/:id/add_router_interface',
    handler: interfaceHandler('add_router_interface', addInterface),
  },
  {
    method: 'PUT',
    path: '/routers/:id/remove_router_interface',
    handler: interfaceHandler('remove_router_interface', removeInterface),
  },
  { method: 'PUT', path: '/routers/:id/add_extraroutes', handler: routesHandler('add_extraroutes', addRoutes) },
  {
    method: 'PUT',
    path: '/routers/:id/remove_extraroutes',
    handler: routesHandler('remove_extraroutes', removeRoutes),
  },
];
