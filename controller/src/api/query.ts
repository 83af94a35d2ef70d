// What the path and the query of a request say: repeated keys, booleans in all the ways clients write them, numbers with clear errors.
import { InvalidError } from '../errors';
import type { ApiRequest, Query } from './route';

/** A variable part of the path; empty when the route's path has none of that name. */
export function param({ params }: Pick<ApiRequest, 'params'>, name: string): string {
  return params[name] ?? '';
}

/** Parses the part after "?". A bare key has the value "". */
export function parseQuery(search: string): Query {
  const query = new Map<string, string[]>();
  for (const [key, value] of new URLSearchParams(search)) {
    const values = query.get(key);
    if (values) values.push(value);
    else query.set(key, [value]);
  }
  return query;
}

/** The last value of a key, as most services read it. */
export function queryValue(query: Query, key: string): string | undefined {
  return query.get(key)?.at(-1);
}

const TRUE = new Set(['1', 't', 'true', 'on', 'y', 'yes']);
const FALSE = new Set(['0', 'f', 'false', 'off', 'n', 'no']);

/** True, False, 1, yes, ... @throws InvalidError for anything else. Undefined when the key is absent. */
export function queryFlag(query: Query, key: string): boolean | undefined {
  const value = queryValue(query, key);
  if (value === undefined) return undefined;
  const word = value.toLowerCase();
  if (TRUE.has(word)) return true;
  if (FALSE.has(word)) return false;
  throw new InvalidError(`Invalid value '${value}' for '${key}': expected a boolean.`);
}

/** A whole number of at least 0. @throws InvalidError */
export function queryNumber(query: Query, key: string): number | undefined {
  const value = queryValue(query, key);
  if (value === undefined) return undefined;
  if (!/^\d{1,15}$/.test(value))
    throw new InvalidError(`Invalid value '${value}' for '${key}': expected a whole number of at least 0.`);
  return Number(value);
}
