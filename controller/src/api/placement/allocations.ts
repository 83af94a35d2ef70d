// Handlers of allocations: what servers claim. They are shown only: creating and deleting servers is what changes them.
import { isUuid } from '@cumulet/common';
import { InvalidError, NotFoundError } from '../../errors';
import { claimsOfConsumer, claimsOfHost, resourcesOf } from '../../services/placement/consumers';
import { refused } from '../../services/placement/errors';
import { findProvider } from '../../services/placement/providers';
import { param } from '../query';
import type { Handler } from '../route';
import { answer } from './answer';

/** When the newest of some claims was made; null without any. */
const newest = (claims: readonly { readonly claim: { readonly created_at: number } }[]): number | null =>
  claims.length === 0 ? null : Math.max(...claims.map(({ claim }) => claim.created_at));

export const ofProvider: Handler = (request, cloud) =>
  cloud.db.read(async (session) => {
    const { host } = await findProvider(session, param(request, 'uuid'));
    const claims = await claimsOfHost(session, host.name);
    const allocations = claims.map(({ claim, consumer }) => [
      claim.server_id,
      {
        resources: resourcesOf(claim),
        ...(request.microversion.minor >= 28 ? { consumer_generation: consumer?.generation ?? null } : {}),
      },
    ]);
    const body = {
      allocations: Object.fromEntries(allocations) as object,
      resource_provider_generation: host.generation,
    };
    return answer(request, cloud, { body, modified: newest(claims) });
  });

export const ofConsumer: Handler = (request, cloud) =>
  cloud.db.read(async (session) => {
    const { minor } = request.microversion;
    const { consumer, claims } = await claimsOfConsumer(session, param(request, 'consumer'));
    const allocations = claims.map(({ claim, host }) => [
      host.id,
      { resources: resourcesOf(claim), generation: host.generation },
    ]);
    const owner = consumer !== undefined && claims.length > 0 ? consumer : undefined;
    const body = {
      allocations: Object.fromEntries(allocations) as object,
      ...(owner && minor >= 12 ? { project_id: owner.project_id, user_id: owner.user_id } : {}),
      ...(owner && minor >= 28 ? { consumer_generation: owner.generation } : {}),
      ...(owner && minor >= 38 ? { consumer_type: owner.type } : {}),
    };
    return answer(request, cloud, { body, modified: newest(claims) });
  });

const WHY = 'allocations are made with servers and end with them. Create, resize, move or delete the server instead.';

export const setSchema = { type: 'object', required: ['allocations'] };
export const setHandler: Handler = (request) => {
  const consumer = param(request, 'consumer');
  if (!isUuid(consumer)) throw new InvalidError(`Malformed consumer_uuid: ${consumer}.`);
  throw refused(`set the allocations of ${consumer}`, WHY);
};

export const manageSchema = { type: 'object', minProperties: 1 };
export const manageHandler: Handler = () => {
  throw refused('set allocations', WHY);
};

export const deleteHandler: Handler = async (request, cloud) => {
  const id = param(request, 'consumer');
  const { claims } = await cloud.db.read((session) => claimsOfConsumer(session, id));
  if (claims.length === 0) throw new NotFoundError(`No allocations for consumer '${id}'.`);
  throw refused(`delete the allocations of ${id}`, WHY);
};

export const reshapeSchema = { type: 'object', required: ['inventories', 'allocations'] };
export const reshapeHandler: Handler = () => {
  throw refused('reshape providers', 'every host is one provider without children.');
};
