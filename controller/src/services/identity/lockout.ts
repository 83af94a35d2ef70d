// Counts failed logins and decides when an account is locked. The same reads and writes happen whether or not the account exists.
import { createHash } from 'node:crypto';
import type { Clock } from '@cumulet/common';
import { LessThan, type Database } from '../../db';
import { loginFailures } from '../../db/entities/identity';

export interface Lockout {
  locked(account: string): Promise<boolean>;
  /** Counts one more failure; while locked the count stays as it is, so that attempts do not prolong the lock. */
  failed(account: string): Promise<void>;
  succeeded(account: string): Promise<void>;
  /** Forgets failures that are too old to count. */
  prune(): Promise<void>;
}

export interface LockoutOptions {
  readonly db: Database;
  readonly clock: Clock;
  /** Failures until the lock; 0 never locks. */
  readonly attempts: number;
  /** Milliseconds. */
  readonly duration: number;
}

const digest = (account: string): string => createHash('sha256').update(account).digest('hex');

export function createLockout({ db, clock, attempts, duration }: LockoutOptions): Lockout {
  if (attempts === 0) {
    const nothing = (): Promise<void> => Promise.resolve();
    return { locked: () => Promise.resolve(false), failed: nothing, succeeded: nothing, prune: nothing };
  }
  const recent = (row: { last_at: number } | undefined): boolean =>
    row !== undefined && row.last_at + duration > clock.now();
  return {
    async locked(account) {
      const row = await db.read((session) => session.findOne(loginFailures, { id: digest(account) }));
      return recent(row) && (row?.failures ?? 0) >= attempts;
    },
    async failed(account) {
      const id = digest(account);
      await db.write(async (session) => {
        const row = await session.findOne(loginFailures, { id }, 'exclusive');
        if (!row) return session.insert(loginFailures, { id, failures: 1, last_at: clock.now() });
        const locked = recent(row) && row.failures >= attempts;
        const failures = recent(row) ? Math.min(row.failures + 1, attempts) : 1;
        return session.update(loginFailures, { id }, { failures, last_at: locked ? row.last_at : clock.now() });
      });
    },
    async succeeded(account) {
      const id = digest(account);
      if (!(await db.read((session) => session.findOne(loginFailures, { id })))) return;
      await db.write((session) => session.delete(loginFailures, { id }));
    },
    async prune() {
      await db.write((session) => session.delete(loginFailures, { last_at: LessThan(clock.now() - duration) }));
    },
  };
}
