// Whether the controllers hear this host. Those that don't give its routers to other hosts, and then it must not answer for them too.
import { AGENT_TIMEOUT_MS, CumuletError, type ContactListener, type Heard } from '@cumulet/common';

/** Milliseconds that are left to take addresses out of service before another host may have them. */
const MARGIN_MS = 2_000;

export interface Contact extends ContactListener {
  /** Routers whose outer addresses are out of service. */
  readonly withdrawn: ReadonlySet<string>;
  /** These routers are this host's now: those that are new since the last heartbeat were told to nobody. */
  sees(routers: Iterable<string>): void;
  /** Milliseconds in which it can't become too long, whatever happens; 0 when it may be already. */
  quietFor(): number;
  /**
   * Whether it has just become too long since a controller heard this host.
   * @param routers - those that are this host's now
   */
  isLost(routers: Iterable<string>): boolean;
  /**
   * The controllers have told which routers are this host's; it was asked at `askedAt`, which counts only once they hear it again.
   * @returns whether what was withdrawn is in service again
   */
  restore(askedAt: number): boolean;
}

/** Whether every controller's machine said that none runs there. One that does not run moves no router. */
const nobodyRuns = (error: unknown): boolean => error instanceof CumuletError && error.facts['refused'] === true;

/** @param now - milliseconds that only go forward */
export function createContact(now: () => number = () => performance.now()): Contact {
  let heardAt: number | undefined;
  let answeredAt = 0;
  let movable: readonly string[] = [];
  /** When the heartbeat was sent that told it. */
  let toldAt = -Infinity;
  /** When each router was first seen here. */
  let since: ReadonlyMap<string, number> = new Map();
  let stopped = false;
  let withdrawn: ReadonlySet<string> = new Set();
  const sees = (routers: Iterable<string>): void => {
    const at = now();
    since = new Map(Array.from(routers, (id) => [id, since.get(id) ?? at]));
  };
  const isSilent = (): boolean => heardAt !== undefined && now() - heardAt >= AGENT_TIMEOUT_MS - MARGIN_MS;

  return {
    get withdrawn() {
      return withdrawn;
    },
    sees,
    quietFor: () => (heardAt === undefined ? 0 : Math.max(0, heardAt + AGENT_TIMEOUT_MS - MARGIN_MS - now())),
    taken: (sentAt: number, heard?: Heard) => {
      heardAt = sentAt;
      answeredAt = now();
      stopped = false;
      if (!heard?.movable_routers) return;
      movable = heard.movable_routers;
      toldAt = sentAt;
    },
    missed: (error) => {
      stopped = nobodyRuns(error);
    },
    isLost: (routers) => {
      sees(routers);
      if (withdrawn.size > 0 || stopped || !isSilent()) return false;
      // Of those that came after the last heartbeat nobody has said whether others may take them.
      const untold = [...since].filter(([, seenAt]) => seenAt > toldAt);
      withdrawn = new Set([...movable, ...untold.map(([id]) => id)]);
      return withdrawn.size > 0;
    },
    restore: (askedAt) => {
      if (withdrawn.size === 0 || askedAt < answeredAt || isSilent()) return false;
      withdrawn = new Set();
      return true;
    },
  };
}
