// Who was heard: one statement for many agents.
import { agents } from '../entities/tasks';
import { readRaw } from '../execute';
import { managerOf, updateWhere, type ReadSession, type WriteSession } from '../session';
import { Expression } from '../sql';

/** A sign of life of one agent in one session. */
export interface Heartbeat {
  readonly host: string;
  readonly role: string;
  readonly session: number;
}

/** Agents that one statement names; databases limit how long it may be. */
const AT_ONCE = 300;

/** Writes down that these were heard. @returns how many are in the session that they say; 0 of those that are not */
export async function markHeard(session: WriteSession, beats: readonly Heartbeat[], now: number): Promise<number> {
  let heard = 0;
  for (let at = 0; at < beats.length; at += AT_ONCE) {
    const some = beats.slice(at, at + AT_ONCE);
    const named = new Expression(
      `(host, role, session) IN (VALUES ${some.map(() => '(?, ?, ?)').join(', ')})`,
      some.flatMap(({ host, role, session: number }) => [host, role, number]),
    );
    heard += await updateWhere(session, agents, {}, { heard_at: now }, named);
  }
  return heard;
}

/** Hosts whose agents of all these roles were heard since a time; of all hosts or of these. */
export async function hostsHeard(
  session: ReadSession,
  roles: readonly string[],
  since: number,
  names?: readonly string[],
): Promise<Set<string>> {
  if (names?.length === 0) return new Set();
  const places = (values: readonly string[]): string => values.map(() => '?').join(', ');
  const of = names ? ` AND host IN (${places(names)})` : '';
  const rows = await readRaw(managerOf(session), {
    sql: `SELECT host FROM ${agents.name} WHERE heard_at >= ? AND role IN (${places(roles)})${of} GROUP BY host HAVING COUNT(*) = ?`,
    parameters: [since, ...roles, ...(names ?? []), roles.length],
  });
  return new Set(rows.map(({ host }) => String(host)));
}
