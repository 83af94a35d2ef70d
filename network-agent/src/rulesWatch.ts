// Hears of changes to the host's packet rules without reading them: `nft monitor` prints when any table changes, those of iptables too.
import { messageOf, type Exec, type Logger } from '@cumulet/common';

const A_DAY_MS = 86_400_000;

export interface RulesWatch {
  /**
   * Whether no rule has changed since the call before the last one; false while nobody can tell. Sets of addresses are not rules.
   * Each call begins a new watch where the last has ended, and one that has just begun is believed from its second call on: nothing
   * says when it began to listen.
   */
  quiet(): boolean;
}

export function createRulesWatch(exec: Exec, log: Logger, signal: AbortSignal): RulesWatch {
  /** How often the running watch was asked; undefined when none runs. */
  let asked: number | undefined;

  const watch = async (): Promise<void> => {
    // Dies with us even when we are killed.
    const argv = ['setpriv', '--pdeathsig=KILL', 'nft', 'monitor'];
    try {
      await exec(argv, { untilOutput: true, timeout: A_DAY_MS, signal });
    } catch (error) {
      if (!signal.aborted)
        log.warn({ error: messageOf(error) }, 'packet rules are not watched: reading them each time');
    } finally {
      asked = undefined;
    }
  };

  return {
    quiet: () => {
      if (asked !== undefined) return ++asked > 1;
      if (signal.aborted) return false;
      asked = 0;
      void watch();
      return false;
    },
  };
}
