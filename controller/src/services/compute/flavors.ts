// Flavors: who may see which, and the administrator's changes to them.
import { randomUUID } from 'node:crypto';
import type { Cloud } from '../../cloud';
import { In, list, type Condition, type ReadSession, type Sort, type WriteSession } from '../../db';
import { flavorAccess, flavorExtraSpecs, flavors, type Flavor } from '../../db/entities/compute';
import { ConflictError, InvalidError, NotFoundError } from '../../errors';
import type { Caller } from '../caller';

export interface FlavorFilters {
  /** True: public ones, false: private ones, null: all. Only administrators choose. */
  readonly isPublic: boolean | null;
  readonly minRam?: number;
  readonly minDisk?: number;
  readonly sort: Sort<typeof flavors>;
  readonly limit: number;
  readonly marker?: string;
}

export type ExtraSpecs = Readonly<Record<string, string>>;

const missing = (flavorid: string): NotFoundError =>
  new NotFoundError(`Flavor ${flavorid} could not be found.`, 'FlavorNotFound');

/** Ids of private flavors that a project was given. */
async function granted(session: ReadSession, projectId: string | null): Promise<string[]> {
  if (projectId === null) return [];
  return (await session.find(flavorAccess, { where: { project_id: projectId } })).map((row) => row.flavorid);
}

/** A page of flavors. @throws InvalidError for an unknown marker */
export async function listFlavors(session: ReadSession, caller: Caller, filters: FlavorFilters): Promise<Flavor[]> {
  const conditions: (Condition<typeof flavors> | Condition<typeof flavors>[])[] = [];
  if (!caller.isAdmin) conditions.push({ column: 'disabled', op: '=', value: false });
  if (filters.isPublic === true || !caller.isAdmin) {
    conditions.push([
      { column: 'is_public', op: '=', value: true },
      { column: 'flavorid', op: 'in', value: await granted(session, caller.projectId) },
    ]);
  } else if (filters.isPublic === false) conditions.push({ column: 'is_public', op: '=', value: false });
  if (filters.minRam !== undefined) conditions.push({ column: 'ram', op: '>=', value: filters.minRam });
  if (filters.minDisk !== undefined) conditions.push({ column: 'disk', op: '>=', value: filters.minDisk });
  const marker =
    filters.marker === undefined ? undefined : await session.findOne(flavors, { flavorid: filters.marker });
  if (filters.marker !== undefined && !marker) throw new InvalidError(`marker [${filters.marker}] not found`);
  if (filters.limit === 0) return [];
  return list(session, flavors, {
    conditions,
    sort: [filters.sort],
    limit: filters.limit,
    ...(marker ? { marker } : {}),
  });
}

/** A flavor that the caller may use; a transaction holds it against deletion. @throws NotFoundError */
export async function findFlavor(session: ReadSession, caller: Caller, flavorid: string): Promise<Flavor> {
  const flavor = await session.findOne(flavors, { flavorid }, 'shared');
  if (!flavor) throw missing(flavorid);
  if (flavor.is_public || caller.isAdmin) return flavor;
  if (!(await granted(session, caller.projectId)).includes(flavorid)) throw missing(flavorid);
  return flavor;
}

/** Extra specs of some flavors in one query, by flavor id. */
export async function extraSpecsOf(session: ReadSession, ids: readonly string[]): Promise<Map<string, ExtraSpecs>> {
  const found = new Map<string, Record<string, string>>(ids.map((id) => [id, {}]));
  if (ids.length === 0) return found;
  const rows = await session.find(flavorExtraSpecs, { where: { flavorid: In([...ids]) }, order: { key: 'ASC' } });
  for (const row of rows) {
    const specs = found.get(row.flavorid);
    if (specs) specs[row.key] = row.value;
  }
  return found;
}

export interface FlavorRequest {
  readonly name: string;
  /** Null: a new id is chosen. */
  readonly flavorid: string | null;
  readonly vcpus: number;
  readonly ram: number;
  readonly disk: number;
  readonly ephemeral: number;
  readonly swap: number;
  readonly rxtxFactor: number;
  readonly isPublic: boolean;
  readonly description: string | null;
}

