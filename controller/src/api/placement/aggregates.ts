// Handlers of a provider's aggregates: the aggregates of the compute API that its host is in.
import type { Cloud } from '../../cloud';
import { findProvider, type Provider } from '../../services/placement/providers';
import { setHostAggregates } from '../../services/placement/setAggregates';
import { param } from '../query';
import type { ApiRequest, ApiResponse, Handler } from '../route';
import { answer } from './answer';

const view = (request: ApiRequest, cloud: Cloud, { host, aggregates }: Provider): ApiResponse =>
  answer(request, cloud, {
    body: {
      aggregates,
      ...(request.microversion.minor >= 19 ? { resource_provider_generation: host.generation } : {}),
    },
  });

export const listHandler: Handler = (request, cloud) =>
  cloud.db.read(async (session) => view(request, cloud, await findProvider(session, param(request, 'uuid'))));

const uuids = { type: 'array', items: { type: 'string', format: 'uuid' }, uniqueItems: true };
const withGeneration = {
  type: 'object',
  properties: { aggregates: uuids, resource_provider_generation: { type: 'integer' } },
  required: ['aggregates', 'resource_provider_generation'],
  additionalProperties: false,
};
export const setSchema = ({ minor }: { readonly minor: number }): object => (minor >= 19 ? withGeneration : uuids);

export const setHandler: Handler = (request, cloud) => {
  const body = request.body as
    readonly string[] | { readonly aggregates: readonly string[]; readonly resource_provider_generation: number };
  const wanted = 'aggregates' in body ? body.aggregates : body;
  const generation = 'aggregates' in body ? body.resource_provider_generation : undefined;
  return cloud.db.write(async (session) => {
    const id = param(request, 'uuid');
    await setHostAggregates(session, cloud, id, generation, wanted);
    return view(request, cloud, await findProvider(session, id));
  });
};
