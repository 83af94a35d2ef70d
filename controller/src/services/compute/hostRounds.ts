// Decisions that come close together are made on one look at all hosts, as a cloud of a thousand of them needs.
import { setTimeout as pause } from 'node:timers/promises';
import type { Cloud } from '../../cloud';
import type { HostView } from '../../scheduler/scheduler';
import { hostViews } from '../hosts';

/** For how long decisions are gathered after a look at the hosts, in milliseconds. */
const GATHER_MS = 50;

interface Rounds {
  /** When the last look began. */
  begun: number;
  /** The look that has not begun yet: who joins it sees nothing older than its question. */
  next: Promise<HostView[]> | undefined;
}
const rounds = new WeakMap<Cloud, Rounds>();

/**
 * All hosts as they are now: at once, or together with others that ask soon after a look. Who decides changes the list, so that the
 * next decision of the round counts it in; a claim looks at the host's row itself.
 */
export function hostsOfRound(cloud: Cloud): Promise<HostView[]> {
  const state = rounds.get(cloud) ?? { begun: -Infinity, next: undefined };
  rounds.set(cloud, state);
  const look = async (): Promise<HostView[]> => {
    const wait = state.begun + GATHER_MS - performance.now();
    if (wait > 0) await pause(wait);
    state.begun = performance.now();
    state.next = undefined;
    return cloud.db.read((session) => hostViews(session, cloud.clock.now()));
  };
  return (state.next ??= Promise.resolve().then(look));
}