/** Makes a flavor. @throws ConflictError when the name or the id is taken */
export async function createFlavor(session: WriteSession, cloud: Cloud, request: FlavorRequest): Promise<Flavor> {
  const flavorid = request.flavorid ?? randomUUID();
  if (await session.findOne(flavors, { flavorid }))
    throw new ConflictError(`Flavor with ID ${flavorid} already exists.`, 'FlavorIdExists');
  if (await session.findOne(flavors, { name: request.name }))
    throw new ConflictError(`Flavor with name ${request.name} already exists.`, 'FlavorExists');
  const now = cloud.clock.now();
  const row: Flavor = {
    flavorid,
    name: request.name,
    vcpus: request.vcpus,
    ram: request.ram,
    disk: request.disk,
    ephemeral: request.ephemeral,
    swap: request.swap,
    rxtx_factor: request.rxtxFactor,
    is_public: request.isPublic,
    disabled: false,
    description: request.description,
    created_at: now,
    updated_at: now,
  };
  await session.insert(flavors, row);
  return row;
}

/** Changes what can be changed of a flavor: its description. @throws NotFoundError */
export async function describeFlavor(
  session: WriteSession,
  cloud: Cloud,
  flavorid: string,
  description: string | null,
): Promise<Flavor> {
  const flavor = await session.findOne(flavors, { flavorid });
  if (!flavor) throw missing(flavorid);
  const change = { description, updated_at: cloud.clock.now() };
  await session.update(flavors, { flavorid }, change);
  return { ...flavor, ...change };
}

/** Removes a flavor with its specs and access. Servers keep their own copy of it. @throws NotFoundError */
export async function deleteFlavor(session: WriteSession, flavorid: string): Promise<void> {
  if ((await session.delete(flavors, { flavorid })) === 0) throw missing(flavorid);
  await session.delete(flavorExtraSpecs, { flavorid });
  await session.delete(flavorAccess, { flavorid });
}

/** Sets specs; others stay. */
export async function setExtraSpecs(session: WriteSession, flavorid: string, specs: ExtraSpecs): Promise<void> {
  for (const [key, value] of Object.entries(specs)) {
    if ((await session.update(flavorExtraSpecs, { flavorid, key }, { value })) === 0)
      await session.insert(flavorExtraSpecs, { flavorid, key, value });
  }
}

const noSpec = (flavorid: string, key: string): NotFoundError =>
  new NotFoundError(`Flavor ${flavorid} has no extra specs with key ${key}.`, 'FlavorExtraSpecsNotFound');

/** One spec's value. @throws NotFoundError */
export async function findExtraSpec(session: ReadSession, flavorid: string, key: string): Promise<string> {
  const row = await session.findOne(flavorExtraSpecs, { flavorid, key });
  if (!row) throw noSpec(flavorid, key);
  return row.value;
}

/** @throws NotFoundError when there is no such spec */
export async function deleteExtraSpec(session: WriteSession, flavorid: string, key: string): Promise<void> {
  if ((await session.delete(flavorExtraSpecs, { flavorid, key })) === 0) throw noSpec(flavorid, key);
}

/** Projects that may use a private flavor. */
export async function listAccess(session: ReadSession, flavorid: string): Promise<string[]> {
  const rows = await session.find(flavorAccess, { where: { flavorid }, order: { project_id: 'ASC' } });
  return rows.map((row) => row.project_id);
}

/** @throws ConflictError when the project has it already */
export async function addAccess(session: WriteSession, flavorid: string, projectId: string): Promise<void> {
  if (await session.findOne(flavorAccess, { flavorid, project_id: projectId })) {
    throw new ConflictError(
      `Flavor access already exists for flavor ${flavorid} and project ${projectId} combination.`,
      'FlavorAccessExists',
    );
  }
  await session.insert(flavorAccess, { flavorid, project_id: projectId });
}

/** @throws NotFoundError when the project does not have it */
export async function removeAccess(session: WriteSession, flavorid: string, projectId: string): Promise<void> {
  if ((await session.delete(flavorAccess, { flavorid, project_id: projectId })) === 0) {
    throw new NotFoundError(
      `Flavor access not found for ${flavorid} / ${projectId} combination.`,
      'FlavorAccessNotFound',
    );
  }
}
