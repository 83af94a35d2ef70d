// The answer to an agent that asks what changed for its host: new states of what belongs there, and what no longer does.
import type { NetworkChanges, NetworkObjectKind } from '@cumulet/common';
import type { Cloud } from '../../cloud';
import { list, MoreThan, type ReadSession } from '../../db';
import { changes, type Change } from '../../db/entities/tasks';
import { allObjects, hostState } from './hostState';

/** MariaDB may commit a smaller number after a larger one: rows this young are sent again, which does no harm. */
const OVERLAP_MILLISECONDS = 10_000;
const OVERLAP_ROWS = 1_000;

interface Feed {
  /** The newest number; 0 for an empty feed. */
  readonly sequence: number;
  /** Changes after `since`; undefined when the feed does not reach back that far. */
  readonly rows: readonly Change[] | undefined;
}

async function readFeed(session: ReadSession, cloud: Cloud, since: number): Promise<Feed> {
  const [newest] = await list(session, changes, { sort: [{ column: 'sequence', direction: 'desc' }], limit: 1 });
  const sequence = newest?.sequence ?? 0;
  if (since <= 0 || since > sequence) return { sequence, rows: undefined };
  const ordered = cloud.db.engine === 'sqlite';
  const from = ordered ? since : Math.max(0, since - OVERLAP_ROWS);
  if (ordered && from === sequence) return { sequence, rows: [] };
  const [oldest] = await list(session, changes, { sort: [{ column: 'sequence', direction: 'asc' }], limit: 1 });
  if (!oldest || since < oldest.sequence - 1) return { sequence, rows: undefined };
  const rows = await session.find(changes, { where: { sequence: MoreThan(from) } });
  const young = cloud.clock.now() - OVERLAP_MILLISECONDS;
  return { sequence, rows: rows.filter((row) => row.sequence > since || row.created_at > young) };
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
 * `since`. A fixed number of queries; two when nothing changed.
 */
export async function networkChanges(cloud: Cloud, host: string, since: number): Promise<NetworkChanges> {
  return cloud.db.read(async (session) => {
    // The number is read before the state: what changes in between is sent again.
    const feed = await readFeed(session, cloud, since);
    if (feed.rows?.length === 0) return { sequence: feed.sequence, reload: false, objects: [], gone: [] };
    if (!feed.rows)
      return { sequence: feed.sequence, reload: true, objects: allObjects(await hostState(session, host)), gone: [] };
    const named = namedBy(feed.rows);
    const state = await hostState(session, host, new Set(named.keys()));
    return {
      sequence: feed.sequence,
      reload: false,
      objects: allObjects(state),
      gone: [...named.values()].filter((one) => !state.present.has(keyOf(one))),
    };
  });
}
