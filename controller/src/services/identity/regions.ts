// Regions of the catalog and their tree.
import type { Cloud } from '../../cloud';
import { In, type ReadSession } from '../../db';
import { catalogEndpoints, regions, type Region } from '../../db/entities/identity';
import { ForbiddenError, InvalidError, NotFoundError } from '../../errors';
import { unique } from './conflicts';

export function findRegion(cloud: Cloud, id: string): Promise<Region | undefined> {
  return cloud.db.read((session) => session.findOne(regions, { id }));
}

/** @throws NotFoundError for an unknown parent, InvalidError when the tree would become a ring */
async function requireParent(session: ReadSession, id: string, parentId: string | null | undefined): Promise<void> {
  let next = parentId ?? null;
  while (next !== null) {
    if (next === id) throw new InvalidError(`Region ${id} would be its own parent.`, 'CircularRegionHierarchy');
    const parent: Region | undefined = await session.findOne(regions, { id: next });
    if (!parent) throw new NotFoundError(`Could not find region: ${next}.`);
    next = parent.parent_region_id;
  }
}

/** @throws ConflictError when the id is taken */
export async function createRegion(cloud: Cloud, region: Region): Promise<void> {
  await unique(`Region ${region.id} exists already.`, () =>
    cloud.db.write(async (session) => {
      await requireParent(session, region.id, region.parent_region_id);
      await session.insert(regions, region);
    }),
  );
}

export async function updateRegion(cloud: Cloud, before: Region, change: Partial<Region>): Promise<Region> {
  await cloud.db.write(async (session) => {
    await requireParent(session, before.id, change.parent_region_id);
    await session.update(regions, { id: before.id }, change);
  });
  return { ...before, ...change };
}

async function withChildren(session: ReadSession, id: string): Promise<string[]> {
  const found = [id];
  let level = [id];
  while (level.length > 0) {
    level = (await session.find(regions, { where: { parent_region_id: In(level) } })).map((row) => row.id);
    found.push(...level);
  }
  return found;
}

/** Deletes a region and those below it. @throws ForbiddenError while endpoints are in one of them */
export async function deleteRegion(cloud: Cloud, id: string): Promise<void> {
  await cloud.db.write(async (session) => {
    const ids = await withChildren(session, id);
    await session.find(regions, { where: { id: In(ids) }, lock: 'exclusive' });
    if ((await session.count(catalogEndpoints, { region_id: In(ids) })) > 0)
      throw new ForbiddenError(`Region ${id} cannot be deleted: endpoints are in it or in a region below it.`);
    await session.delete(regions, { id: In(ids) });
  });
}
