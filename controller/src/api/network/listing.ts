// Query strings of lists: filters, fields, sorting, pages and the links to the next ones.
import type { Condition, ListOptions, Table } from '../../db';
import { InvalidError } from '../../errors';
import { badRequest } from '../../services/network/errors';
import { findVisible, visibleTo, type Conditions } from '../../services/network/resource';
import type { ApiRequest, Query } from '../route';
import type { Attribute } from './attribute';
import { flagOf } from './filterValues';
import type { Noun, Viewing } from './noun';
import { tagFilters } from './tagFilters';

const CONTROL = ['fields', 'sort_key', 'sort_dir', 'limit', 'marker', 'page_reverse'];

interface Page {
  readonly limit: number | undefined;
  readonly reverse: boolean;
}

function value(attribute: Attribute, key: string, text: string): unknown {
  if (attribute.filter === 'flag') return flagOf(key, text);
  if (attribute.filter !== 'number') return text;
  // A text that is no number fits no row.
  return /^-?\d{1,15}$/.test(text) ? Number(text) : -1;
}

function columnFilter<T extends Table>(attribute: Attribute, key: string, values: readonly string[]): Conditions<T> {
  const column = attribute.column as Condition<T>['column'];
  return { column, op: 'in', value: values.map((text) => value(attribute, key, text)) };
}

const changedSince = <T extends Table>(values: readonly string[]): Conditions<T>[] => {
  const text = values.at(-1) ?? '';
  const at = Date.parse(/Z|[+-]\d\d:?\d\d$/.test(text) ? text : `${text}Z`);
  if (Number.isNaN(at)) throw new InvalidError(`Invalid changed_since value '${text}'`, 'InvalidInput');
  return [{ column: 'updated_at', op: '>=', value: at }];
};

/** A key of the query is any text, "__proto__" included. */
const own = <V>(record: Readonly<Record<string, V>>, key: string): V | undefined =>
  Object.hasOwn(record, key) ? record[key] : undefined;

/** Conditions for what the query asks. @throws InvalidError HTTPBadRequest for a key that is no filter */
async function filters<T extends Table>(noun: Noun<T>, query: Query, viewing: Viewing): Promise<Conditions<T>[]> {
  const conditions: Conditions<T>[] = [];
  const invalid: string[] = [];
  for (const [key, values] of query) {
    if (CONTROL.includes(key)) continue;
    const special = own(noun.filters ?? {}, key);
    const attribute = own(noun.attributes, key);
    const tags = own(noun.attributes, 'tags') ? own(tagFilters<T>(noun.resource.noun), key) : undefined;
    if (special) conditions.push(...(await special(values, viewing)));
    else if (tags) conditions.push(...(await tags(values, viewing)));
    else if (key === 'changed_since' && noun.standard !== false) conditions.push(...changedSince<T>(values));
    else if (attribute?.column !== undefined && attribute.filter !== 'none')
      conditions.push(columnFilter<T>(attribute, key, values));
    else invalid.push(key);
  }
  if (invalid.length > 0) throw badRequest(`['${invalid.join("', '")}'] is invalid attribute for filtering`);
  return conditions;
}

function sorting<T extends Table>(noun: Noun<T>, query: Query): ListOptions<T>['sort'] {
  const keys = (query.get('sort_key') ?? []).filter((key) => key !== '');
  const directions = (query.get('sort_dir') ?? []).filter((direction) => direction !== '');
  if (keys.length !== directions.length) throw badRequest('The number of sort_keys and sort_dirs must be same');
  const absent = keys.filter((key) => !own(noun.attributes, key)?.sort);
  if (absent.length > 0) throw badRequest(`['${absent.join("', '")}'] is invalid attribute for sort_keys`);
  return keys.map((key, at) => {
    const direction = directions[at];
    if (direction !== 'asc' && direction !== 'desc')
      throw badRequest(`['${direction ?? ''}'] is invalid value for sort_dirs, valid value is 'asc' and 'desc'`);
    return { column: noun.attributes[key]?.column ?? key, direction };
  });
}

/** `limit` 0 or absent means no paging. @throws InvalidError BadRequest */
function pageOf(query: Query): Page {
  const text = query.get('limit')?.at(-1) ?? '0';
  if (!/^\d{1,9}$/.test(text))
    throw new InvalidError(`Bad limit request: Limit must be an integer 0 or greater and not '${text}'.`);
  const limit = Number(text);
  const reverse = (query.get('page_reverse')?.at(-1) ?? '').toLowerCase() === 'true';
  return { limit: limit === 0 ? undefined : limit, reverse: limit > 0 && reverse };
}

/** Everything `list` needs for a request. */
export async function listOptions<T extends Table>(
  noun: Noun<T>,
  request: ApiRequest,
  viewing: Viewing,
): Promise<ListOptions<T>> {
  const { session, cloud, caller } = viewing;
  const page = pageOf(request.query);
  const sort = sorting(noun, request.query);
  const conditions = [
    ...(await visibleTo(session, cloud, caller, noun.resource)),
    ...(await filters(noun, request.query, viewing)),
  ];
  const markerId = page.limit === undefined ? undefined : request.query.get('marker')?.at(-1);
  const marker = markerId ? await findVisible(session, cloud, caller, noun.resource, markerId) : undefined;
  return {
    conditions,
    ...(sort ? { sort } : {}),
    ...(page.limit === undefined ? {} : { limit: page.limit }),
    ...(page.reverse ? { reverse: true } : {}),
    ...(marker ? { marker } : {}),
  };
}

function link(request: ApiRequest, marker: unknown, reverse: boolean): string {
  const params = new URLSearchParams();
  for (const [key, values] of request.query) {
    if (key === 'marker' || key === 'page_reverse') continue;
    for (const one of values) params.append(key, one);
  }
  if (typeof marker === 'string') params.set('marker', marker);
  if (reverse) params.set('page_reverse', 'True');
  return `${request.origin}${request.path}?${params.toString()}`;
}

/** Links before and after a page; undefined when the request does not page. */
export function pageLinks(request: ApiRequest, ids: readonly string[]): { rel: string; href: string }[] | undefined {
  const { limit, reverse } = pageOf(request.query);
  if (limit === undefined) return undefined;
  const links: { rel: string; href: string }[] = [];
  const full = ids.length >= limit;
  if (full || reverse) links.push({ rel: 'next', href: link(request, ids.at(-1), false) });
  if (full || !reverse) links.push({ rel: 'previous', href: link(request, ids[0], true) });
  return links;
}

/** Only the fields a client asks for; all when it names none. */
export function selectFields(query: Query, body: Record<string, unknown>): Record<string, unknown> {
  const fields = (query.get('fields') ?? []).filter((field) => field !== '');
  if (fields.length === 0) return body;
  return Object.fromEntries(Object.entries(body).filter(([key]) => fields.includes(key)));
}
