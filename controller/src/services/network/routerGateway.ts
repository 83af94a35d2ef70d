// A router's gateway: its port on an external network.
import { floatingIps, ports, routers, type Network, type Router } from '../../db/entities/network';
import { InvalidError } from '../../errors';
import type { FixedIpRequest } from './addressPlan';
import { changedNetwork, changedRouter, recordChanges } from './changes';
import type { NetworkContext } from './context';
import { conflict } from './errors';
import { insertPort, removePorts } from './portRows';
import { findVisible } from './resource';
import { networkResource } from './resources';
import { placeRouter, unplaceRouter } from './routerHosts';

export interface GatewayRequest {
  readonly network_id: string;
  readonly enable_snat?: boolean;
  readonly external_fixed_ips?: readonly FixedIpRequest[];
}

/** @throws ApiError NetworkNotFound, BadRequest for a network that is not external */
async function externalNetwork(context: NetworkContext, id: string): Promise<Network> {
  const network = await findVisible(context.session, context.cloud, context.caller, networkResource, id);
  if (!network.external)
    throw new InvalidError(`Bad router request: Network ${id} is not an external network.`, 'BadRequest');
  return network;
}

/** @throws ConflictError RouterExternalGatewayInUseByFloatingIp */
async function checkUnused(context: NetworkContext, router: Router): Promise<void> {
  if ((await context.session.count(floatingIps, { router_id: router.id })) > 0)
    throw conflict(
      'RouterExternalGatewayInUseByFloatingIp',
      `Gateway cannot be updated for router ${router.id}, since a gateway to external network ${router.gateway_network_id ?? ''} is required by one or more floating IPs.`,
    );
}

async function removeGatewayPort(context: NetworkContext, router: Router): Promise<void> {
  const { session, cloud } = context;
  const port =
    router.gateway_port_id === null ? undefined : await session.findOne(ports, { id: router.gateway_port_id });
  if (port) await removePorts(session, cloud, [port]);
}

/** Takes a router's gateway away. @throws ConflictError RouterExternalGatewayInUseByFloatingIp */
export async function clearGateway(context: NetworkContext, router: Router): Promise<Router> {
  if (router.gateway_port_id === null) return router;
  const { session, cloud } = context;
  await checkUnused(context, router);
  await removeGatewayPort(context, router);
  const set = { gateway_port_id: null, gateway_network_id: null, enable_snat: true };
  await session.update(routers, { id: router.id }, set);
  const cleared = { ...router, ...set };
  await unplaceRouter(session, cleared);
  await recordChanges(session, cloud, [changedRouter(router.id), changedNetwork(router.gateway_network_id ?? '')]);
  return cleared;
}

/**
 * Gives a router this gateway. The same network keeps the port and its addresses unless others are asked for.
 * @throws ApiError NetworkNotFound, BadRequest, IpAddressInUse, IpAddressGenerationFailure, RouterExternalGatewayInUseByFloatingIp
 */
export async function setGateway(context: NetworkContext, router: Router, request: GatewayRequest): Promise<Router> {
  const { session, cloud } = context;
  const network = await externalNetwork(context, request.network_id);
  const enableSnat = request.enable_snat ?? (router.gateway_network_id === network.id ? router.enable_snat : true);
  let portId = router.gateway_port_id;
  const keeps = router.gateway_network_id === network.id && !request.external_fixed_ips;
  if (!keeps) {
    if (router.gateway_network_id !== network.id) await checkUnused(context, router);
    await removeGatewayPort(context, router);
    const made = await insertPort(session, cloud, {
      projectId: '',
      network,
      groupIds: [],
      ...(request.external_fixed_ips?.length ? { fixedIps: request.external_fixed_ips } : {}),
      values: {
        device_id: router.id,
        device_owner: 'network:router_gateway',
        status: 'ACTIVE',
        port_security_enabled: false,
      },
    });
    if (made.addresses.length === 0)
      throw new InvalidError(
        `Bad router request: No subnets in external network ${network.id} have addresses.`,
        'BadRequest',
      );
    portId = made.port.id;
  }
  const set = { gateway_port_id: portId, gateway_network_id: network.id, enable_snat: enableSnat };
  await session.update(routers, { id: router.id }, set);
  const placed = await placeRouter(session, cloud, { ...router, ...set });
  const left = router.gateway_network_id === null ? [] : [changedNetwork(router.gateway_network_id)];
  await recordChanges(session, cloud, [changedRouter(router.id), changedNetwork(network.id), ...left]);
  return placed;
}
