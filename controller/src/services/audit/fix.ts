// Puts right what the audit found: rows and sums in one transaction, hosts by having their agents register again.
import type { Cloud } from '../../cloud';
import { In, type WriteSession } from '../../db';
import { agents } from '../../db/entities/tasks';
import { audit, type AuditReport } from './audit';
import { recount } from './balances';
import type { Finding } from './compare';
import { removeDangling } from './dangling';
import { endUnattended } from './unattended';

export interface FixReport extends AuditReport {
  /** What was found before and is not there any more. */
  readonly fixed: readonly Finding[];
}

/** What a host has put right by then counts as fixed; agents hear of it by their next heartbeat. */
const PATIENCE_MS = 20_000;
const LOOK_MS = 1_000;

/**
 * Ends the sessions of the agents of these hosts. Each is told so by its next heartbeat, registers, and brings its host in line
 * before it takes commands, as after every start.
 */
async function endSessions(session: WriteSession, hosts: readonly string[]): Promise<void> {
  const known = await session.find(agents, { where: { host: In([...hosts]) }, lock: 'exclusive' });
  for (const { id, session: number } of known) await session.update(agents, { id }, { session: number + 1 });
}

const keyOf = ({ type, host, kind, id }: Finding): string => JSON.stringify([type, host, kind, id]);

/** Repairs, and looks until nothing is found or patience ends. What is left is named in the report as by {@link audit}. */
export async function fixFindings(cloud: Cloud): Promise<FixReport> {
  const { findings: before } = await audit(cloud);
  // A host that does not answer has no agent that could do anything.
  const hosts = new Set(before.flatMap(({ host, kind }) => (host !== null && kind !== 'host' ? [host] : [])));
  await cloud.db.write(async (session) => {
    await endUnattended(session, cloud);
    await removeDangling(session, cloud);
    await recount(session);
    await endSessions(session, [...hosts]);
  });
  const end = cloud.clock.now() + PATIENCE_MS;
  let after = await audit(cloud);
  while (after.findings.some(({ host }) => host !== null && hosts.has(host)) && cloud.clock.now() < end) {
    await cloud.clock.sleep(LOOK_MS);
    after = await audit(cloud);
  }
  const left = new Set(after.findings.map(keyOf));
  return { ...after, fixed: before.filter((finding) => !left.has(keyOf(finding))) };
}
