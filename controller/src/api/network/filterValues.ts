// Values of special filters.
import { messageOf } from '@cumulet/common';
import { badRequest } from '../../services/network/errors';
import { flag } from './checks';

/** A boolean in any of the usual spellings. @throws InvalidError HTTPBadRequest */
export function flagOf(key: string, value: string): boolean {
  try {
    return flag(value);
  } catch (error) {
    throw badRequest(`Invalid input for ${key}. Reason: ${messageOf(error)}.`);
  }
}

/** "ip_address=10.0.0.5" as a pair. @throws InvalidError HTTPBadRequest */
export function pairOf(key: string, value: string): readonly [string, string] {
  const at = value.indexOf('=');
  if (at < 1) throw badRequest(`Invalid input for ${key}. Reason: '${value}' is not of the form <key>=<value>.`);
  return [value.slice(0, at), value.slice(at + 1)];
}
