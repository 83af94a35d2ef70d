// Watches the hosts of routers: places routers that wait for one, moves those whose host fails. Every controller does it; none is special.
import { AGENT_TIMEOUT_MS, messageOf } from '@cumulet/common';
import type { Cloud } from '../../cloud';
import { moveRouters, placeWaitingRouters } from './routerHosts';

export interface RouterWatch {
  start(): void;
  /** Resolves when nothing runs any more. */
  stop(): Promise<void>;
}

const WATCH_MS = 1_000;
/** A watch that slept longer than this missed heartbeats that were sent. */
const GAP_MS = 5_000;

export function createRouterWatch(cloud: Cloud): RouterWatch {
  const { clock, log } = cloud;
  const stopping = new AbortController();
  let running: Promise<void> = Promise.resolve();

  /**
   * A host is called down only after this process could hear it for a whole time-out. Or else the first host to be heard after
   * the controllers or the database were away would get all routers.
   */
  const watch = async (): Promise<void> => {
    let hearing = clock.now();
    for (let last = hearing; ; last = clock.now()) {
      await clock.tick(WATCH_MS, stopping.signal);
      if (stopping.signal.aborted) return;
      const now = clock.now();
      if (now - last > GAP_MS) hearing = now;
      const look = now - hearing < AGENT_TIMEOUT_MS ? placeWaitingRouters : moveRouters;
      const heard = await look(cloud).catch((error: unknown) => {
        log.error({ error: messageOf(error) }, 'the hosts of routers could not be looked at');
        return false;
      });
      if (!heard) hearing = now;
    }
  };

  return {
    start: () => {
      running = watch();
    },
    stop: async () => {
      stopping.abort();
      await running;
    },
  };
}
