// The loop that all agents share: register, reconcile, then take commands; heartbeats meanwhile.
import type { AgentApi, Expected, Heard } from './agentApi';
import type { Bus, Subscription } from './bus';
import type { Clock } from './clock';
import { createCommandQueue, type CommandHandlers, type CommandQueue } from './commandQueue';
import { CumuletError } from './errors';
import type { Logger } from './log';
import type { AgentRole, Command } from './messages/commands';

export interface AgentOptions {
  readonly host: string;
  readonly role: AgentRole;
  readonly bus: Bus;
  readonly api: AgentApi;
  readonly clock: Clock;
  readonly log: Logger;
  readonly handlers: CommandHandlers;
  /** What the host has, sent at registration. */
  inventory(): Promise<Record<string, unknown>>;
  /** Brings the host in line with what should be on it: removes the rest of what carries our mark. Runs before any command. */
  reconcile(expected: readonly Expected[]): Promise<void>;
  /** Milliseconds between heartbeats; default 2,000. */
  readonly heartbeatMs?: number;
  /** Is told which heartbeats and registrations a controller took. */
  readonly contact?: ContactListener;
}

export interface ContactListener {
  /** @param sentAt - when it was sent, by `performance.now()`: the controllers heard it later, or then */
  taken(sentAt: number, heard?: Heard): void;
  missed(error: unknown): void;
}

export interface Agent {
  /** Registers, again and again until it works, and starts to take commands. Resolves when it does, or when stopped. */
  start(): Promise<void>;
  /** Takes no more commands and resolves when nothing runs any more. */
  stop(): Promise<void>;
  /** The session of the last registration; undefined before the first. */
  session(): number | undefined;
}

const HEARTBEAT_MS = 2_000;
const LONGEST_PAUSE_MS = 10_000;

/** Whether the controller no longer knows the session: another agent registered, or its memory of ours is gone. */
const isStale = (error: unknown): boolean => error instanceof CumuletError && error.code === 'stale_session';

export function createAgent(options: AgentOptions): Agent {
  const { host, role, bus, api, clock, log } = options;
  const stopping = new AbortController();
  let session: number | undefined;
  let queue: CommandQueue | undefined;
  /** Commands that arrive while the agent registers and reconciles its host; undefined when they may run at once. */
  let held: Command[] | undefined;
  let subscription: Subscription | undefined;
  let heartbeats: Promise<void> | undefined;

  const take = (command: Command): void => {
    const { task, step } = command;
    if (command.session === session) queue?.take(command);
    else log.info({ task, step, session: command.session }, 'command of another session dropped');
  };
  // The controller may ask before the agent knows the session that it asks for.
  const onCommand = (command: Command): void => {
    if (held) held.push(command);
    else take(command);
  };

  /** One registration from beginning to end. Work of the session before ends first: two never act on one resource. */
  const register = async (): Promise<void> => {
    session = undefined;
    held = [];
    await queue?.stop();
    queue = undefined;
    const inventory = await options.inventory();
    const sentAt = performance.now();
    const registered = await api.register({ host, role, inventory });
    options.contact?.taken(sentAt);
    const generations = new Map(registered.expected.map(({ id, generation }) => [id, generation]));
    queue = createCommandQueue({ host, bus, log, handlers: options.handlers, generations });
    session = registered.session;
    subscription ??= await bus.onCommand(host, role, onCommand);
    await options.reconcile(registered.expected);
    const waiting = held;
    held = undefined;
    waiting.forEach(take);
    log.info({ session, expected: registered.expected.length }, 'registered');
  };

  const registerUntilDone = async (): Promise<void> => {
    for (let attempt = 0; !stopping.signal.aborted; attempt++) {
      try {
        return await register();
      } catch (error) {
        log.warn({ err: error, attempt }, 'registration did not succeed; it is tried again');
        await clock.sleep(Math.min(LONGEST_PAUSE_MS, 250 * 2 ** Math.min(attempt, 10)), stopping.signal);
      }
    }
  };

  const beat = async (): Promise<void> => {
    let failing = false;
    for (;;) {
      await clock.tick(options.heartbeatMs ?? HEARTBEAT_MS, stopping.signal);
      if (stopping.signal.aborted) return;
      if (session === undefined) continue;
      const sentAt = performance.now();
      try {
        const heard = await api.heartbeat(host, role, session);
        options.contact?.taken(sentAt, heard);
        if (failing) log.info('heartbeats are heard again');
        failing = false;
      } catch (error) {
        // The registration itself may take long and hangs on nothing here, so heartbeats of the new session go on.
        if (isStale(error)) void renew();
        options.contact?.missed(error);
        if (!failing) log.warn({ err: error }, 'heartbeat failed');
        failing = true;
      }
    }
  };

  let registering: Promise<void> | undefined;
  const renew = (): Promise<void> => {
    registering ??= registerUntilDone().finally(() => (registering = undefined));
    return registering;
  };

  return {
    async start() {
      heartbeats ??= beat();
      await renew();
    },
    async stop() {
      stopping.abort();
      await subscription?.close();
      await registering;
      await queue?.stop();
      await heartbeats;
      // A registration that was under way may have subscribed meanwhile.
      await subscription?.close();
    },
    session: () => session,
  };
}
