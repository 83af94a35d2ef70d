// Handlers of traits, and of the traits of a provider.
import type { Cloud } from '../../cloud';
import { InvalidError } from '../../errors';
import { allTraitsOf, findProvider } from '../../services/placement/providers';
import {
  deleteTrait,
  ensureTrait,
  findTrait,
  listTraits,
  setHostTraits,
  traitsInUse,
  type Trait,
} from '../../services/placement/traits';
import type { Host } from '../../db/entities/tasks';
import { param, queryValue } from '../query';
import type { ApiRequest, ApiResponse, Handler } from '../route';
import { answer } from './answer';
import { requireKeys } from './query';

/** Which traits a list is narrowed to by name. @throws InvalidError */
function nameFilter(text: string | undefined): (name: string) => boolean {
  if (text === undefined) return () => true;
  const [, operator, value = ''] = /^([^:]*):(.*)$/s.exec(text) ?? [];
  if (operator === 'startswith') return (name) => name.startsWith(value);
  if (operator === 'in') {
    const wanted = new Set(value.split(','));
    return (name) => wanted.has(name);
  }
  throw new InvalidError(
    `Badly formatted name parameter. Expected name=in:NAME,NAME or name=startswith:PREFIX, got: "${text}".`,
  );
}

/** @throws InvalidError for anything but true and false */
function associated(request: ApiRequest): boolean | undefined {
  const value = queryValue(request.query, 'associated')?.toLowerCase();
  if (value === undefined) return undefined;
  if (value !== 'true' && value !== 'false')
    throw new InvalidError('The query parameter "associated" only accepts "true" or "false".');
  return value === 'true';
}

export const listHandler: Handler = (request, cloud) => {
  requireKeys(request, (key) => ['name', 'associated'].includes(key));
  const [isNamed, wanted] = [nameFilter(queryValue(request.query, 'name')), associated(request)];
  return cloud.db.read(async (session) => {
    const used = wanted === undefined ? undefined : await traitsInUse(session);
    const found = (await listTraits(session)).filter(
      ({ name }) => isNamed(name) && (used === undefined || used.has(name) === wanted),
    );
    return answer(request, cloud, { body: { traits: found.map(({ name }) => name) }, modified: newest(found) });
  });
};

/** When the newest of some traits was made; null when all were there always. */
const newest = (traits: readonly Trait[]): number | null =>
  Math.max(0, ...traits.map(({ createdAt }) => createdAt ?? 0)) || null;

export const showHandler: Handler = async (request, cloud) => {
  const trait = await cloud.db.read((session) => findTrait(session, param(request, 'name')));
  return answer(request, cloud, { status: 204, modified: trait.createdAt });
};

export const putHandler: Handler = async (request, cloud) => {
  const name = param(request, 'name');
  const { createdAt, made } = await cloud.db.write((session) => ensureTrait(session, cloud, name));
  return answer(request, cloud, { status: made ? 201 : 204, modified: createdAt, location: `/traits/${name}` });
};

export const deleteHandler: Handler = async (request, cloud) => {
  await cloud.db.write((session) => deleteTrait(session, param(request, 'name')));
  return { status: 204 };
};

const ofHost = (request: ApiRequest, cloud: Cloud, host: Host): ApiResponse =>
  answer(request, cloud, {
    body: { traits: allTraitsOf(host), resource_provider_generation: host.generation },
    modified: host.updated_at,
  });

export const listOfProvider: Handler = (request, cloud) =>
  cloud.db.read(async (session) => ofHost(request, cloud, (await findProvider(session, param(request, 'uuid'))).host));

export const setSchema = {
  type: 'object',
  properties: {
    traits: { type: 'array', items: { type: 'string', minLength: 1, maxLength: 255 } },
    resource_provider_generation: { type: 'integer' },
  },
  required: ['traits', 'resource_provider_generation'],
  additionalProperties: false,
};

export const setOfProvider: Handler = async (request, cloud) => {
  const { traits, resource_provider_generation: generation } = request.body as {
    traits: string[];
    resource_provider_generation: number;
  };
  const host = await cloud.db.write((session) =>
    setHostTraits(session, cloud, param(request, 'uuid'), generation, traits),
  );
  return ofHost(request, cloud, host);
};

export const deleteOfProvider: Handler = async (request, cloud) => {
  await cloud.db.write((session) => setHostTraits(session, cloud, param(request, 'uuid'), undefined, []));
  return { status: 204 };
};
