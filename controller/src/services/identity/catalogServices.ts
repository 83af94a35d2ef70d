// Services of the catalog.
import type { Cloud } from '../../cloud';
import { catalogEndpoints, catalogServices, type CatalogService } from '../../db/entities/identity';

export function findService(cloud: Cloud, id: string): Promise<CatalogService | undefined> {
  return cloud.db.read((session) => session.findOne(catalogServices, { id }));
}

export async function createService(cloud: Cloud, service: CatalogService): Promise<void> {
  await cloud.db.write(async (session) => {
    await session.insert(catalogServices, service);
    await cloud.identity.feed.record(session, {});
  });
}

export async function updateService(
  cloud: Cloud,
  before: CatalogService,
  change: Partial<CatalogService>,
): Promise<CatalogService> {
  await cloud.db.write(async (session) => {
    await session.update(catalogServices, { id: before.id }, change);
    await cloud.identity.feed.record(session, {});
  });
  return { ...before, ...change };
}

/** Deletes a service with its endpoints. */
export async function deleteService(cloud: Cloud, id: string): Promise<void> {
  await cloud.db.write(async (session) => {
    // First: whoever makes an endpoint holds the service.
    await session.delete(catalogServices, { id });
    await session.delete(catalogEndpoints, { service_id: id });
    await cloud.identity.feed.record(session, {});
  });
}
