// Create, list, show, change and delete the endpoints of services. A URL that is only a path is shown on the caller's address.
import { Type, type Static } from '@sinclair/typebox';
import type { Cloud } from '../../cloud';
import { catalogEndpoints, type CatalogEndpoint } from '../../db/entities/identity';
import { NotFoundError } from '../../errors';
import { absoluteUrl } from '../../services/identity/catalog';
import { createEndpoint, deleteEndpoint, findEndpoint, updateEndpoint } from '../../services/identity/catalogEndpoints';
import { identityId } from '../../services/identity/ids';
import { param } from '../query';
import type { ApiRequest, ApiResponse, Route } from '../route';
import { extraOf, nullable, requireMatchingId } from './fields';
import { collection, linked, listRows } from './listing';

const FIELDS = ['interface', 'service_id', 'region', 'region_id', 'url', 'enabled'];
const Interface = Type.Union([Type.Literal('admin'), Type.Literal('internal'), Type.Literal('public')]);
const Url = Type.String({ maxLength: 225, pattern: '^([a-zA-Z0-9+.-]+:.+|/.*)$' });
const RegionId = nullable(Type.String({ maxLength: 255 }));
const changeable = {
  region: Type.Optional(RegionId),
  region_id: Type.Optional(RegionId),
  enabled: Type.Optional(Type.Boolean()),
  name: Type.Optional(Type.String()),
  description: Type.Optional(nullable(Type.String())),
};
const EndpointCreate = Type.Object({
  endpoint: Type.Object({ interface: Interface, service_id: Type.String(), url: Url, ...changeable }),
});
const EndpointUpdate = Type.Object({
  endpoint: Type.Object(
    {
      interface: Type.Optional(Interface),
      service_id: Type.Optional(Type.String()),
      url: Type.Optional(Url),
      ...changeable,
    },
    { minProperties: 1 },
  ),
});

const endpointView = (request: ApiRequest, row: CatalogEndpoint): object =>
  linked(request, `endpoints/${row.id}`, {
    ...row.extra,
    id: row.id,
    interface: row.interface,
    service_id: row.service_id,
    region: row.region_id,
    region_id: row.region_id,
    url: absoluteUrl(row.url, request.origin),
    enabled: row.enabled,
  });

async function find(request: ApiRequest, cloud: Cloud, rule: string): Promise<CatalogEndpoint> {
  cloud.policy.require(request.caller, rule);
  const id = param(request, 'endpoint_id');
  const row = await findEndpoint(cloud, id);
  if (!row) throw new NotFoundError(`Could not find endpoint: ${id}.`);
  return row;
}

/** The older `region` makes the region when there is none; `region_id` must name one. */
const regionOf = (body: {
  region?: string | null;
  region_id?: string | null;
}): { id: string | null; make: boolean } | undefined => {
  if (typeof body.region_id === 'string') return { id: body.region_id, make: false };
  if (typeof body.region === 'string') return { id: body.region, make: true };
  return body.region_id === null || body.region === null ? { id: null, make: false } : undefined;
};

async function create(request: ApiRequest, cloud: Cloud): Promise<ApiResponse> {
  cloud.policy.require(request.caller, 'identity:create_endpoint');
  const body = (request.body as Static<typeof EndpointCreate>).endpoint;
  const region = regionOf(body) ?? { id: null, make: false };
  const endpoint = {
    id: identityId(),
    service_id: body.service_id,
    interface: body.interface,
    region_id: region.id,
    url: body.url,
    enabled: body.enabled ?? true,
    extra: extraOf(body, FIELDS),
  };
  await createEndpoint(cloud, endpoint, region.make);
  return { status: 201, body: { endpoint: endpointView(request, endpoint) } };
}

async function listAll(request: ApiRequest, cloud: Cloud): Promise<ApiResponse> {
  cloud.policy.require(request.caller, 'identity:list_endpoints');
  const filters = { interface: 'text', service_id: 'text', region_id: 'text' } as const;
  const rows = await cloud.db.read((session) => listRows(session, catalogEndpoints, request.query, filters));
  return collection(
    request,
    'endpoints',
    rows.map((row) => endpointView(request, row)),
  );
}

async function show(request: ApiRequest, cloud: Cloud): Promise<ApiResponse> {
  return {
    status: 200,
    body: { endpoint: endpointView(request, await find(request, cloud, 'identity:get_endpoint')) },
  };
}

async function update(request: ApiRequest, cloud: Cloud): Promise<ApiResponse> {
  const before = await find(request, cloud, 'identity:update_endpoint');
  const body = (request.body as Static<typeof EndpointUpdate>).endpoint;
  requireMatchingId(body, before.id);
  const region = regionOf(body);
  const { interface: face, service_id, url, enabled } = body;
  const change = {
    ...(face === undefined ? {} : { interface: face }),
    ...(service_id === undefined ? {} : { service_id }),
    ...(url === undefined ? {} : { url }),
    ...(enabled === undefined ? {} : { enabled }),
    ...(region === undefined ? {} : { region_id: region.id }),
    extra: { ...before.extra, ...extraOf(body, FIELDS) },
  };
  const endpoint = await updateEndpoint(cloud, before, change, region?.make === true);
  return { status: 200, body: { endpoint: endpointView(request, endpoint) } };
}

async function remove(request: ApiRequest, cloud: Cloud): Promise<ApiResponse> {
  await deleteEndpoint(cloud, (await find(request, cloud, 'identity:delete_endpoint')).id);
  return { status: 204 };
}

export const endpointRoutes: readonly Route[] = [
  { method: 'GET', path: '/endpoints', handler: listAll },
  { method: 'POST', path: '/endpoints', schema: EndpointCreate, handler: create },
  { method: 'GET', path: '/endpoints/:endpoint_id', handler: show },
  { method: 'PATCH', path: '/endpoints/:endpoint_id', schema: EndpointUpdate, handler: update },
  { method: 'DELETE', path: '/endpoints/:endpoint_id', handler: remove },
];
