// Create, list, show, change and delete regions. A region's id is its name; PUT chooses it in the path.
import { Type, type Static } from '@sinclair/typebox';
import type { Cloud } from '../../cloud';
import { regions, type Region } from '../../db/entities/identity';
import { InvalidError, NotFoundError } from '../../errors';
import { identityId } from '../../services/identity/ids';
import { createRegion, deleteRegion, findRegion, updateRegion } from '../../services/identity/regions';
import { param } from '../query';
import type { ApiRequest, ApiResponse, Route } from '../route';
import { Description, extraOf, nullable, requireMatchingId } from './fields';
import { collection, linked, listRows } from './listing';

const FIELDS = ['description', 'parent_region_id'];
const RegionId = Type.String({ maxLength: 255 });
const changeable = {
  description: Type.Optional(Description),
  parent_region_id: Type.Optional(nullable(RegionId)),
  id: Type.Optional(nullable(RegionId)),
};
const RegionCreate = Type.Object({ region: Type.Object(changeable) });
const RegionUpdate = Type.Object({ region: Type.Object(changeable, { minProperties: 1 }) });

const regionView = (request: ApiRequest, row: Region): object =>
  linked(request, `regions/${encodeURIComponent(row.id)}`, {
    ...row.extra,
    id: row.id,
    description: row.description,
    parent_region_id: row.parent_region_id,
  });

async function find(request: ApiRequest, cloud: Cloud, rule: string): Promise<Region> {
  cloud.policy.require(request.caller, rule);
  const id = param(request, 'region_id');
  const row = await findRegion(cloud, id);
  if (!row) throw new NotFoundError(`Could not find region: ${id}.`);
  return row;
}

async function make(request: ApiRequest, cloud: Cloud, id: string): Promise<ApiResponse> {
  cloud.policy.require(request.caller, 'identity:create_region');
  const body = (request.body as Static<typeof RegionCreate>).region;
  const region = {
    id,
    parent_region_id: body.parent_region_id ?? null,
    description: body.description ?? '',
    extra: extraOf(body, FIELDS),
  };
  await createRegion(cloud, region);
  return { status: 201, body: { region: regionView(request, region) } };
}

function create(request: ApiRequest, cloud: Cloud): Promise<ApiResponse> {
  const { id } = (request.body as Static<typeof RegionCreate>).region;
  return make(request, cloud, id === undefined || id === null || id === '' ? identityId() : id);
}

function put(request: ApiRequest, cloud: Cloud): Promise<ApiResponse> {
  const { id } = (request.body as Static<typeof RegionCreate>).region;
  const inPath = param(request, 'region_id');
  if (id !== undefined && id !== inPath)
    throw new InvalidError(`Conflicting region IDs specified: "${inPath}" != "${id ?? ''}".`, 'ValidationError');
  return make(request, cloud, inPath);
}

async function listAll(request: ApiRequest, cloud: Cloud): Promise<ApiResponse> {
  cloud.policy.require(request.caller, 'identity:list_regions');
  const rows = await cloud.db.read((session) =>
    listRows(session, regions, request.query, { parent_region_id: 'text' }),
  );
  return collection(
    request,
    'regions',
    rows.map((row) => regionView(request, row)),
  );
}

async function show(request: ApiRequest, cloud: Cloud): Promise<ApiResponse> {
  return { status: 200, body: { region: regionView(request, await find(request, cloud, 'identity:get_region')) } };
}

async function update(request: ApiRequest, cloud: Cloud): Promise<ApiResponse> {
  const before = await find(request, cloud, 'identity:update_region');
  const body = (request.body as Static<typeof RegionUpdate>).region;
  requireMatchingId(body, before.id);
  const region = await updateRegion(cloud, before, {
    ...(body.description === undefined ? {} : { description: body.description ?? '' }),
    ...(body.parent_region_id === undefined ? {} : { parent_region_id: body.parent_region_id }),
    extra: { ...before.extra, ...extraOf(body, FIELDS) },
  });
  return { status: 200, body: { region: regionView(request, region) } };
}

async function remove(request: ApiRequest, cloud: Cloud): Promise<ApiResponse> {
  await deleteRegion(cloud, (await find(request, cloud, 'identity:delete_region')).id);
  return { status: 204 };
}

export const regionRoutes: readonly Route[] = [
  { method: 'GET', path: '/regions', handler: listAll },
  { method: 'POST', path: '/regions', schema: RegionCreate, handler: create },
  { method: 'GET', path: '/regions/:region_id', handler: show },
  { method: 'PUT', path: '/regions/:region_id', schema: RegionCreate, handler: put },
  { method: 'PATCH', path: '/regions/:region_id', schema: RegionUpdate, handler: update },
  { method: 'DELETE', path: '/regions/:region_id', handler: remove },
];
