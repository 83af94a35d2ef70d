// The answer to an agent that asks what changed for its host: new states of what belongs there, and what no longer does.
import type { NetworkChanges, NetworkObjectKind } from '@cumulet/common';
import type { Cloud } from '../../cloud';
import { list, MoreThan, MoreThanOrEqual, type ReadSession } from '../../db';
import { changes, type Change } from '../../db/entities/tasks';
import { allObjects, hostState, type HostReads } from './hostState';

/** MariaDB may commit a smaller number after a larger one: rows this young are sent again, which does no harm. */
const OVERLAP_MILLISECONDS = 10_000;
const OVERLAP_ROWS = 1_000;

interface Feed {
  /** The newest number; 0 for an empty feed. */
  readonly sequence: number;
  /** Changes after `since`; undefined when the feed does not reach back that far. */
  readonly rows: readonly Change[] | undefined;
}

/** The first row of the feed, or the last. */
async function endOf(session: ReadSession, direction: 'asc' | 'desc'): Promise<number | undefined> {
  const [row] = await list(session, changes, { sort: [{ column: 'sequence', direction }], limit: 1 });
  return row?.sequence;
}

async function readFeed(session: ReadSession, cloud: Cloud, since: number): Promise<Feed> {
  const known = { sequence: MoreThanOrEqual(since) };
  const young = cloud.clock.now() - OVERLAP_MILLISECONDS;
  const late = { sequence: MoreThan(since - OVERLAP_ROWS), created_at: MoreThan(young) };
  const where = cloud.db.engine === 'sqlite' ? known : [known, late];
  const rows = since <= 0 ? [] : await session.find(changes, { where, order: { sequence: 'ASC' } });
  const sequence = rows.at(-1)?.sequence ?? 0;
  // The row that was the newest is there, or at least nothing after it is missing.
  const reachesBack = async (): Promise<boolean> =>
    rows.some((row) => row.sequence === since) || since >= ((await endOf(session, 'asc')) ?? Infinity) - 1;
  if (sequence >= since && sequence > 0 && (await reachesBack()))
    return { sequence, rows: rows.filter((row) => row.sequence !== since) };
  return { sequence: (await endOf(session, 'desc')) ?? 0, rows: undefined };
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

/**
 * What changed for a host after the number `since` of the feed; 0 asks for everything. The answer's `sequence` is the next
 * `since`. A fixed number of queries; one when nothing changed.
 * @param reads what hosts share that ask at the same time
 */
export async function networkChanges(
  cloud: Cloud,
  host: string,
  since: number,
  reads?: HostReads,
): Promise<NetworkChanges> {
  return cloud.db.read(async (session) => {
    // The number is read before the state: what changes in between is sent again.
    const feed = await readFeed(session, cloud, since);
    if (feed.rows?.length === 0) return { sequence: feed.sequence, reload: false, objects: [], gone: [] };
    if (!feed.rows)
      return { sequence: feed.sequence, reload: true, objects: allObjects(await hostState(session, host)), gone: [] };
    const named = namedBy(feed.rows);
    const state = await hostState(session, host, {
      changed: new Set(named.keys()),
      ...(reads ? { share: { ...reads, sequence: feed.sequence } } : {}),
    });
    return {
      sequence: feed.sequence,
      reload: false,
      objects: allObjects(state),
      gone: [...named.values()].filter((one) => !state.present.has(keyOf(one))),
    };
  });
}
