// Values of special filters.
import { badRequest } from '../../services/network/errors';
import { flag, Reason } from './checks';

/** A boolean in any of the usual spellings. @throws InvalidError HTTPBadRequest */
export function flagOf(key: string, value: string): boolean {
  try {
    return flag(value);
  } catch (error) {
    if (error instanceof Reason) throw badRequest(`Invalid input for ${key}. Reason: ${error.message}.`);
    throw error;
  }
}

/** "ip_address=10.0.0.5" as a pair. @throws InvalidError HTTPBadRequest */
export function pairOf(key: string, value: string): readonly [string, string] {
  const at = value.indexOf('=');
  if (at < 1) throw badRequest(`Invalid input for ${key}. Reason: '${value}' is not of the form <key>=<value>.`);
  return [value.slice(0, at), value.slice(at + 1)];
}
