// Resource classes: the standard names and those that administrators make. Hosts have inventories of three of them only.
import type { Cloud } from '../../cloud';
import type { ReadSession, WriteSession } from '../../db';
import { customResourceClasses } from '../../db/entities/placement';
import { ConflictError, InvalidError, NotFoundError } from '../../errors';
import { standardResourceClasses } from './standardNames';

/** A class and since when it is known; null: always. */
export interface ResourceClass {
  readonly name: string;
  readonly createdAt: number | null;
}

export async function listResourceClasses(session: ReadSession): Promise<ResourceClass[]> {
  const custom = await session.find(customResourceClasses, { order: { name: 'ASC' } });
  return [
    ...[...standardResourceClasses].map((name) => ({ name, createdAt: null })),
    ...custom.map(({ name, created_at }) => ({ name, createdAt: created_at })),
  ];
}

const noClass = (name: string): NotFoundError => new NotFoundError(`No such resource class ${name}.`);

/** @throws NotFoundError */
export async function findResourceClass(session: ReadSession, name: string): Promise<ResourceClass> {
  const found = (await listResourceClasses(session)).find((one) => one.name === name);
  if (!found) throw noClass(name);
  return found;
}

/** Makes a class, unless it is there. @returns whether it was made */
export async function ensureResourceClass(session: WriteSession, cloud: Cloud, name: string): Promise<boolean> {
  if (await session.findOne(customResourceClasses, { name })) return false;
  await session.insert(customResourceClasses, { name, created_at: cloud.clock.now() });
  return true;
}

/** @throws ConflictError when the name is taken */
export async function createResourceClass(session: WriteSession, cloud: Cloud, name: string): Promise<void> {
  if (!(await ensureResourceClass(session, cloud, name)))
    throw new ConflictError(`Conflicting resource class already exists: ${name}.`);
}

function requireCustom(name: string, verb: string): void {
  if (standardResourceClasses.has(name)) throw new InvalidError(`Cannot ${verb} standard resource class ${name}.`);
}

/** @throws NotFoundError, InvalidError for a standard class, ConflictError when the new name is taken */
export async function renameResourceClass(session: WriteSession, name: string, newName: string): Promise<void> {
  requireCustom(name, 'update');
  if (newName !== name && (await session.findOne(customResourceClasses, { name: newName })))
    throw new ConflictError(`Resource class already exists: ${newName}.`);
  if ((await session.update(customResourceClasses, { name }, { name: newName })) === 0) throw noClass(name);
}

/** @throws NotFoundError, InvalidError for a standard class */
export async function deleteResourceClass(session: WriteSession, name: string): Promise<void> {
  requireCustom(name, 'delete');
  if ((await session.delete(customResourceClasses, { name })) === 0) throw noClass(name);
}
