// The bus within one process: every message goes through JSON and its schema, and tests can drop, double and delay them.
import type { Bus, Subscription } from './bus';
import { CumuletError } from './errors';
import { commandBodies, commandRole, CommandSchema, Reply, type AgentRole, type Command } from './messages/commands';
import { fits, schemaProblem } from './schema';

/** What happens to one message; chosen by a test, "deliver" otherwise. */
export type Delivery = 'deliver' | 'drop' | 'double' | { readonly delayMs: number };
export type Mischief = (direction: 'command' | 'reply', message: Command | Reply) => Delivery;

function checkedCommand(text: string): Command {
  const value: unknown = JSON.parse(text);
  if (!fits(CommandSchema, value) || !(value.kind in commandBodies)) {
    throw new CumuletError('bad_message', 'a command does not fit its schema');
  }
  const command = value as Command;
  const problem = schemaProblem(commandBodies[command.kind], command.body);
  if (problem) throw new CumuletError('bad_message', `${command.kind}${problem.path}: ${problem.message}`);
  return command;
}

function checkedReply(text: string): Reply {
  const value: unknown = JSON.parse(text);
  const problem = schemaProblem(Reply, value);
  if (problem)
    throw new CumuletError('bad_message', `a reply does not fit its schema: ${problem.path} ${problem.message}`);
  return value as Reply;
}

/** A bus for one process. `mischief` decides the fate of each message. */
export function createMemoryBus(mischief: Mischief = () => 'deliver'): Bus {
  const agents = new Map<string, Set<(command: Command) => void>>();
  const controllers = new Set<(reply: Reply) => Promise<void>>();
  const listeners = new Set<(sequence: number) => void>();

  const schedule = (fate: Delivery, deliver: () => void): void => {
    if (fate === 'drop') return;
    const later = typeof fate === 'object' ? fate.delayMs : undefined;
    if (later === undefined) setImmediate(deliver);
    else setTimeout(deliver, later).unref();
    if (fate === 'double') setImmediate(deliver);
  };
  const deliverReply = (reply: Reply): void => {
    // Like a broker, one consumer takes each reply; a refused one comes again.
    const [handler] = controllers;
    handler?.(reply).catch(() => setTimeout(() => deliverReply(reply), 100).unref());
  };
  const subscribe = <T>(set: Set<T>, item: T): Subscription => {
    set.add(item);
    return {
      close: () => {
        set.delete(item);
        return Promise.resolve();
      },
    };
  };

  return {
    async sendCommand(command) {
      const text = JSON.stringify(command);
      const checked = checkedCommand(text);
      const queue = `${checked.host}/${commandRole[checked.kind]}`;
      schedule(mischief('command', checked), () => {
        for (const handler of agents.get(queue) ?? []) handler(checkedCommand(text));
      });
      return Promise.resolve();
    },
    async onCommand(host, role: AgentRole, handler) {
      const queue = `${host}/${role}`;
      const handlers = agents.get(queue) ?? new Set();
      agents.set(queue, handlers);
      return Promise.resolve(subscribe(handlers, handler));
    },
    async sendReply(reply) {
      const checked = checkedReply(JSON.stringify(reply));
      schedule(mischief('reply', checked), () => deliverReply(checked));
      return Promise.resolve();
    },
    async onReply(handler) {
      return Promise.resolve(subscribe(controllers, handler));
    },
    async hintChanges(sequence) {
      for (const listener of listeners) setImmediate(() => listener(sequence));
      return Promise.resolve();
    },
    async onChanges(_host, handler) {
      return Promise.resolve(subscribe(listeners, handler));
    },
  };
}
