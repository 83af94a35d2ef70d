// An agent's commands: late ones dropped, one at a time per resource, the newest wins, each answered with what came of it.
import type { Bus } from './bus';
import { CumuletError, HostError, messageOf } from './errors';
import type { Logger } from './log';
import type { Command, CommandKind, Reply } from './messages/commands';
import { metrics } from './metrics';

export interface CommandContext {
  /** Aborted when a newer command for the resource waits or the agent stops: end at the next safe point by throwing. */
  readonly signal: AbortSignal;
  /** Tells the task how far long work has come. */
  readonly progress: (observed: Readonly<Record<string, unknown>>) => Promise<void>;
}

/** Carries out one kind of command and answers what it observed. Must do no harm when run twice. */
export type CommandHandler<K extends CommandKind> = (
  command: Command<K>,
  context: CommandContext,
) => Promise<Record<string, unknown>>;
export type CommandHandlers = { readonly [K in CommandKind]?: CommandHandler<K> };

export interface CommandQueue {
  /** Takes a command over: runs it, lets it wait for the resource, or drops it. */
  take(command: Command): void;
  /** Aborts what runs, forgets what waits and resolves when nothing runs any more. */
  stop(): Promise<void>;
}

interface Running {
  /** The newest send of this work: the reply names it. */
  command: Command;
  readonly abort: AbortController;
}

interface Slot {
  generation: number;
  /** The work that was last accepted, by task and step. */
  current: string;
  /** The highest send of each earlier work of this generation: a doubled message must not bring it back. */
  readonly past: Map<string, number>;
  send: number;
  running?: Running;
  waiting?: Command;
}

const workOf = (command: Command): string => `${command.task}/${command.step}/${command.kind}`;

/** Why a command must not run any more, or undefined after noting it as the newest. */
function outdated(slot: Slot, command: Command): string | undefined {
  if (command.generation < slot.generation) return `generation ${command.generation} is older than ${slot.generation}`;
  const work = workOf(command);
  if (command.generation > slot.generation) {
    slot.past.clear();
    slot.generation = command.generation;
  } else if (work !== slot.current) {
    const last = slot.past.get(work);
    if (last !== undefined && command.send <= last) return 'a later step was sent already';
    slot.past.set(slot.current, slot.send);
  }
  slot.send = work === slot.current ? Math.max(slot.send, command.send) : command.send;
  slot.current = work;
  return undefined;
}

/** The fault that a task stores: only a HostError's words are fit for the owner of the resource. */
function faultOf(error: unknown, kind: string): NonNullable<Reply['fault']> {
  if (error instanceof HostError) return { code: error.code, message: error.message, retryable: error.retryable };
  const code = error instanceof CumuletError ? error.code : 'internal_error';
  return { code, message: `${kind} failed on the host for an internal reason that its log names`, retryable: true };
}

/** What an administrator may read about a failure. */
function factsOf(error: unknown): Record<string, unknown> {
  const facts = error instanceof CumuletError ? error.facts : {};
  const cause = error instanceof Error && error.cause !== undefined ? messageOf(error.cause) : undefined;
  return { ...facts, error: messageOf(error), ...(cause === undefined ? {} : { cause }) };
}

export interface CommandQueueOptions {
  readonly host: string;
  readonly bus: Bus;
  readonly log: Logger;
  readonly handlers: CommandHandlers;
  /** The newest generation known for a resource before its first command. */
  readonly generations?: ReadonlyMap<string, number>;
}

export function createCommandQueue({ host, bus, log, handlers, generations }: CommandQueueOptions): CommandQueue {
  const slots = new Map<string, Slot>();
  const runs = new Set<Promise<void>>();
  let stopped = false;

  const reply = async (command: Command, rest: Pick<Reply, 'outcome' | 'observed' | 'fault'>): Promise<void> => {
    const { task, step, send, kind } = command;
    try {
      await bus.sendReply({ task, step, send, host, kind, ...rest });
    } catch (error) {
      log.warn({ err: error, task, step }, 'a reply was not handed over; the controller will send the command again');
    }
  };

  const carryOut = async (running: Running): Promise<void> => {
    const { command, abort } = running;
    const { task, step, kind, resource, request_id } = command;
    const facts = { task, step, kind, resource, request_id };
    const measure = metrics.commands.startTimer({ kind });
    const handler = handlers[command.kind] as CommandHandler<CommandKind> | undefined;
    const context: CommandContext = {
      signal: abort.signal,
      progress: (observed) => reply(running.command, { outcome: 'progress', observed, fault: null }),
    };
    try {
      if (!handler) {
        throw new HostError('unknown_command', `this host's agent can't carry out ${command.kind}`, {
          retryable: false,
        });
      }
      const observed = await handler(command, context);
      log.info({ ...facts, seconds: measure({ outcome: 'done' }) }, 'command carried out');
      await reply(running.command, { outcome: 'done', observed, fault: null });
    } catch (error) {
      // A newer command took over: its reply counts, and this one's failure must not end a task.
      if (abort.signal.aborted) return log.info({ ...facts, err: error }, 'command given up');
      measure({ outcome: 'failed' });
      log.error({ ...facts, err: error }, 'command failed');
      await reply(running.command, {
        outcome: 'failed',
        observed: factsOf(error),
        fault: faultOf(error, command.kind),
      });
    }
  };

  const run = (slot: Slot, command: Command): void => {
    const running = (slot.running = { command, abort: new AbortController() });
    const finished = carryOut(running).finally(() => {
      runs.delete(finished);
      delete slot.running;
      const next = slot.waiting;
      delete slot.waiting;
      if (next && !stopped) run(slot, next);
    });
    runs.add(finished);
  };

  const slotOf = (resource: string): Slot => {
    let slot = slots.get(resource);
    if (!slot) {
      slot = { generation: generations?.get(resource) ?? 0, current: '', past: new Map(), send: 0 };
      slots.set(resource, slot);
    }
    return slot;
  };

  return {
    take(command) {
      if (stopped) return;
      const slot = slotOf(command.resource);
      const reason = outdated(slot, command);
      if (reason !== undefined) {
        log.info({ task: command.task, step: command.step, resource: command.resource, reason }, 'command dropped');
      } else if (!slot.running) {
        run(slot, command);
      } else if (workOf(slot.running.command) === workOf(command) && !slot.running.abort.signal.aborted) {
        if (command.send > slot.running.command.send) slot.running.command = command;
      } else {
        slot.waiting = command;
        slot.running.abort.abort();
      }
    },
    async stop() {
      stopped = true;
      for (const slot of slots.values()) slot.running?.abort.abort();
      await Promise.all(runs);
    },
  };
}
