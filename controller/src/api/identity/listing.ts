// Lists of the identity API: exact and inexact filters, a limit with a marker, links.
import { list, type Condition, type ReadSession, type Row, type Table } from '../../db';
import type { ApiRequest, ApiResponse, Query } from '../route';
import { queryNumber, queryValue } from '../query';
import { NotFoundError } from '../../errors';

const FALSE = new Set(['0', 'false', 'f', 'no', 'n', 'off']);

/** A switch in a query as this service reads it: absent is undefined, a bare key and everything that is not "no" are true. */
export function identityFlag(query: Query, key: string): boolean | undefined {
  const value = queryValue(query, key);
  return value === undefined ? undefined : !FALSE.has(value.toLowerCase());
}

/** Columns by which a list may be filtered, and how their values are written. */
export type Filters<T extends Table> = Partial<Record<keyof Row<T> & string, 'text' | 'flag'>>;

const COMPARISONS: Readonly<Record<string, (value: string, wanted: string) => boolean>> = {
  contains: (value, wanted) => value.includes(wanted),
  startswith: (value, wanted) => value.startsWith(wanted),
  endswith: (value, wanted) => value.endsWith(wanted),
};

/** name__contains, name__icontains and the like: all of them must hold. */
function inexact(query: Query, fields: readonly string[]): (row: Readonly<Record<string, unknown>>) => boolean {
  const tests: ((row: Readonly<Record<string, unknown>>) => boolean)[] = [];
  for (const [key, values] of query) {
    const [, field, ignoreCase, comparison] = /^(\w+?)__(i?)(contains|startswith|endswith)$/.exec(key) ?? [];
    const wanted = values.at(-1);
    const compare = comparison === undefined ? undefined : COMPARISONS[comparison];
    if (field === undefined || !compare || wanted === undefined || !fields.includes(field)) continue;
    const form = (text: string): string => (ignoreCase ? text.toLowerCase() : text);
    tests.push((row) => {
      const value = row[field];
      return typeof value === 'string' && compare(form(value), form(wanted));
    });
  }
  return (row) => tests.every((test) => test(row));
}

/** Of rows that are at hand, those that fit the query's filters. */
export function selectRows<R extends object>(
  query: Query,
  filters: Readonly<Record<string, 'text' | 'flag'>>,
  rows: readonly R[],
): R[] {
  const fits = inexact(query, Object.keys(filters));
  return rows.filter((row) => {
    const values = row as Readonly<Record<string, unknown>>;
    const exact = Object.entries(filters).every(([field, kind]) => {
      const wanted = kind === 'flag' ? identityFlag(query, field) : queryValue(query, field);
      return wanted === undefined || values[field] === wanted;
    });
    return exact && fits(values);
  });
}

/** Rows that fit the query's filters and the service's own conditions, by id. */
export async function listRows<T extends Table>(
  session: ReadSession,
  table: T,
  query: Query,
  filters: Filters<T>,
  conditions: readonly Condition<T>[] = [],
): Promise<Row<T>[]> {
  const wanted: Condition<T>[] = [...conditions];
  for (const [column, kind] of Object.entries(filters) as [keyof Row<T> & string, 'text' | 'flag'][]) {
    const value = kind === 'flag' ? identityFlag(query, column) : queryValue(query, column);
    if (value === undefined) continue;
    wanted.push(value === '' ? { column, op: 'is null' } : { column, op: '=', value });
  }
  const fits = inexact(query, Object.keys(filters));
  const rows = await list(session, table, { conditions: wanted });
  return rows.filter(fits);
}

/** The address under which the caller reached this API, without a slash at the end. */
export function linkBase(request: ApiRequest): string {
  return `${request.origin}${request.path.startsWith('/identity/') ? '/identity' : ''}/v3`;
}

/** A resource with its link. */
export function linked<T extends object>(request: ApiRequest, path: string, view: T): T & { links: { self: string } } {
  return { ...view, links: { self: `${linkBase(request)}/${path}` } };
}

function nextLink(request: ApiRequest, marker: string): string {
  const parameters = new URLSearchParams();
  for (const [key, values] of request.query)
    if (key !== 'marker') values.forEach((value) => parameters.append(key, value));
  parameters.set('marker', marker);
  return `${request.origin}${request.path}?${parameters.toString()}`;
}

/**
 * The answer of a list. Everything is given unless the caller asks for pages with `limit` and `marker`.
 * @throws NotFoundError for an unknown marker
 */
export function collection(request: ApiRequest, key: string, items: readonly object[]): ApiResponse {
  const limit = queryNumber(request.query, 'limit') ?? 0;
  const marker = queryValue(request.query, 'marker');
  const idOf = (item: object | undefined): string => String((item as { id?: unknown } | undefined)?.id);
  let page = items;
  if (marker !== undefined) {
    const at = items.findIndex((item) => idOf(item) === marker);
    if (at < 0) throw new NotFoundError(`Could not find the marker ${marker} in this list.`);
    page = items.slice(at + 1);
  }
  const more = limit > 0 && page.length > limit;
  if (more) page = page.slice(0, limit);
  const next = more ? nextLink(request, idOf(page.at(-1))) : null;
  return { status: 200, body: { [key]: page, links: { self: request.origin + request.path, previous: null, next } } };
}
