// Finds out that the daemon hangs: pings it when it is silent and gives up after some unanswered pings.

/** The timers that keepalive needs; tests bring their own. */
export interface Timers {
  setTimeout(callback: () => void, ms: number): unknown;
  clearTimeout(timer: unknown): void;
}

const systemTimers: Timers = {
  setTimeout: (callback, ms) => setTimeout(callback, ms).unref(),
  clearTimeout: (timer) => clearTimeout(timer as NodeJS.Timeout),
};

export interface KeepaliveOptions {
  /** Silence after which a ping is sent, in milliseconds. */
  intervalMs: number;
  /** Unanswered pings after which the daemon counts as hung. */
  misses: number;
}

export interface Keepalive {
  /** Something arrived: the daemon lives. */
  heard(): void;
  /** Stop watching for as long as we ourselves don't read. */
  suspend(): void;
  resume(): void;
  stop(): void;
}

/** Watches one connection: `ping` sends a ping, `dead` is called once when `misses` pings got no answer. */
export function startKeepalive(
  { intervalMs, misses }: KeepaliveOptions,
  ping: () => void,
  dead: (silentMs: number) => void,
  timers: Timers = systemTimers,
): Keepalive {
  let unanswered = 0;
  let stopped = false;
  let timer: unknown;
  const disarm = (): void => timers.clearTimeout(timer);
  const arm = (): void => {
    disarm();
    if (!stopped) timer = timers.setTimeout(tick, intervalMs);
  };
  const tick = (): void => {
    if (unanswered >= misses) {
      stopped = true;
      dead(intervalMs * (unanswered + 1));
      return;
    }
    unanswered++;
    ping();
    arm();
  };
  const heard = (): void => {
    unanswered = 0;
    arm();
  };
  arm();
  return {
    heard,
    suspend: disarm,
    resume: heard,
    stop() {
      stopped = true;
      disarm();
    },
  };
}
