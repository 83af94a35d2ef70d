// Reads the query of GET /images: filters, sorting and paging.
import { InvalidError } from '../../errors';
import { imageFilters } from '../../services/image/filters';
import type { ImageListQuery, ImageSort, MemberStatus } from '../../services/image/list';
import { queryValue } from '../query';
import type { Query } from '../route';

const SORT_KEYS = [
  'name',
  'status',
  'container_format',
  'disk_format',
  'size',
  'id',
  'created_at',
  'updated_at',
] as const;
const MEMBER_STATUSES: readonly string[] = ['pending', 'accepted', 'rejected', 'all'];
const DEFAULT_LIMIT = 25;
const MAX_LIMIT = 1000;
/** Query keys that are not filters. */
const CONTROLS = new Set(['limit', 'marker', 'member_status', 'tag', 'sort', 'sort_key', 'sort_dir']);

function sortKey(name: string): ImageSort['column'] {
  const key = SORT_KEYS.find((one) => one === name.trim());
  if (!key) {
    throw new InvalidError(`Invalid sort key: ${name}. It must be one of the following: ${SORT_KEYS.join(', ')}.`);
  }
  return key;
}

function sortDirection(name: string): 'asc' | 'desc' {
  const direction = name.trim();
  if (direction !== 'asc' && direction !== 'desc') throw new InvalidError(`Invalid sort direction: ${name}`);
  return direction;
}

/** `sort=name:asc,size`, a missing direction being desc. */
function parseSort(text: string): ImageSort[] {
  return text
    .trim()
    .split(',')
    .map((part) => {
      const [key = '', direction = ''] = part.split(/:(.*)/s);
      return { column: sortKey(key), direction: sortDirection(direction || 'desc') };
    });
}

/** Repeated sort_key and sort_dir: no direction means desc, one is for all keys, else one per key. */
function parseSortKeys(keys: readonly string[], directions: readonly string[]): ImageSort[] {
  const columns = keys.map(sortKey);
  const ways = directions.map(sortDirection);
  if (ways.length > 1 && ways.length !== columns.length) {
    throw new InvalidError('Number of sort dirs does not match the number of sort keys');
  }
  const shared = ways.length === 1 ? ways[0] : undefined;
  if (columns.length === 0) columns.push('created_at');
  return columns.map((column, at) => ({ column, direction: shared ?? ways[at] ?? 'desc' }));
}

/** The sort asked for, made total by creation time and id. @throws InvalidError */
function imageSort(query: Query): ImageSort[] {
  const text = queryValue(query, 'sort');
  const keys = query.get('sort_key') ?? [];
  const directions = query.get('sort_dir') ?? [];
  if (text !== undefined && keys.length + directions.length > 0) {
    throw new InvalidError('Old and new sorting syntax cannot be combined');
  }
  const sort = text === undefined ? parseSortKeys(keys, directions) : parseSort(text);
  const last = sort.length === 1 ? (sort[0]?.direction ?? 'desc') : 'desc';
  for (const column of ['created_at', 'id'] as const) {
    if (!sort.some((one) => one.column === column)) sort.push({ column, direction: last });
  }
  return sort;
}

function pageSize(query: Query): number {
  const text = queryValue(query, 'limit');
  if (text === undefined) return DEFAULT_LIMIT;
  if (!/^\s*[+-]?\d+\s*$/.test(text)) throw new InvalidError('limit param must be an integer');
  const limit = Number(text);
  if (limit < 0) throw new InvalidError('limit param must be positive');
  return Math.min(limit, MAX_LIMIT);
}

function memberStatus(query: Query): MemberStatus {
  const status = queryValue(query, 'member_status') ?? 'accepted';
  if (!MEMBER_STATUSES.includes(status)) throw new InvalidError(`Invalid status: ${status}`);
  return status as MemberStatus;
}

/** @throws InvalidError naming the parameter. */
export function parseImageList(query: Query): ImageListQuery {
  const filters = new Map<string, string>();
  for (const [key, values] of query) if (!CONTROLS.has(key)) filters.set(key, values.at(-1) ?? '');
  const tags = (query.get('tag') ?? []).map((tag) => tag.trim());
  const { conditions, visibility } = imageFilters(filters, tags);
  const marker = queryValue(query, 'marker');
  return {
    conditions,
    memberStatus: memberStatus(query),
    sort: imageSort(query),
    limit: pageSize(query),
    ...(visibility === undefined ? {} : { visibility }),
    ...(marker === undefined ? {} : { marker }),
  };
}

/** The links `first` and `next` of a page: the caller's query, with another marker. */
export function pageLinks(query: Query, nextMarker: string | undefined): { first: string; next?: string } {
  const rest = new URLSearchParams();
  for (const [key, values] of query) if (key !== 'marker') for (const value of values) rest.append(key, value);
  const link = (parameters: URLSearchParams): string =>
    parameters.size > 0 ? `/v2/images?${parameters.toString()}` : '/v2/images';
  const first = link(rest);
  if (nextMarker === undefined) return { first };
  rest.append('marker', nextMarker);
  return { first, next: link(rest) };
}
