// Decisions that come close together are made on one look at all hosts, as a cloud of a thousand of them needs.
import type { Cloud } from '../../cloud';
import { createCloudRounds } from '../../rounds';
import type { HostView } from '../../scheduler/scheduler';
import { hostViews } from '../hosts';
import { readImageHosts } from './placementRequest';

const look = createCloudRounds(async (cloud: Cloud, questions: readonly void[]) => {
  const views = await cloud.db.read((session) => hostViews(session, cloud.clock.now()));
  return questions.map(() => views);
});

/**
 * All hosts as they are now: at once, or together with others that ask soon after a look. Who decides changes the list, so that the
 * next decision of the round counts it in; a claim looks at the host's row itself.
 */
export const hostsOfRound = (cloud: Cloud): Promise<HostView[]> => look(cloud);

/** Hosts that have an image, read once for all that ask for it in a round. */
export const imageHostsOfRound = createCloudRounds(
  (cloud: Cloud, ids: readonly string[]) =>
    cloud.db.read(async (session) => {
      const reading = new Map([...new Set(ids)].map((id) => [id, readImageHosts(session, id)]));
      return Promise.all(ids.map((id) => reading.get(id) as Promise<ReadonlySet<string>>));
    }),
  { eager: true },
);
