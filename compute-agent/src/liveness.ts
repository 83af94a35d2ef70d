// Tells the controller what happens to servers by themselves: a guest that powers off or crashes, a host that came back.
import type { AgentApi, Clock, Expected, Logger, ObservedServer } from '@cumulet/common';
import { Stats } from '@cumulet/libvirt';
import type { Hypervisor } from './hypervisor';
import { hasOurName } from './layout';
import { powerOf, whyOff } from './power';

export interface Liveness {
  /** Reports every server of ours, and as off those that should be here but are not. */
  reportAll(expected: readonly Expected[]): Promise<void>;
  /**
   * Runs a command's work, after which the server has the power state that it resolves with: the command's own answer tells
   * it, so it is reported only when it is another one by then. Undefined: the server is gone.
   */
  during<T extends { readonly power?: ObservedServer['power'] }>(serverId: string, work: () => Promise<T>): Promise<T>;
  /** Resolves when nothing is being reported. */
  stop(): Promise<void>;
}

export interface LivenessOptions {
  readonly host: string;
  readonly api: Pick<AgentApi, 'reportServers'>;
  readonly hypervisor: Hypervisor;
  readonly clock: Clock;
  readonly log: Logger;
  readonly domainPrefix: string;
  /** How often everything is told again, in milliseconds: a report may come while a task holds the server, and is ignored then. */
  readonly tellAllMs?: number;
}

const TRY_AGAIN_MS = 3_000;
const QUIET = new Set(['defined', 'undefined']);

/** virDomainState by number, as the statistics give it; names as in `DomainStateName`. */
const STATES = ['none', 'running', 'blocked', 'paused', 'shutting-down', 'shut-off', 'crashed', 'pm-suspended'];

export function createLiveness(options: LivenessOptions): Liveness {
  const { host, api, hypervisor, clock, log, domainPrefix, tellAllMs = 20_000 } = options;
  const stopping = new AbortController();
  const busy = new Map<string, number>();
  const changed = new Set<string>();
  /** For each look that is under way the servers that a command has worked on meanwhile. */
  const looks = new Set<Set<string>>();
  /** What the controller was last told. */
  const told = new Map<string, ObservedServer['power']>();
  let pump: Promise<void> | undefined;

  const seen = async (id: string, state: string, reason: number): Promise<ObservedServer> => {
    const off = state === 'shut-off';
    const why = off ? whyOff(reason) : undefined;
    const power = powerOf(state, reason, off && (await hypervisor.hasManagedSave(id)));
    return { id, power, ...(why === undefined ? {} : { why }) };
  };

  const absent = (id: string): ObservedServer => ({
    id,
    power: 'shutdown',
    why: 'its domain is no longer defined on its host; starting the server defines it again',
  });

  const look = async (id: string): Promise<ObservedServer> => {
    const domain = await hypervisor.domainState(id);
    return domain ? seen(id, domain.state, domain.reason) : absent(id);
  };

  const tell = async (servers: readonly ObservedServer[]): Promise<void> => {
    if (servers.length === 0) return;
    await api.reportServers(host, servers);
    for (const { id, power } of servers) told.set(id, power);
  };

  /** What a look sees, but for servers that a command works on meanwhile: half of its work is nothing to tell, and is looked at again. */
  const settled = async (observe: () => Promise<readonly ObservedServer[]>): Promise<ObservedServer[]> => {
    const worked = new Set(busy.keys());
    looks.add(worked);
    try {
      const servers = await observe();
      // One that a command has removed meanwhile is not told of any more.
      for (const { id } of servers) if (worked.has(id) && (busy.has(id) || told.has(id))) changed.add(id);
      return servers.filter(({ id }) => !worked.has(id));
    } finally {
      looks.delete(worked);
    }
  };

  /** What was told of before and is not there any more, as after `virsh undefine`: no event may have said so. */
  const vanished = (present: readonly ObservedServer[]): string[] => {
    const ids = new Set(present.map(({ id }) => id));
    return [...told.keys()].filter((id) => !ids.has(id));
  };

  /** Every server of ours, by one question however many there are. */
  const observeAll = async (): Promise<ObservedServer[]> => {
    const all = await hypervisor.allDomainStats(Stats.STATE);
    const ours = all.filter(({ domain }) => hasOurName(domainPrefix, domain));
    return Promise.all(
      ours.map(({ domain, statistics }) => {
        const state = STATES[Number(statistics['state.state'])] ?? 'none';
        return seen(domain.uuid, state, Number(statistics['state.reason']));
      }),
    );
  };

  const reportChanged = async (): Promise<void> => {
    for (;;) {
      const ids = [...changed].filter((id) => !busy.has(id));
      if (ids.length === 0 || stopping.signal.aborted) return;
      for (const id of ids) changed.delete(id);
      try {
        const servers = await settled(() => Promise.all(ids.map(look)));
        await tell(servers.filter(({ id, power }) => told.get(id) !== power));
      } catch (error) {
        log.warn({ err: error, servers: ids }, 'the state of servers was not reported; it is tried again');
        for (const id of ids) changed.add(id);
        await clock.sleep(TRY_AGAIN_MS, stopping.signal);
      }
    }
  };

  const report = (): void => {
    pump ??= reportChanged().finally(() => {
      pump = undefined;
      if (!stopping.signal.aborted && [...changed].some((id) => !busy.has(id))) report();
    });
  };

  const onLifecycle = ({ domain, event }: { domain: { name: string; uuid: string }; event: string }): void => {
    if (QUIET.has(event) || !hasOurName(domainPrefix, domain)) return;
    changed.add(domain.uuid);
    report();
  };
  hypervisor.on('lifecycle', onLifecycle);
  /** Looks at everything, however little is new. */
  const lookAtAll = async (why: string): Promise<void> => {
    try {
      const servers = await settled(async () => {
        const present = await observeAll();
        return [...present, ...vanished(present).map(absent)];
      });
      told.clear();
      await tell(servers);
      report();
    } catch (error) {
      log.warn({ err: error, why }, 'the servers of this host could not be looked at or reported');
    }
  };
  // Events of the meantime are lost.
  hypervisor.on('connected', () => void lookAtAll('reconnected'));
  const rounds = (async (): Promise<void> => {
    for (;;) {
      await clock.tick(tellAllMs, stopping.signal);
      if (stopping.signal.aborted) return;
      await lookAtAll('regular look');
    }
  })();

  return {
    async reportAll(expected) {
      const present = await observeAll();
      const ids = new Set(present.map(({ id }) => id));
      const missing = expected.filter(({ id }) => !ids.has(id)).map(({ id }) => absent(id));
      told.clear();
      await tell([...present, ...missing]);
    },
    async during(serverId, work) {
      busy.set(serverId, (busy.get(serverId) ?? 0) + 1);
      for (const worked of looks) worked.add(serverId);
      try {
        const result = await work();
        if (result.power === undefined) {
          told.delete(serverId);
          // Events of its removal are no news either.
          changed.delete(serverId);
        } else told.set(serverId, result.power);
        return result;
      } catch (error) {
        // Whatever it did is not in an answer.
        told.delete(serverId);
        changed.add(serverId);
        throw error;
      } finally {
        const left = (busy.get(serverId) ?? 1) - 1;
        if (left > 0) busy.set(serverId, left);
        else busy.delete(serverId);
        if (changed.has(serverId)) report();
      }
    },
    async stop() {
      stopping.abort();
      await rounds;
      await pump;
    },
  };
}
