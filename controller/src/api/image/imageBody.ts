// Reads the body of POST /images: base attributes, tags, and every other string as a custom property.
import { ForbiddenError, InvalidError } from '../../errors';
import type { NewImage } from '../../services/image/create';
import { checkBody } from '../body';
import { imageSchema, MAX_INTEGER } from './imageSchema';

const LINKS = ['direct_url', 'self', 'file', 'schema', 'stores'];
const READ_ONLY = [
  'created_at',
  'updated_at',
  'status',
  'checksum',
  'size',
  'virtual_size',
  'os_hash_algo',
  'os_hash_value',
];
const RESERVED = ['location', 'locations', 'deleted', 'deleted_at'];
const RESERVED_PREFIX = 'os_glance';
const BASE = new Set([
  'id',
  'name',
  'visibility',
  'os_hidden',
  'protected',
  'owner',
  'container_format',
  'disk_format',
  'min_disk',
  'min_ram',
  'tags',
]);

/** Attributes that only the service writes. */
function isReadOnly(name: string): boolean {
  return LINKS.includes(name) || READ_ONLY.includes(name) || name === 'id';
}

/** Names that neither callers nor properties may use. */
function isReserved(name: string): boolean {
  return RESERVED.includes(name) || name.startsWith(RESERVED_PREFIX);
}

/** @throws InvalidError (400) for numbers the API does not take. */
export function requireIntegers(body: Readonly<Record<string, unknown>>): void {
  for (const name of ['min_disk', 'min_ram']) {
    const value = body[name];
    if (typeof value !== 'number') continue;
    if (value < 0)
      throw new InvalidError(`Invalid value '${value}' for parameter '${name}': Cannot be a negative value`);
    if (value > MAX_INTEGER)
      throw new InvalidError(`Invalid value '${value}' for parameter '${name}': at most ${MAX_INTEGER} is allowed.`);
  }
}

const readOnlyError = (name: string): ForbiddenError => new ForbiddenError(`Attribute '${name}' is read-only.`);
const reservedError = (name: string): ForbiddenError => new ForbiddenError(`Attribute '${name}' is reserved.`);

/** @throws ForbiddenError (read-only or reserved names), InvalidError (wrong types) */
export function parseNewImage(body: unknown): NewImage {
  if (body === undefined) throw new InvalidError('Body expected in request.');
  if (typeof body !== 'object' || body === null || Array.isArray(body)) {
    throw new InvalidError('The request body must be a JSON object.');
  }
  const given = body as Record<string, unknown>;
  for (const name of LINKS) if (name in given) throw readOnlyError(name);
  checkBody(imageSchema, given);
  for (const name of READ_ONLY) if (name in given) throw readOnlyError(name);
  requireIntegers(given);
  const properties: Record<string, string> = {};
  for (const [name, value] of Object.entries(given)) {
    if (BASE.has(name)) continue;
    if (isReserved(name)) throw reservedError(name);
    if (name.length > 255) throw new InvalidError('Custom property should not be greater than 255 characters.');
    properties[name] = String(value);
  }
  const base = Object.fromEntries(Object.entries(given).filter(([name]) => BASE.has(name)));
  return { ...(base as Omit<NewImage, 'properties'>), properties };
}

/** @throws ForbiddenError when a change names what callers may not change. */
export function requireChangeable(name: string): void {
  if (isReadOnly(name)) throw readOnlyError(name);
  if (name === 'locations') {
    throw new ForbiddenError("It's not allowed to change locations if locations are invisible.");
  }
  if (isReserved(name)) throw reservedError(name);
}
