// Create, list, show, change and delete the services of the catalog.
import { Type, type Static } from '@sinclair/typebox';
import type { Cloud } from '../../cloud';
import { catalogServices, type CatalogService } from '../../db/entities/identity';
import { NotFoundError } from '../../errors';
import { createService, deleteService, findService, updateService } from '../../services/identity/catalogServices';
import { identityId } from '../../services/identity/ids';
import { param } from '../query';
import type { ApiRequest, ApiResponse, Route } from '../route';
import { Description, extraOf, requireMatchingId } from './fields';
import { collection, linked, listRows } from './listing';

const FIELDS = ['type', 'name', 'description', 'enabled'];
const TypeName = Type.String({ minLength: 1, maxLength: 255 });
const changeable = {
  name: Type.Optional(Type.String({ minLength: 1, maxLength: 255 })),
  description: Type.Optional(Description),
  enabled: Type.Optional(Type.Boolean()),
};
const ServiceCreate = Type.Object({ service: Type.Object({ type: TypeName, ...changeable }) });
const ServiceUpdate = Type.Object({
  service: Type.Object({ type: Type.Optional(TypeName), ...changeable }, { minProperties: 1 }),
});

const serviceView = (request: ApiRequest, row: CatalogService): object =>
  linked(request, `services/${row.id}`, {
    ...row.extra,
    ...(row.name === null ? {} : { name: row.name }),
    ...(row.description === null ? {} : { description: row.description }),
    id: row.id,
    type: row.type,
    enabled: row.enabled,
  });

async function find(request: ApiRequest, cloud: Cloud, rule: string): Promise<CatalogService> {
  cloud.policy.require(request.caller, rule);
  const id = param(request, 'service_id');
  const row = await findService(cloud, id);
  if (!row) throw new NotFoundError(`Could not find service: ${id}.`);
  return row;
}

async function create(request: ApiRequest, cloud: Cloud): Promise<ApiResponse> {
  cloud.policy.require(request.caller, 'identity:create_service');
  const body = (request.body as Static<typeof ServiceCreate>).service;
  const { type, name = null, description = null, enabled = true } = body;
  const service = { id: identityId(), type, name, description, enabled, extra: extraOf(body, FIELDS) };
  await createService(cloud, service);
  return { status: 201, body: { service: serviceView(request, service) } };
}

async function listAll(request: ApiRequest, cloud: Cloud): Promise<ApiResponse> {
  cloud.policy.require(request.caller, 'identity:list_services');
  const rows = await cloud.db.read((session) =>
    listRows(session, catalogServices, request.query, { type: 'text', name: 'text' }),
  );
  return collection(
    request,
    'services',
    rows.map((row) => serviceView(request, row)),
  );
}

async function show(request: ApiRequest, cloud: Cloud): Promise<ApiResponse> {
  return { status: 200, body: { service: serviceView(request, await find(request, cloud, 'identity:get_service')) } };
}

async function update(request: ApiRequest, cloud: Cloud): Promise<ApiResponse> {
  const before = await find(request, cloud, 'identity:update_service');
  const body = (request.body as Static<typeof ServiceUpdate>).service;
  requireMatchingId(body, before.id);
  const { type, name, description, enabled } = body;
  const service = await updateService(cloud, before, {
    ...(type === undefined ? {} : { type }),
    ...(name === undefined ? {} : { name }),
    ...(description === undefined ? {} : { description }),
    ...(enabled === undefined ? {} : { enabled }),
    extra: { ...before.extra, ...extraOf(body, FIELDS) },
  });
  return { status: 200, body: { service: serviceView(request, service) } };
}

async function remove(request: ApiRequest, cloud: Cloud): Promise<ApiResponse> {
  await deleteService(cloud, (await find(request, cloud, 'identity:delete_service')).id);
  return { status: 204 };
}

export const serviceRoutes: readonly Route[] = [
  { method: 'GET', path: '/services', handler: listAll },
  { method: 'POST', path: '/services', schema: ServiceCreate, handler: create },
  { method: 'GET', path: '/services/:service_id', handler: show },
  { method: 'PATCH', path: '/services/:service_id', schema: ServiceUpdate, handler: update },
  { method: 'DELETE', path: '/services/:service_id', handler: remove },
];
