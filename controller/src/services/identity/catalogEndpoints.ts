// Endpoints of the catalog's services.
import type { Cloud } from '../../cloud';
import type { WriteSession } from '../../db';
import { catalogEndpoints, catalogServices, regions, type CatalogEndpoint } from '../../db/entities/identity';
import { InvalidError } from '../../errors';

export function findEndpoint(cloud: Cloud, id: string): Promise<CatalogEndpoint | undefined> {
  return cloud.db.read((session) => session.findOne(catalogEndpoints, { id }));
}

/** What may stand in the braces of a URL. */
const KNOWN = new Set(['project_id', 'tenant_id', 'user_id']);

function requireUrl(url: string | undefined): void {
  for (const [, key] of (url ?? '').matchAll(/[$%]\(([^)]*)\)/g)) {
    if (key === undefined || !KNOWN.has(key))
      throw new InvalidError(
        `The endpoint URL has $(${key ?? ''})s; known are ${[...KNOWN].join(', ')}.`,
        'ValidationError',
      );
  }
}

/** @throws InvalidError for a service or region that does not exist */
async function requireReferences(
  session: WriteSession,
  endpoint: Partial<CatalogEndpoint>,
  makeRegion: boolean,
): Promise<void> {
  const { service_id, region_id } = endpoint;
  if (service_id !== undefined && !(await session.findOne(catalogServices, { id: service_id }, 'shared')))
    throw new InvalidError(`Could not find service: ${service_id}.`, 'ValidationError');
  if (typeof region_id !== 'string' || (await session.findOne(regions, { id: region_id }, 'shared'))) return;
  if (!makeRegion) throw new InvalidError(`Could not find region: ${region_id}.`, 'ValidationError');
  await session.insert(regions, { id: region_id, parent_region_id: null, description: '', extra: {} });
}

/** @param makeRegion whether a region that does not exist is made */
export async function createEndpoint(cloud: Cloud, endpoint: CatalogEndpoint, makeRegion: boolean): Promise<void> {
  requireUrl(endpoint.url);
  await cloud.db.write(async (session) => {
    await requireReferences(session, endpoint, makeRegion);
    await session.insert(catalogEndpoints, endpoint);
    await cloud.identity.feed.record(session, {});
  });
}

export async function updateEndpoint(
  cloud: Cloud,
  before: CatalogEndpoint,
  change: Partial<CatalogEndpoint>,
  makeRegion: boolean,
): Promise<CatalogEndpoint> {
  requireUrl(change.url);
  await cloud.db.write(async (session) => {
    await requireReferences(session, change, makeRegion);
    await session.update(catalogEndpoints, { id: before.id }, change);
    await cloud.identity.feed.record(session, {});
  });
  return { ...before, ...change };
}

export async function deleteEndpoint(cloud: Cloud, id: string): Promise<void> {
  await cloud.db.write(async (session) => {
    await session.delete(catalogEndpoints, { id });
    await cloud.identity.feed.record(session, {});
  });
}
