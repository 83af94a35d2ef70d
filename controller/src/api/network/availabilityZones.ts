// Availability zones and service providers in the API.
import { zoneNames } from '../../services/network/zones';
import type { Handler, Route } from '../route';
import { filterBodies } from './derivedList';

const listZones: Handler = async (request, cloud) => {
  const names = await cloud.db.read(zoneNames);
  const bodies = names.flatMap((name) =>
    ['network', 'router'].map((resource) => ({ name, resource, state: 'available' })),
  );
  return {
    status: 200,
    body: { availability_zones: filterBodies(request.query, bodies, ['name', 'resource', 'state']) },
  };
};

/** Routers come from one place only. */
const PROVIDERS = [{ service_type: 'L3_ROUTER_NAT', name: 'single_node', default: true }];

const listProviders: Handler = (request) => ({
  status: 200,
  body: { service_providers: filterBodies(request.query, PROVIDERS, ['service_type', 'name', 'default']) },
});

export const zoneRoutes: readonly Route[] = [
  { method: 'GET', path: '/availability_zones', handler: listZones },
  { method: 'GET', path: '/service-providers', handler: listProviders },
];
