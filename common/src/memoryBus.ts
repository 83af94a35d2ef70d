// The bus within one process: every message goes through JSON and its schema, and tests can drop, double and delay them.
import type { Bus, Subscription } from './bus';
import { commandRole, type AgentRole, type Command, type Reply } from './messages/commands';
import { parseCommand, parseReply } from './messages/parse';

/** What happens to one message; chosen by a test, "deliver" otherwise. */
export type Delivery = 'deliver' | 'drop' | 'double' | { readonly delayMs: number };
export type Mischief = (direction: 'command' | 'reply', message: Command | Reply) => Delivery;

/** A bus for one process. `mischief` decides the fate of each message. */
export function createMemoryBus(mischief: Mischief = () => 'deliver'): Bus {
  const agents = new Map<string, Set<(command: Command) => void>>();
  const controllers = new Set<(reply: Reply) => Promise<void>>();
  const listeners = new Set<{ readonly host: string; readonly listener: (sequence: number) => void }>();

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
    declareHost: () => Promise.resolve(),
    async sendCommand(command) {
      const text = JSON.stringify(command);
      const checked = parseCommand(text);
      const queue = `${checked.host}/${commandRole[checked.kind]}`;
      schedule(mischief('command', checked), () => {
        for (const handler of agents.get(queue) ?? []) handler(parseCommand(text));
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
      const checked = parseReply(JSON.stringify(reply));
      schedule(mischief('reply', checked), () => deliverReply(checked));
      return Promise.resolve();
    },
    async onReply(handler) {
      return Promise.resolve(subscribe(controllers, handler));
    },
    async hintChanges(sequence, hosts) {
      for (const { host, listener } of listeners)
        if (!hosts || hosts.includes(host)) setImmediate(() => listener(sequence));
      return Promise.resolve();
    },
    async onChanges(host, listener) {
      return Promise.resolve(subscribe(listeners, { host, listener }));
    },
  };
}
