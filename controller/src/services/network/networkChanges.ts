// The answer to an agent that asks what changed for its host: new states of what belongs there, and what no longer does.
import type { NetworkChanges, NetworkObjectKind } from '@cumulet/common';
import type { Cloud } from '../../cloud';
import { list, MoreThan, MoreThanOrEqual, type ReadSession } from '../../db';
import { changes, type Change } from '../../db/entities/tasks';
import { allObjects, hostStates } from './hostState';

/** MariaDB may commit a smaller number after a larger one: rows this young are sent again, which does no harm. */
const OVERLAP_MILLISECONDS = 10_000;
const OVERLAP_ROWS = 1_000;

interface Named {
  readonly kind: NetworkObjectKind;
  readonly id: string;
}
const keyOf = (object: Named): string => `${object.kind} ${object.id}`;

/** What the feed says of one object. */
interface Entry {
  readonly key: string;
  readonly object: Named;
  /** Its newest change. */
  sequence: number;
  /** Changes so young that some host may have missed them. */
  readonly young: number[];
}

/** What a host asks: what changed for it after the number `since` of the feed; 0 asks for everything. */
export interface FeedQuestion {
  readonly host: string;
  readonly since: number;
}

/** What a host is told by the feed. */
interface News {
  readonly host: string;
  /** The newest number; 0 for an empty feed. */
  readonly sequence: number;
  /** The host is told everything: the feed does not reach back as far as it asks. */
  readonly reload: boolean;
  /** What changed since, by kind and id. */
  readonly entries: ReadonlyMap<string, Entry>;
  readonly isNews: (entry: Entry | undefined) => boolean;
}

/** The first row of the feed, or the last. */
async function endOf(session: ReadSession, direction: 'asc' | 'desc'): Promise<number | undefined> {
  const [row] = await list(session, changes, { sort: [{ column: 'sequence', direction }], limit: 1 });
  return row?.sequence;
}

/** Everything the changes name, directly or as the network of a port. @param youngFrom rows from this time on are young */
function entriesOf(rows: readonly Change[], youngFrom: number): Map<string, Entry> {
  const entries = new Map<string, Entry>();
  const add = (object: Named, { sequence, created_at }: Change): void => {
    const key = keyOf(object);
    const entry = entries.get(key) ?? { key, object, sequence, young: [] };
    entries.set(key, entry);
    entry.sequence = Math.max(entry.sequence, sequence);
    if (created_at > youngFrom) entry.young.push(sequence);
  };
  for (const row of rows) {
    add({ kind: row.kind as NetworkObjectKind, id: row.object_id }, row);
    if (row.network_id !== null) add({ kind: 'network', id: row.network_id }, row);
  }
  return entries;
}

/** Reads the feed once for all who ask. @returns what is new for each, in their order */
async function readFeed(session: ReadSession, cloud: Cloud, questions: readonly FeedQuestion[]): Promise<News[]> {
  const known = questions.map(({ since }) => since).filter((since) => since > 0);
  const oldest = Math.min(...known);
  const youngFrom = cloud.db.engine === 'sqlite' ? Infinity : cloud.clock.now() - OVERLAP_MILLISECONDS;
  const after = { sequence: MoreThanOrEqual(oldest) };
  const late = { sequence: MoreThan(oldest - OVERLAP_ROWS), created_at: MoreThan(youngFrom) };
  const where = cloud.db.engine === 'sqlite' ? after : [after, late];
  const rows = known.length === 0 ? [] : await session.find(changes, { where, order: { sequence: 'ASC' } });
  const newest = rows.at(-1)?.sequence ?? 0;
  const numbers = new Set(rows.map(({ sequence }) => sequence));
  const entries = entriesOf(rows, youngFrom);
  let first: number | undefined;
  let last: number | undefined;
  const news: News[] = [];
  for (const { host, since } of questions) {
    // The row that was the newest is there, or at least nothing after it is missing.
    const reload = !(
      since > 0 &&
      newest >= since &&
      (numbers.has(since) || since >= (first ??= (await endOf(session, 'asc')) ?? Infinity) - 1)
    );
    news.push({
      host,
      sequence: reload ? (last ??= (await endOf(session, 'desc')) ?? 0) : newest,
      reload,
      entries,
      isNews: (entry) =>
        entry !== undefined &&
        (entry.sequence > since || entry.young.some((one) => one !== since && one > since - OVERLAP_ROWS)),
    });
  }
  return news;
}

/**
 * What changed for hosts, in the order of their questions. An answer's `sequence` is the next `since`. The number of queries is the
 * same however many ask; one when nothing changed.
 */
export async function changesOfHosts(cloud: Cloud, questions: readonly FeedQuestion[]): Promise<NetworkChanges[]> {
  return cloud.db.read(async (session) => {
    // The number is read before the state: what changes in between is sent again.
    const feed = await readFeed(session, cloud, questions);
    const asked = feed.map((news) => ({ ...news, changed: [...news.entries.values()].filter(news.isNews) }));
    const told = asked.filter(({ reload, changed }) => reload || changed.length > 0);
    const states = await hostStates(
      session,
      told.map(({ host, reload, entries, isNews }) => ({
        host,
        changed: reload ? undefined : { has: (key) => isNews(entries.get(key)) },
      })),
    );
    const stateOf = new Map(told.map((one, at) => [one, states[at]]));
    return asked.map((one): NetworkChanges => {
      const { sequence, reload, changed } = one;
      const state = stateOf.get(one);
      if (!state) return { sequence, reload, objects: [], gone: [] };
      const gone = reload ? [] : changed.filter(({ key }) => !state.present.has(key)).map(({ object }) => object);
      return { sequence, reload, objects: allObjects(state), gone };
    });
  });
}

/** The same for one host. */
export async function networkChanges(cloud: Cloud, host: string, since: number): Promise<NetworkChanges> {
  const [answer] = await changesOfHosts(cloud, [{ host, since }]);
  return answer as NetworkChanges;
}
