// Traits: the standard names, those that administrators make, and which of them a host has.
import type { Cloud } from '../../cloud';
import { In, type ReadSession, type WriteSession } from '../../db';
import { customTraits } from '../../db/entities/placement';
import { hosts, type Host } from '../../db/entities/tasks';
import { ConflictError, InvalidError, NotFoundError } from '../../errors';
import { foundTraits } from '../hosts';
import { allTraitsOf, DISABLED_TRAIT, holdHost } from './providers';
import { standardTraits } from './standardNames';

/** A trait's name, and since when it is known; null: always. */
export interface Trait {
  readonly name: string;
  readonly createdAt: number | null;
}

/** Every trait by name. */
export async function listTraits(session: ReadSession): Promise<Trait[]> {
  const custom = await session.find(customTraits);
  const all = [
    ...[...standardTraits].map((name) => ({ name, createdAt: null })),
    ...custom.map(({ name, created_at }) => ({ name, createdAt: created_at })),
  ];
  return all.sort((one, other) => (one.name < other.name ? -1 : 1));
}

/** Names of the traits that at least one host has. */
export async function traitsInUse(session: ReadSession): Promise<Set<string>> {
  return new Set((await session.find(hosts)).flatMap(allTraitsOf));
}

const noTrait = (name: string): NotFoundError => new NotFoundError(`No such trait(s): ${name}.`);

/** @throws NotFoundError */
export async function findTrait(session: ReadSession, name: string): Promise<Trait> {
  if (standardTraits.has(name)) return { name, createdAt: null };
  const custom = await session.findOne(customTraits, { name });
  if (!custom) throw noTrait(name);
  return { name, createdAt: custom.created_at };
}

/** Those of some names that are no trait. Traits that do exist are held until the transaction ends. */
export async function unknownTraits(session: ReadSession, names: readonly string[]): Promise<string[]> {
  const others = [...new Set(names)].filter((name) => !standardTraits.has(name));
  if (others.length === 0) return [];
  const rows = await session.find(customTraits, { where: { name: In(others) }, lock: 'shared' });
  const known = new Set(rows.map(({ name }) => name));
  return others.filter((name) => !known.has(name));
}

const CUSTOM_NAME = /^CUSTOM_[A-Z0-9_]+$/;

/** Makes a trait, unless it is there. @returns whether it was made @throws InvalidError */
export async function ensureTrait(
  session: WriteSession,
  cloud: Cloud,
  name: string,
): Promise<{ createdAt: number; made: boolean }> {
  if (!CUSTOM_NAME.test(name) || name.length > 255)
    throw new InvalidError(
      'The trait is invalid: its name must begin with "CUSTOM_", have only the characters "A"-"Z", "0"-"9" and "_", and at most 255 of them.',
    );
  const known = await session.findOne(customTraits, { name });
  if (known) return { createdAt: known.created_at, made: false };
  const createdAt = cloud.clock.now();
  await session.insert(customTraits, { name, created_at: createdAt });
  return { createdAt, made: true };
}

/** @throws NotFoundError; InvalidError for a standard trait; ConflictError while a host has it */
export async function deleteTrait(session: WriteSession, name: string): Promise<void> {
  if (standardTraits.has(name)) throw new InvalidError(`Cannot delete standard trait ${name}.`);
  if (!(await session.findOne(customTraits, { name }, 'exclusive'))) throw noTrait(name);
  const holder = (await session.find(hosts)).find(({ traits }) => traits.includes(name));
  if (holder) throw new ConflictError(`The trait ${name} is in use: the host ${holder.name} has it.`);
  await session.delete(customTraits, { name });
}

/** Which of the wanted traits the administrator has to give the host himself. @throws InvalidError */
function ownTraits(host: Host, wanted: readonly string[]): string[] {
  if (host.enabled && wanted.includes(DISABLED_TRAIT))
    throw new InvalidError(`${DISABLED_TRAIT} follows from the host: disable its compute service instead.`);
  const given = new Set([...foundTraits(host), DISABLED_TRAIT]);
  return [...new Set(wanted)].filter((name) => !given.has(name)).sort();
}

/**
 * Replaces the traits that the administrator gave a host. Those that its agent found stay, whether they are named or not.
 * @param generation what the caller knows of the host; undefined: whatever it is
 * @returns the host as it is now
 * @throws NotFoundError, InvalidError for an unknown trait, ConflictError when the host has changed meanwhile
 */
export async function setHostTraits(
  session: WriteSession,
  cloud: Cloud,
  id: string,
  generation: number | undefined,
  wanted: readonly string[],
): Promise<Host> {
  const unknown = await unknownTraits(session, wanted);
  const host = await holdHost(session, id, generation);
  if (unknown.length > 0) throw new InvalidError(`No such trait ${unknown.join(', ')}.`);
  const change = {
    traits: ownTraits(host, wanted),
    generation: host.generation + 1,
    updated_at: cloud.clock.now(),
  };
  await session.update(hosts, { id }, change);
  return { ...host, ...change };
}
