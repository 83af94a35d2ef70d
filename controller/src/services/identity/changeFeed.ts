// The feed of identity changes: written in the transaction that changes something, applied here at once and elsewhere within a second.
import type { Clock } from '@cumulet/common';
import { LessThan, MoreThan, type Database, type WriteSession } from '../../db';
import { identityChanges, type IdentityChange } from '../../db/entities/identity';
import type { Revocation } from './revocations';

/** MariaDB gives out sequence numbers in another order than it commits them, so the last ones are read again while they are young. */
const OVERLAP = { sqlite: 0, mariadb: 200 } as const;
const YOUNG_MS = 60_000;

export interface ChangeFeed {
  /** Notes a change; it takes effect when the transaction commits. Everything left out is null. */
  record(session: WriteSession, change: Partial<Revocation>): Promise<void>;
  /** Applies what others have written since the last time. */
  poll(): Promise<void>;
  /** Deletes changes made before a time. */
  prune(before: number): Promise<void>;
}

const NOTHING: Revocation = {
  audit_id: null,
  audit_chain_id: null,
  user_id: null,
  project_id: null,
  domain_id: null,
  issued_before: null,
};

/** Opens the feed and applies all that is in it. `apply` may see a change twice. */
export async function openChangeFeed(
  db: Database,
  clock: Clock,
  apply: (change: Revocation, at: number) => void,
): Promise<ChangeFeed> {
  let last = 0;
  let seen = new Set<number>();

  const take = (row: IdentityChange): void => {
    if (seen.has(row.sequence)) return;
    seen.add(row.sequence);
    last = Math.max(last, row.sequence);
    apply(row, row.created_at);
  };

  async function poll(): Promise<void> {
    const from = last - OVERLAP[db.engine];
    const young = { sequence: MoreThan(from), created_at: MoreThan(clock.now() - YOUNG_MS) };
    const where = db.engine === 'sqlite' ? { sequence: MoreThan(last) } : [{ sequence: MoreThan(last) }, young];
    const rows = await db.read((session) => session.find(identityChanges, { where, order: { sequence: 'ASC' } }));
    rows.forEach(take);
    if (seen.size > 2 * OVERLAP.mariadb) seen = new Set([...seen].filter((sequence) => sequence >= from));
  }

  await poll();
  return {
    async record(session, change) {
      const at = clock.now();
      const row = { ...NOTHING, ...change, created_at: at };
      const sequence = await session.insert(identityChanges, row);
      session.afterCommit(() => take({ ...row, sequence }));
    },
    poll,
    async prune(before) {
      await db.write((session) => session.delete(identityChanges, { created_at: LessThan(before) }));
    },
  };
}
