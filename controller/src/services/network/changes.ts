// The change feed that network agents read: every write to a networking row adds a row here in the same transaction.
import type { NetworkObjectKind } from '@cumulet/common';
import type { Cloud } from '../../cloud';
import { LessThan, type WriteSession } from '../../db';
import { changes } from '../../db/entities/tasks';
import { hintChanges } from './hints';

export interface ChangedObject {
  readonly kind: NetworkObjectKind;
  readonly id: string;
  /** The network the object belongs to: its DHCP entries change with its ports. */
  readonly networkId?: string;
  /** Where it is or was, which its rows may no longer say. */
  readonly host?: string;
}

/** An agent that was silent for longer asks for everything. */
const KEEP_MILLISECONDS = 3_600_000;
/** Old rows are removed every so many changes. */
const PRUNE_EVERY = 1_000;

/** Networks, ports and groups that changed, as the feed wants them. */
export const changedNetwork = (id: string): ChangedObject => ({ kind: 'network', id, networkId: id });
export const changedPort = (port: { id: string; network_id: string; host?: string }): ChangedObject => ({
  kind: 'port',
  id: port.id,
  networkId: port.network_id,
  ...(port.host === undefined ? {} : { host: port.host }),
});
export const changedRouter = (id: string): ChangedObject => ({ kind: 'router', id });
export const changedGroups = (ids: readonly string[]): ChangedObject[] =>
  ids.map((id) => ({ kind: 'security_group', id }));

/**
 * Adds rows to the feed and, once committed, hints the agents.
 * @returns the number of the last row: an agent that has seen it has seen these changes.
 */
export async function recordChanges(
  session: WriteSession,
  cloud: Cloud,
  objects: readonly ChangedObject[],
): Promise<number> {
  const now = cloud.clock.now();
  const unique = new Map(objects.map((object) => [`${object.kind} ${object.id}`, object]));
  if (unique.size === 0) return 0;
  const rows = [...unique.values()].map((object) => ({
    kind: object.kind,
    object_id: object.id,
    network_id: object.networkId ?? null,
    created_at: now,
  }));
  const sequence = await session.appendNumbered(changes, rows);
  if (sequence % PRUNE_EVERY < rows.length)
    await session.delete(changes, { created_at: LessThan(now - KEEP_MILLISECONDS), sequence: LessThan(sequence) });
  session.afterCommit(() => hintChanges(cloud, sequence, [...unique.values()]));
  return sequence;
}
