// Lists of what has no table of its own: few bodies, filtered in memory.
import { badRequest } from '../../services/network/errors';
import type { Query } from '../route';
import { shown } from './checks';
import { flagOf } from './filterValues';
import { selectFields } from './listing';

type Body = Record<string, unknown>;

function fits(body: Body, key: string, values: readonly string[]): boolean {
  const value = body[key];
  if (typeof value === 'boolean') return values.some((one) => flagOf(key, one) === value);
  // What is not set fits an empty value.
  return values.includes(shown(value ?? ''));
}

/** The bodies that fit all filters, with the fields that were asked for. @throws InvalidError for an unknown filter */
export function filterBodies(query: Query, bodies: readonly Body[], filters: readonly string[]): Body[] {
  const asked = [...query].filter(([key]) => key !== 'fields');
  const invalid = asked.map(([key]) => key).filter((key) => !filters.includes(key));
  if (invalid.length > 0) throw badRequest(`['${invalid.join("', '")}'] is invalid attribute for filtering`);
  return bodies
    .filter((body) => asked.every(([key, values]) => fits(body, key, values)))
    .map((body) => selectFields(query, body));
}
