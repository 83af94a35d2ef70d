// Who was heard: one statement for many agents.
import { aggregates } from '../entities/placement';
import { agents, hosts, type Host } from '../entities/tasks';
import { readRaw } from '../execute';
import { engineFor, managerOf, updateWhere, type ReadSession, type WriteSession } from '../session';
import { Expression, inSql } from '../sql';

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

const places = (values: readonly unknown[]): string => values.map(() => '?').join(', ');

/** What changes of hosts from one decision to the next. */
export interface HostNow extends Pick<
  Host,
  'id' | 'generation' | 'name' | 'enabled' | 'disabled_reason' | 'availability_zone' | 'failed_builds'
> {
  /** Whether none of its agents is silent. */
  readonly heard: boolean;
}

export interface HostsNow {
  /** By name. */
  readonly all: readonly HostNow[];
  /** Agents that there are of the roles asked for. */
  readonly agents: number;
  /** Aggregates that there are. */
  readonly aggregates: number;
}

/** All hosts in one statement: there may be thousands, and each decision looks at them. @param since who was not heard since is silent */
export async function hostsNow(session: ReadSession, roles: readonly string[], since: number): Promise<HostsNow> {
  const columns = ['id', 'generation', 'name', 'enabled', 'disabled_reason', 'availability_zone', 'failed_builds'];
  const of = `FROM ${agents.name} WHERE role IN (${places(roles)})`;
  const rows = await readRaw(managerOf(session), {
    sql: `SELECT ${columns.join(', ')}, name NOT IN (SELECT host ${of} AND heard_at < ?) AS heard, (SELECT COUNT(*) ${of}) AS agents,
      (SELECT COUNT(*) FROM ${aggregates.name}) AS aggregates FROM ${hosts.name} ORDER BY name`,
    parameters: [...roles, since, ...roles],
  });
  for (const row of rows) {
    row['generation'] = Number(row['generation']);
    row['enabled'] = Boolean(row['enabled']);
    row['heard'] = Boolean(row['heard']);
  }
  const [first] = rows;
  return {
    all: rows as unknown as HostNow[],
    agents: Number(first?.['agents'] ?? 0),
    aggregates: Number(first?.['aggregates'] ?? 0),
  };
}

/** Hosts whose agents of all these roles were heard since a time. */
export async function hostsHeard(session: ReadSession, roles: readonly string[], since: number): Promise<Set<string>> {
  const rows = await readRaw(managerOf(session), {
    sql: `SELECT host FROM ${agents.name} WHERE heard_at >= ? AND role IN (${places(roles)}) GROUP BY host HAVING COUNT(*) = ?`,
    parameters: [since, ...roles, roles.length],
  });
  return new Set(rows.map(({ host }) => String(host)));
}

/** What servers show of their hosts. */
export interface ShownHost {
  readonly name: string;
  readonly enabled: boolean;
  readonly zone: string;
  /** Whether its agents of all roles were heard. */
  readonly alive: boolean;
}

/** These hosts, in one statement. @param since who was not heard since is silent */
export async function hostsShown(
  session: ReadSession,
  roles: readonly string[],
  since: number,
  names: readonly string[],
): Promise<ShownHost[]> {
  if (names.length === 0) return [];
  const parameters: unknown[] = [...roles, since, roles.length];
  const named = inSql({ quoted: 'name' }, names, parameters, engineFor(session));
  const rows = await readRaw(managerOf(session), {
    sql: `SELECT name, enabled, availability_zone AS zone,
      (SELECT COUNT(*) FROM ${agents.name} AS agents WHERE agents.host = hosts.name AND role IN (${places(roles)}) AND heard_at >= ?) = ? AS alive
      FROM ${hosts.name} AS hosts WHERE ${named}`,
    parameters,
  });
  for (const row of rows) {
    row['enabled'] = Boolean(row['enabled']);
    row['alive'] = Boolean(row['alive']);
  }
  return rows as unknown as ShownHost[];
}
