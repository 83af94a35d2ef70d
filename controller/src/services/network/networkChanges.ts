// The answer to an agent that asks what changed for its host: new states of what belongs there, and what no longer does.
import type { NetworkChanges, NetworkObjectKind } from '@cumulet/common';
import type { Cloud } from '../../cloud';
import { list, MoreThan, MoreThanOrEqual, type ReadSession } from '../../db';
import { changes, type Change } from '../../db/entities/tasks';
import { allObjects, hostStates } from './hostState';

/** MariaDB may commit a smaller number after a larger one: rows this young are sent again, which does no harm. */
const OVERLAP_MILLISECONDS = 10_000;
const OVERLAP_ROWS = 1_000;

/** Changes after a host's number; undefined when the feed does not reach back that far. */
interface News {
  /** The newest number; 0 for an empty feed. */
  readonly sequence: number;
  readonly rows: readonly Change[] | undefined;
}

/** The first row of the feed, or the last. */
async function endOf(session: ReadSession, direction: 'asc' | 'desc'): Promise<number | undefined> {
  const [row] = await list(session, changes, { sort: [{ column: 'sequence', direction }], limit: 1 });
  return row?.sequence;
}

/** Reads the feed once for all who ask. @returns what is new for each `since`, in their order */
async function readFeed(session: ReadSession, cloud: Cloud, since: readonly number[]): Promise<News[]> {
  const known = since.filter((number) => number > 0);
  const young = cloud.clock.now() - OVERLAP_MILLISECONDS;
  const isLate = ({ sequence, created_at }: Change, after: number): boolean =>
    cloud.db.engine !== 'sqlite' && sequence > after - OVERLAP_ROWS && created_at > young;
  const oldest = Math.min(...known);
  const after = { sequence: MoreThanOrEqual(oldest) };
  const late = { sequence: MoreThan(oldest - OVERLAP_ROWS), created_at: MoreThan(young) };
  const where = cloud.db.engine === 'sqlite' ? after : [after, late];
  const rows = known.length === 0 ? [] : await session.find(changes, { where, order: { sequence: 'ASC' } });
  const newest = rows.at(-1)?.sequence ?? 0;
  let first: number | undefined;
  let last: number | undefined;
  const news: News[] = [];
  for (const number of since) {
    const own = number <= 0 ? [] : rows.filter((row) => row.sequence >= number || isLate(row, number));
    // The row that was the newest is there, or at least nothing after it is missing.
    const reaches =
      own.some((row) => row.sequence === number) ||
      (newest > 0 && number >= (first ??= (await endOf(session, 'asc')) ?? Infinity) - 1);
    if (number > 0 && newest > 0 && newest >= number && reaches)
      news.push({ sequence: newest, rows: own.filter((row) => row.sequence !== number) });
    else news.push({ sequence: (last ??= (await endOf(session, 'desc')) ?? 0), rows: undefined });
  }
  return news;
}

interface Named {
  readonly kind: NetworkObjectKind;
  readonly id: string;
}
const keyOf = (object: Named): string => `${object.kind} ${object.id}`;

/** Everything the changes name, directly or as the network of a port. */
function namedBy(rows: readonly Change[]): Map<string, Named> {
  const named = new Map<string, Named>();
  const add = (object: Named): void => void named.set(keyOf(object), object);
  for (const row of rows) {
    add({ kind: row.kind as NetworkObjectKind, id: row.object_id });
    if (row.network_id !== null) add({ kind: 'network', id: row.network_id });
  }
  return named;
}

/** What a host asks: what changed for it after the number `since` of the feed; 0 asks for everything. */
export interface FeedQuestion {
  readonly host: string;
  readonly since: number;
}

/**
 * What changed for hosts, in the order of their questions. An answer's `sequence` is the next `since`. The number of queries is the
 * same however many ask; one when nothing changed.
 */
export async function changesOfHosts(cloud: Cloud, questions: readonly FeedQuestion[]): Promise<NetworkChanges[]> {
  return cloud.db.read(async (session) => {
    // The number is read before the state: what changes in between is sent again.
    const feed = await readFeed(
      session,
      cloud,
      questions.map(({ since }) => since),
    );
    const asked = questions.flatMap(({ host }, at) => {
      const { rows } = feed[at] ?? {};
      return rows?.length === 0 ? [] : [{ at, host, named: rows && namedBy(rows) }];
    });
    const states = await hostStates(
      session,
      asked.map(({ host, named }) => ({ host, changed: named && new Set(named.keys()) })),
    );
    const answers = feed.map(({ sequence }): NetworkChanges => ({ sequence, reload: false, objects: [], gone: [] }));
    for (const [index, { at, named }] of asked.entries()) {
      const [answer, state] = [answers[at], states[index]];
      if (!answer || !state) continue;
      const gone = [...(named?.values() ?? [])].filter((one) => !state.present.has(keyOf(one)));
      answers[at] = { ...answer, reload: named === undefined, objects: allObjects(state), gone };
    }
    return answers;
  });
}

/** The same for one host. */
export async function networkChanges(cloud: Cloud, host: string, since: number): Promise<NetworkChanges> {
  const [answer] = await changesOfHosts(cloud, [{ host, since }]);
  return answer as NetworkChanges;
}
