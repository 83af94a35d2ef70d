// Routers: created, changed with gateway and routes, deleted.
import { newId } from '@cumulet/common';
import { In } from '../../db';
import {
  networkTags,
  portAddresses,
  routerInterfaces,
  routers,
  subnets,
  type HostRoute,
  type Router,
} from '../../db/entities/network';
import { InvalidError } from '../../errors';
import { changedRouter, recordChanges } from './changes';
import { contains, parseAddress, parseCidr, storedCidr } from './cidr';
import { touched, type NetworkContext } from './context';
import { conflict } from './errors';
import { returnQuota, takeQuota } from './quotas';
import { clearGateway, setGateway, type GatewayRequest } from './routerGateway';
import { checkZones } from './zones';

export interface RouterValues {
  readonly name?: string;
  readonly description?: string;
  readonly admin_state_up?: boolean;
  /** Null or an empty object takes the gateway away. */
  readonly external_gateway_info?: Partial<GatewayRequest> | null;
  readonly routes?: readonly HostRoute[];
  readonly availability_zone_hints?: readonly string[];
}

const MAX_ROUTES = 30;

const invalidRoutes = (routes: readonly HostRoute[], reason: string): InvalidError =>
  new InvalidError(`Invalid format for routes: ${JSON.stringify(routes)}, ${reason}`, 'InvalidRoutes');

/** @throws InvalidError InvalidRoutes, RoutesExhausted */
async function checkRoutes(context: NetworkContext, router: Router, routes: readonly HostRoute[]): Promise<void> {
  const { session } = context;
  if (routes.length > MAX_ROUTES)
    throw new InvalidError(
      `Unable to complete operation for ${router.id}. The number of routes exceeds the maximum ${MAX_ROUTES}.`,
      'RoutesExhausted',
    );
  if (routes.length === 0) return;
  const joined = await session.find(routerInterfaces, { where: { router_id: router.id } });
  const portIds = [
    ...joined.map((one) => one.port_id),
    ...(router.gateway_port_id === null ? [] : [router.gateway_port_id]),
  ];
  const own = await session.find(portAddresses, { where: { port_id: In(portIds) } });
  const connected = await session.find(subnets, { where: { id: In(own.map((row) => row.subnet_id)) } });
  for (const route of routes) {
    const hop = parseAddress(route.nexthop);
    if (!hop || parseCidr(route.destination)?.version !== hop.version)
      throw invalidRoutes(routes, 'destination and nexthop differ in IP version');
    if (!connected.some((subnet) => contains(storedCidr(subnet.cidr), hop)))
      throw invalidRoutes(routes, 'the nexthop is not connected with router');
    if (own.some((row) => row.address === route.nexthop)) throw invalidRoutes(routes, 'the nexthop is used by router');
  }
}

async function applyGateway(
  context: NetworkContext,
  router: Router,
  info: RouterValues['external_gateway_info'],
): Promise<Router> {
  if (info === undefined) return router;
  if (info === null || Object.keys(info).length === 0) return clearGateway(context, router);
  const { network_id: networkId, ...rest } = info;
  if (networkId === undefined)
    throw new InvalidError('Invalid input for external_gateway_info. Reason: network_id is missing.', 'HTTPBadRequest');
  return setGateway(context, router, { network_id: networkId, ...rest });
}

/** @throws ApiError OverQuota, AvailabilityZoneNotFound and those of setGateway */
export async function createRouter(context: NetworkContext, projectId: string, values: RouterValues): Promise<Router> {
  const { session, cloud } = context;
  await takeQuota(session, projectId, 'router');
  await checkZones(session, values.availability_zone_hints ?? []);
  const now = cloud.clock.now();
  const router: Router = {
    id: newId(),
    project_id: projectId,
    name: values.name ?? '',
    description: values.description ?? '',
    created_at: now,
    updated_at: now,
    revision: 1,
    admin_state_up: values.admin_state_up ?? true,
    status: 'ACTIVE',
    gateway_port_id: null,
    gateway_network_id: null,
    enable_snat: true,
    routes: [],
    availability_zone_hints: values.availability_zone_hints ?? [],
    host: null,
    generation: 0,
  };
  await session.insert(routers, router);
  await recordChanges(session, cloud, [changedRouter(router.id)]);
  return applyGateway(context, router, values.external_gateway_info);
}

/** @throws ApiError InvalidRoutes, RoutesExhausted and those of setGateway and clearGateway */
export async function updateRouter(context: NetworkContext, router: Router, values: RouterValues): Promise<Router> {
  const { session, cloud } = context;
  const joined = await applyGateway(context, router, values.external_gateway_info);
  if (values.routes) await checkRoutes(context, joined, values.routes);
  const set = {
    name: values.name ?? router.name,
    description: values.description ?? router.description,
    admin_state_up: values.admin_state_up ?? router.admin_state_up,
    routes: values.routes ?? router.routes,
    ...touched(context, router),
  };
  await session.update(routers, { id: router.id }, set);
  await recordChanges(session, cloud, [changedRouter(router.id)]);
  return { ...joined, ...set };
}

const sameRoute = (one: HostRoute, other: HostRoute): boolean =>
  one.destination === other.destination && one.nexthop === other.nexthop;

/** Adds routes to what is there, without replacing it. @throws as updateRouter */
export async function addRoutes(
  context: NetworkContext,
  router: Router,
  routes: readonly HostRoute[],
): Promise<Router> {
  const fresh = routes.filter((route) => !router.routes.some((one) => sameRoute(one, route)));
  return updateRouter(context, router, { routes: [...router.routes, ...fresh] });
}

/** Takes routes away; those that are not there are ignored. */
export async function removeRoutes(
  context: NetworkContext,
  router: Router,
  routes: readonly HostRoute[],
): Promise<Router> {
  return updateRouter(context, router, {
    routes: router.routes.filter((one) => !routes.some((route) => sameRoute(one, route))),
  });
}

/** @throws ConflictError RouterInUse while it is joined to subnets */
export async function deleteRouter(context: NetworkContext, router: Router): Promise<void> {
  const { session, cloud } = context;
  if ((await session.count(routerInterfaces, { router_id: router.id })) > 0)
    throw conflict('RouterInUse', `Router ${router.id} still has ports`);
  await clearGateway(context, router);
  await session.delete(networkTags, { resource_id: router.id });
  await session.delete(routers, { id: router.id });
  await returnQuota(session, router.project_id, 'router');
  await recordChanges(session, cloud, [changedRouter(router.id)]);
}
