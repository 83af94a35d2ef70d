// Compares what hosts have with what the database says they should have. Pure: it works on two lists.
import type { HostResource } from '@cumulet/common';

/** What is wrong, in words for an administrator. */
export interface Finding {
  /** `orphan`: on the host, but not in the database. `missing`: the other way round. `wrong`: the database disagrees with itself. */
  readonly type: 'orphan' | 'missing' | 'wrong';
  /** Null for the database itself. */
  readonly host: string | null;
  readonly kind: string;
  readonly id: string;
  readonly name: string;
  readonly message: string;
}

/** One thing that should be on the host. */
export interface ExpectedResource {
  readonly kind: string;
  readonly id: string;
  /** False: it may be there, but its absence is no fault (a stopped server's console log). */
  readonly required: boolean;
}

/** Orphans and what is missing on one host. `ids` are the ids of all resources that have a place on it. */
export function compareHost(
  host: string,
  expected: readonly ExpectedResource[],
  found: readonly HostResource[],
): Finding[] {
  const known = new Set(expected.map(({ id }) => id));
  const there = new Set(found.map(({ kind, id }) => `${kind} ${id}`));
  const orphans = found
    .filter(({ id }) => !known.has(id))
    .map(({ kind, id, name }): Finding => ({
      type: 'orphan',
      host,
      kind,
      id,
      name,
      message: `${kind} ${name} on ${host} belongs to ${id}, which should have nothing there`,
    }));
  const missing = expected
    .filter(({ kind, id, required }) => required && !there.has(`${kind} ${id}`))
    .map(({ kind, id }): Finding => ({
      type: 'missing',
      host,
      kind,
      id,
      name: '',
      message: `the ${kind} of ${id} is missing on ${host}`,
    }));
  return [...orphans, ...missing];
}

/** A number in the database that must equal what it counts. */
export interface Balance {
  readonly kind: string;
  readonly id: string;
  /** What the number counts: "vCPUs claimed". */
  readonly what: string;
  readonly recorded: number;
  readonly counted: number;
}

export function compareBalances(balances: readonly Balance[]): Finding[] {
  return balances
    .filter(({ recorded, counted }) => recorded !== counted)
    .map(({ kind, id, what, recorded, counted }) => ({
      type: 'wrong',
      host: null,
      kind,
      id,
      name: '',
      message: `${what} of ${kind} ${id}: ${recorded} recorded, but ${counted} counted`,
    }));
}
