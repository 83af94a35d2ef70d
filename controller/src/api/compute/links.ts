// Links in compute bodies: a resource's own two links, and the next page of a list.
import { InvalidError } from '../../errors';
import { queryValue } from '../query';
import type { ApiRequest } from '../route';

export interface Link {
  readonly rel: string;
  readonly href: string;
}

type Place = Pick<ApiRequest, 'origin'>;

/** The link without a version, as it may be kept for longer. */
export const bookmark = (request: Place, collection: string, id: string): Link => ({
  rel: 'bookmark',
  href: `${request.origin}/compute/${collection}/${encodeURIComponent(id)}`,
});

/** Where a resource is now. */
export const selfHref = (request: Place, collection: string, id: string): string =>
  `${request.origin}/compute/v2.1/${collection}/${encodeURIComponent(id)}`;

/** `self` and `bookmark`, as every compute resource has them. */
export const resourceLinks = (request: Place, collection: string, id: string): Link[] => [
  { rel: 'self', href: selfHref(request, collection, id) },
  bookmark(request, collection, id),
];

/** Most rows that a page has. */
export const MAX_PAGE = 1000;

export interface Page {
  readonly limit: number;
  readonly marker: string | undefined;
}

/** Reads `limit` and `marker`. @throws InvalidError for a limit that is no whole number of at least 0 */
export function readPage(request: Pick<ApiRequest, 'query'>): Page {
  const text = queryValue(request.query, 'limit');
  if (text !== undefined && !/^\d{1,15}$/.test(text))
    throw new InvalidError(`limit must be an integer of at least 0, not '${text}'.`);
  return {
    limit: text === undefined ? MAX_PAGE : Math.min(Number(text), MAX_PAGE),
    marker: queryValue(request.query, 'marker'),
  };
}

/** The link to the next page, when this one is full. Further query parameters are kept. */
export function nextPage(
  request: Pick<ApiRequest, 'origin' | 'query'>,
  path: string,
  page: Page,
  lastId: string | undefined,
  count: number,
): Link[] | undefined {
  if (lastId === undefined || page.limit === 0 || count < page.limit) return undefined;
  const query = new URLSearchParams();
  for (const [key, values] of request.query) {
    if (key !== 'marker') for (const value of values) query.append(key, value);
  }
  query.append('marker', lastId);
  return [{ rel: 'next', href: `${request.origin}/compute/v2.1/${path}?${query.toString()}` }];
}
