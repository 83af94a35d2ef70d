// Handlers of /os-aggregates.
import { InvalidError, ApiError } from '../../errors';
import {
  addAggregateHost,
  createAggregate,
  deleteAggregate,
  findAggregate,
  listAggregates,
  removeAggregateHost,
  setAggregateMetadata,
  updateAggregate,
  zoneOf,
  type AggregateWithHosts,
} from '../../services/compute/aggregates';
import { param } from '../query';
import type { ApiRequest, Handler, Route } from '../route';
import { fqdn, name, object, uuid } from './schemaTypes';
import { isoMicroseconds, isoMicrosecondsOrNull } from './times';

function aggregateView(request: ApiRequest, { aggregate, hosts }: AggregateWithHosts) {
  return {
    id: aggregate.sequence,
    ...(request.microversion.minor >= 41 ? { uuid: aggregate.uuid } : {}),
    name: aggregate.name,
    availability_zone: zoneOf(aggregate),
    hosts,
    metadata: aggregate.metadata,
    created_at: isoMicroseconds(aggregate.created_at),
    updated_at: isoMicrosecondsOrNull(aggregate.updated_at),
    deleted: false,
    deleted_at: null,
  };
}

const answer = (request: ApiRequest, found: AggregateWithHosts) => ({
  status: 200,
  body: { aggregate: aggregateView(request, found) },
});

/** @throws InvalidError for what is no whole number */
function idOf(request: ApiRequest): number {
  const text = param(request, 'id');
  if (!/^\d{1,15}$/.test(text)) throw new InvalidError(`id must be an integer, not '${text}'.`);
  return Number(text);
}

const index: Handler = (request, cloud) =>
  cloud.db.read(async (session) => ({
    status: 200,
    body: { aggregates: (await listAggregates(session)).map((found) => aggregateView(request, found)) },
  }));

const show: Handler = async (request, cloud) =>
  answer(request, await cloud.db.read((session) => findAggregate(session, idOf(request))));

const zone = { anyOf: [{ ...name, pattern: '^(?![\\s])[^:\\p{C}]*(?<![\\s])$' }, { type: 'null' }] };
const createSchema = object({ aggregate: object({ name, availability_zone: zone }, ['name']) }, ['aggregate']);
const updateSchema = object({ aggregate: { ...object({ name, availability_zone: zone }), minProperties: 1 } }, [
  'aggregate',
]);

interface AggregateBody {
  readonly name?: string;
  readonly availability_zone?: string | null;
}

const create: Handler = async (request, cloud) => {
  const { aggregate: body } = request.body as { aggregate: AggregateBody };
  const made = await cloud.db.write((session) =>
    createAggregate(session, cloud, (body.name ?? '').trim(), body.availability_zone ?? null),
  );
  // The reference leaves these two out here, and only here.
  const { hosts: _hosts, metadata: _metadata, ...view } = aggregateView(request, made);
  return { status: 200, body: { aggregate: view } };
};

const update: Handler = async (request, cloud) => {
  const { aggregate: body } = request.body as { aggregate: AggregateBody };
  const change = {
    ...(body.name === undefined ? {} : { name: body.name.trim() }),
    ...(body.availability_zone === undefined ? {} : { zone: body.availability_zone }),
  };
  return answer(request, await cloud.db.write((session) => updateAggregate(session, cloud, idOf(request), change)));
};

const remove: Handler = async (request, cloud) => {
  await cloud.db.write((session) => deleteAggregate(session, idOf(request)));
  return { status: 200 };
};

const host = object({ host: fqdn }, ['host']);
const metadataChanges = object(
  {
    metadata: {
      type: 'object',
      patternProperties: { '^[a-zA-Z0-9_:. -]{1,255}$': { type: ['string', 'null'], maxLength: 255 } },
      additionalProperties: false,
    },
  },
  ['metadata'],
);
/** Exactly one of them. */
const actionSchema = {
  ...object({ add_host: host, remove_host: host, set_metadata: metadataChanges }),
  minProperties: 1,
  maxProperties: 1,
};

interface ActionBody {
  readonly add_host?: { readonly host: string };
  readonly remove_host?: { readonly host: string };
  readonly set_metadata?: { readonly metadata: Readonly<Record<string, string | null>> };
}

const policyOf = (operation: string): string => `os_compute_api:os-aggregates:${operation}`;

const action: Handler = async (request, cloud) => {
  const { add_host, remove_host, set_metadata } = request.body as ActionBody;
  const operation = add_host ? 'add_host' : remove_host ? 'remove_host' : 'set_metadata';
  cloud.policy.require(request.caller, policyOf(operation), {});
  const id = idOf(request);
  return answer(
    request,
    await cloud.db.write((session) => {
      if (add_host) return addAggregateHost(session, cloud, id, add_host.host);
      if (remove_host) return removeAggregateHost(session, cloud, id, remove_host.host);
      return setAggregateMetadata(session, cloud, id, set_metadata?.metadata ?? {});
    }),
  );
};

const cacheImages: Handler = () => {
  throw new ApiError(501, 'NotImplemented', 'Images are fetched by a host with its first server of them, not ahead.');
};
const imagesSchema = object({ cache: { type: 'array', minItems: 1, items: object({ id: uuid }, ['id']) } }, ['cache']);

export const aggregateRoutes: readonly Route[] = [
  { method: 'GET', path: '/os-aggregates', handler: index, policy: policyOf('index') },
  { method: 'POST', path: '/os-aggregates', handler: create, policy: policyOf('create'), schema: createSchema },
  { method: 'GET', path: '/os-aggregates/:id', handler: show, policy: policyOf('show') },
  { method: 'PUT', path: '/os-aggregates/:id', handler: update, policy: policyOf('update'), schema: updateSchema },
  { method: 'DELETE', path: '/os-aggregates/:id', handler: remove, policy: policyOf('delete') },
  {
    method: 'POST',
    path: '/os-aggregates/:id/action',
    handler: action,
    policy: policyOf('index'),
    schema: actionSchema,
  },
  {
    method: 'POST',
    path: '/os-aggregates/:id/images',
    handler: cacheImages,
    policy: 'compute:aggregates:images',
    schema: imagesSchema,
    since: 81,
  },
];
