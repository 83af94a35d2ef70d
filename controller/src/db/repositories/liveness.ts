// Who was heard: one statement for many agents.
import { agents } from '../entities/tasks';
import { managerOf, type ReadSession, type WriteSession } from '../session';

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
    const values = some.map((_, index) => `(:host${index}, :role${index}, :session${index})`);
    const parameters = some.flatMap(({ host, role, session: number }, index) => [
      [`host${index}`, host],
      [`role${index}`, role],
      [`session${index}`, number],
    ]);
    const result = await managerOf(session)
      .createQueryBuilder()
      .update(agents.name)
      .set({ heard_at: now })
      .where(`(host, role, session) IN (VALUES ${values.join(', ')})`)
      .setParameters(Object.fromEntries(parameters) as Record<string, unknown>)
      .execute();
    heard += Number(result.affected);
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
  const query = managerOf(session)
    .createQueryBuilder()
    .select('t.host', 'host')
    .from(agents.name, 't')
    .where('t.heard_at >= :since AND t.role IN (:...roles)', { since, roles })
    .groupBy('t.host')
    .having('COUNT(*) = :all', { all: roles.length });
  if (names) query.andWhere('t.host IN (:...names)', { names });
  return new Set((await query.getRawMany<{ host: string }>()).map(({ host }) => host));
}
