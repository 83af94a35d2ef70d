// Handlers of /resource_providers: every host is a provider, and nobody but the host makes one.
import { ConflictError, InvalidError } from '../../errors';
import { forgetHost } from '../../services/compute/computeHosts';
import { fits } from '../../services/placement/candidates';
import { refused } from '../../services/placement/errors';
import { findProvider, listProviders, type Provider } from '../../services/placement/providers';
import { param, queryValue } from '../query';
import type { ApiRequest, Handler } from '../route';
import { answer, PREFIX } from './answer';
import { groupOf, requireKeys, requireNames, uuidOf } from './query';

function linksOf(request: ApiRequest, id: string) {
  const { minor } = request.microversion;
  const self = `${PREFIX}/resource_providers/${id}`;
  const parts = [
    'inventories',
    'usages',
    ...(minor >= 1 ? ['aggregates'] : []),
    ...(minor >= 6 ? ['traits'] : []),
    ...(minor >= 11 ? ['allocations'] : []),
  ];
  return [{ rel: 'self', href: self }, ...parts.map((rel) => ({ rel, href: `${self}/${rel}` }))];
}

const providerView = (request: ApiRequest, { host }: Provider) => ({
  uuid: host.id,
  name: host.name,
  generation: host.generation,
  links: linksOf(request, host.id),
  ...(request.microversion.minor >= 14 ? { parent_provider_uuid: null, root_provider_uuid: host.id } : {}),
});

/** The microversions at which filters came. */
const FILTERS: Readonly<Record<string, number>> = {
  name: 0,
  uuid: 0,
  member_of: 3,
  resources: 4,
  in_tree: 14,
  required: 18,
};

export const listHandler: Handler = (request, cloud) => {
  const { minor } = request.microversion;
  requireKeys(request, (key) => Object.hasOwn(FILTERS, key) && minor >= (FILTERS[key] ?? 0));
  const [uuid, name, group] = [uuidOf(request, 'uuid'), queryValue(request.query, 'name'), groupOf(request)];
  return cloud.db.read(async (session) => {
    await requireNames(session, [group]);
    const found = (await listProviders(session)).filter(
      (provider) =>
        (uuid === undefined || provider.host.id === uuid) &&
        (name === undefined || provider.host.name === name) &&
        fits(provider, group),
    );
    const modified = Math.max(0, ...found.map(({ host }) => host.updated_at)) || null;
    return answer(request, cloud, {
      body: { resource_providers: found.map((provider) => providerView(request, provider)) },
      modified,
    });
  });
};

export const show: Handler = (request, cloud) =>
  cloud.db.read(async (session) => {
    const provider = await findProvider(session, param(request, 'uuid'));
    return answer(request, cloud, { body: providerView(request, provider), modified: provider.host.updated_at });
  });

const parent = { anyOf: [{ type: 'string', format: 'uuid' }, { type: 'null' }] };
const name = { type: 'string', minLength: 1, maxLength: 200 };
const body = (properties: object): object => ({
  type: 'object',
  properties: { name, ...properties },
  required: ['name'],
  additionalProperties: false,
});
const uuid = { type: 'string', format: 'uuid' };
const [create, createInTree] = [body({ uuid }), body({ uuid, parent_provider_uuid: parent })];
const [update, updateInTree] = [body({}), body({ parent_provider_uuid: parent })];

export const createSchema = ({ minor }: { readonly minor: number }): object => (minor >= 14 ? createInTree : create);
export const updateSchema = ({ minor }: { readonly minor: number }): object => (minor >= 14 ? updateInTree : update);

export const createHandler: Handler = (request) => {
  const { name: wanted } = request.body as { name: string };
  throw refused(
    `create resource provider "${wanted}"`,
    'every host of the cloud is one, from when its agents register. There are no others.',
  );
};

/** A provider is the host, so its name is the host's; a request that changes nothing is answered as if it had. */
export const updateHandler: Handler = (request, cloud) =>
  cloud.db.read(async (session) => {
    const provider = await findProvider(session, param(request, 'uuid'));
    const wanted = request.body as { name: string; parent_provider_uuid?: string | null };
    if (wanted.name !== provider.host.name)
      throw refused(
        `rename resource provider ${provider.host.name}`,
        'it is the host of that name, which its agents registered.',
      );
    if ((wanted.parent_provider_uuid ?? null) !== null)
      throw new InvalidError(`Unable to save resource provider ${provider.host.id}: hosts have no parents.`);
    return answer(request, cloud, { body: providerView(request, provider), modified: provider.host.updated_at });
  });

/** Forgets a host that has nothing left. */
export const deleteHandler: Handler = async (request, cloud) => {
  await cloud.db.write(async (session) => {
    const { host } = await findProvider(session, param(request, 'uuid'));
    try {
      await forgetHost(session, host.name);
    } catch (error) {
      if (!(error instanceof ConflictError)) throw error;
      throw new ConflictError(
        `Unable to delete resource provider ${host.id}: ${error.message}`,
        'placement.resource_provider.inuse',
      );
    }
  });
  return { status: 204 };
};
