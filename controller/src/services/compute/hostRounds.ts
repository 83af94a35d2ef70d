// Decisions that come close together are made on one look at all hosts, as a cloud of a thousand of them needs.
import type { Cloud } from '../../cloud';
import { createRounds } from '../../rounds';
import type { HostView } from '../../scheduler/scheduler';
import { hostViews } from '../hosts';

const rounds = new WeakMap<Cloud, (question: void) => Promise<HostView[]>>();

/**
 * All hosts as they are now: at once, or together with others that ask soon after a look. Who decides changes the list, so that the
 * next decision of the round counts it in; a claim looks at the host's row itself.
 */
export function hostsOfRound(cloud: Cloud): Promise<HostView[]> {
  const look = async (questions: readonly void[]): Promise<HostView[][]> => {
    const views = await cloud.db.read((session) => hostViews(session, cloud.clock.now()));
    return questions.map(() => views);
  };
  const ask = rounds.get(cloud) ?? createRounds(look);
  rounds.set(cloud, ask);
  return ask();
}
