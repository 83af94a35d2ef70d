// Follows the controller's change feed: the desired state as far as it was told.
import { CumuletError, type AgentApi } from '@cumulet/common';
import { applyChanges, nothingDesired, type Desired } from './desired';

export interface Feed {
  /** Undefined until the controller told everything once: before that nothing on the host may be judged superfluous. */
  readonly desired: Desired | undefined;
  readonly sequence: number;
  /** Asks for what is new. @returns whether there was anything */
  pull(): Promise<boolean>;
  /** Asks for everything anew next time, as after another registration. */
  restart(): void;
}

export function createFeed(api: Pick<AgentApi, 'networkChanges'>, host: string): Feed {
  let desired: Desired | undefined;
  let sequence = 0;
  let since = 0;
  let asked = 0;
  return {
    get desired() {
      return desired;
    },
    get sequence() {
      return sequence;
    },
    restart: () => {
      since = 0;
    },
    pull: async () => {
      const question = ++asked;
      const changes = await api.networkChanges(host, since);
      // Somebody did not wait for this answer and has asked again: the next one has it all.
      if (question !== asked) return false;
      if (since === 0 && !changes.reload) {
        throw new CumuletError(
          'bad_changes',
          'the controller answered the first question of the feed without the whole state',
        );
      }
      const isNew = desired === undefined || changes.reload || changes.objects.length + changes.gone.length > 0;
      // Where nothing is new it stays the same object: what was planned from it is still right.
      if (isNew) desired = applyChanges(desired ?? nothingDesired, changes);
      sequence = changes.sequence;
      since = changes.sequence;
      return isNew;
    },
  };
}
