// Lists of servers: what the database can decide it decides; expressions, addresses and tags are looked at in its answer.
import { In, listColumns, type Condition, type ReadSession, type Sort } from '../../db';
import { servers, serverTags, type Server } from '../../db/entities/compute';
import { InvalidError } from '../../errors';
import { portsOfServers } from '../network/serverPortViews';

export type ServerCondition = Condition<typeof servers>;
export type ServerSort = Sort<typeof servers>;

/** What is looked at in memory: of all servers that the database let through, so only this column of them is read. */
export interface ServerTest {
  readonly column: keyof Server;
  readonly fits: (value: unknown) => boolean;
}
/** Columns that no list shows: what a server was made of, most of it JSON. */
const UNSEEN = [
  'creator',
  'image',
  'key',
  'personality',
  'requested_host',
  'scheduler_hints',
  'security_groups',
] as const;
const SEEN = Object.keys(servers.columns).filter((name) => !UNSEEN.some((one) => one === name)) as Exclude<
  keyof Server,
  (typeof UNSEEN)[number]
>[];
/** A server as lists have it. */
export type ListedServer = Pick<Server, (typeof SEEN)[number]>;

type TestedServer = Pick<Server, 'id'> & Partial<Server>;

interface TagFilters {
  /** All of these. */
  readonly all: readonly string[];
  readonly any: readonly string[];
  /** Not all of these. */
  readonly notAll: readonly string[];
  readonly notAny: readonly string[];
}

export interface ServerFilters {
  /** Null: every project's. */
  readonly projectId: string | null;
  readonly conditions: readonly (ServerCondition | ServerCondition[])[];
  /** Looked at in memory, because no database runs callers' expressions safely. */
  readonly tests: readonly ServerTest[];
  /** Each must fit at least one address of its version, or of any when null. */
  readonly addresses: readonly { readonly version: 4 | 6; readonly fits: (address: string) => boolean }[];
  readonly tags: TagFilters;
  readonly sort: readonly ServerSort[];
  readonly limit: number;
  readonly marker?: string;
  /** Whether rows come with user data: up to 64 KiB each that few callers see. */
  readonly withUserData: boolean;
}

const asksForTags = ({ all, any, notAll, notAny }: TagFilters): boolean =>
  all.length + any.length + notAll.length + notAny.length > 0;

/** Which servers fit the tag filters, by one query for the tags that are named. */
async function tagTest(session: ReadSession, filters: TagFilters): Promise<(id: string) => boolean> {
  const named = [...new Set([...filters.all, ...filters.any, ...filters.notAll, ...filters.notAny])];
  const has = new Map<string, Set<string>>();
  for (const row of await session.find(serverTags, { where: { tag: In(named) } })) {
    const known = has.get(row.server_id);
    if (known) known.add(row.tag);
    else has.set(row.server_id, new Set([row.tag]));
  }
  const { all, any, notAll, notAny } = filters;
  return (id) => {
    const own = has.get(id) ?? new Set<string>();
    const holds = (tag: string): boolean => own.has(tag);
    if (!all.every(holds)) return false;
    if (any.length > 0 && !any.some(holds)) return false;
    if (notAll.length > 0 && notAll.every(holds)) return false;
    return !notAny.some(holds);
  };
}

async function byAddress(
  session: ReadSession,
  rows: readonly TestedServer[],
  filters: ServerFilters,
): Promise<TestedServer[]> {
  const ports = await portsOfServers(
    session,
    rows.map((row) => row.id),
  );
  return rows.filter((row) => {
    const all = (ports.get(row.id) ?? []).flatMap((one) => one.addresses);
    return filters.addresses.every(({ version, fits }) =>
      all.some((one) => one.version === version && [one.address, ...one.floating].some(fits)),
    );
  });
}

/** The row a page begins after. @throws InvalidError when the caller has no such server */
async function markerRow(session: ReadSession, filters: ServerFilters): Promise<Server | undefined> {
  if (filters.marker === undefined) return undefined;
  const row = await session.findOne(servers, { id: filters.marker });
  if (!row || (filters.projectId !== null && row.project_id !== filters.projectId))
    throw new InvalidError(`marker [${filters.marker}] not found`, 'MarkerNotFound');
  return row;
}

/** A page of servers. @throws InvalidError for an unknown marker */
export async function listServers(session: ReadSession, filters: ServerFilters): Promise<ListedServer[]> {
  const marker = await markerRow(session, filters);
  if (filters.limit === 0) return [];
  const conditions: (ServerCondition | ServerCondition[])[] = [...filters.conditions];
  if (filters.projectId !== null) conditions.push({ column: 'project_id', op: '=', value: filters.projectId });
  const tagsFit = asksForTags(filters.tags) ? await tagTest(session, filters.tags) : undefined;
  const inMemory = tagsFit !== undefined || filters.tests.length > 0 || filters.addresses.length > 0;
  const page = {
    sort: filters.sort,
    omit: filters.withUserData ? [] : (['user_data'] as const),
  };
  const wanted = { conditions, ...(marker ? { marker } : {}) };
  if (!inMemory) return listColumns(session, servers, SEEN, { ...page, ...wanted, limit: filters.limit });
  const columns = [...new Set(['id' as const, ...filters.tests.map(({ column }) => column)])];
  const found: TestedServer[] = await listColumns(session, servers, columns, { sort: filters.sort, ...wanted });
  const fits = (row: TestedServer): boolean => filters.tests.every((test) => test.fits(row[test.column]));
  const fitting = found.filter((row) => fits(row) && (tagsFit?.(row.id) ?? true));
  const kept = filters.addresses.length > 0 ? await byAddress(session, fitting, filters) : fitting;
  const ids = kept.slice(0, filters.limit).map(({ id }) => id);
  return listColumns(session, servers, SEEN, { ...page, conditions: [{ column: 'id', op: 'in', value: ids }] });
}
