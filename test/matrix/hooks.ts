// Loaded into each process of the crash matrix before its program: at each step, command and message it asks the matrix what to do.
import { request } from 'node:http';
import { setTimeout as pause } from 'node:timers/promises';
import type { Bus, CommandContext, CommandHandler, CommandHandlers, CommandKind, Reply } from '@cumulet/common';
import type { EngineObserver } from '@cumulet/controller';

/** Where a process has come to. */
export interface Sight {
  /** A step begins; has a result; sends a command; which begins at its host; is carried out; whose reply is heard. */
  readonly point: 'step' | 'result' | 'send' | 'command' | 'carried' | 'hear';
  readonly task: string;
  readonly step: string;
  /** The kind of the task and its server, which a controller knows. */
  readonly kind?: string;
  readonly server?: string;
  /** Whether the result is that the step waits for answers. */
  readonly waits?: boolean;
  readonly command?: string;
  readonly host?: string;
}

/** What to do, once it is answered. */
export interface Verdict {
  /** The command fails so. */
  readonly refuse?: { readonly code: string };
  /** The message goes on as often, each copy after so many milliseconds; once and at once unless given. */
  readonly copies?: readonly number[];
}

const socketPath = process.env['CUMULET_MATRIX_SOCKET'];

function ask(sight: Sight): Promise<Verdict> {
  return new Promise((resolve, reject) => {
    const sent = request({ socketPath, method: 'POST', path: '/', agent: false }, (answer) => {
      let text = '';
      answer.on('data', (chunk: Buffer) => (text += chunk.toString()));
      answer.on('end', () => resolve(JSON.parse(text) as Verdict));
    });
    sent.on('error', reject);
    sent.end(JSON.stringify(sight));
  });
}

/** Replaces a function of a module for all who import it. */
function replace<M extends object, N extends keyof M & string>(
  module: M,
  name: N,
  make: (original: M[N]) => M[N],
): void {
  Object.assign(module, { [name]: make(module[name]) });
}

/** Lets a message through as it was decided. */
async function copied(sight: Sight, pass: () => Promise<void>): Promise<void> {
  const { copies = [0] } = await ask(sight);
  for (const ms of copies)
    if (ms === 0) await pass();
    // What comes late finds nobody who waits; a failure of it is one more message that is lost.
    else void pause(ms).then(pass, () => undefined);
}

const observer: EngineObserver = {
  beforeStep: async ({ id, kind, step, resource_id }) => {
    await ask({ point: 'step', task: id, kind, step, server: resource_id });
  },
  afterStep: async ({ id, kind, step, resource_id }, { type }) => {
    await ask({ point: 'result', task: id, kind, step, server: resource_id, waits: type === 'wait' });
  },
};

const onWire = (bus: Bus): Bus => ({
  ...bus,
  sendCommand: (command) => {
    const { task, step, kind, host } = command;
    return copied({ point: 'send', task, step, command: kind, host }, () => bus.sendCommand(command));
  },
  onReply: (handler) =>
    bus.onReply(async (reply: Reply) => {
      const { task, step, kind, host, outcome } = reply;
      if (outcome === 'progress') return handler(reply);
      await copied({ point: 'hear', task, step, command: kind, host }, () => handler(reply));
    }),
});

/* eslint-disable @typescript-eslint/no-require-imports -- what is replaced must be the module's own object */
const common = {
  bus: require('@cumulet/common/dist/amqpBus') as typeof import('@cumulet/common/dist/amqpBus'),
  queue: require('@cumulet/common/dist/commandQueue') as typeof import('@cumulet/common/dist/commandQueue'),
  errors: require('@cumulet/common/dist/errors') as typeof import('@cumulet/common/dist/errors'),
};

function watched(handlers: CommandHandlers, host: string): CommandHandlers {
  const entries = Object.entries(handlers) as [CommandKind, CommandHandler<CommandKind>][];
  return Object.fromEntries(
    entries.map(([kind, handler]) => [
      kind,
      async (command: Parameters<typeof handler>[0], context: CommandContext) => {
        const { task, step } = command;
        const stop = ({ refuse }: Verdict): void => {
          if (!refuse) return;
          throw new common.errors.HostError(refuse.code, 'the matrix refuses this', { retryable: false });
        };
        stop(await ask({ point: 'command', task, step, command: kind, host }));
        const observed = await handler(command, context);
        stop(await ask({ point: 'carried', task, step, command: kind, host }));
        return observed;
      },
    ]),
  );
}

if (process.argv[1]?.includes('/controller/')) {
  const engine =
    require('@cumulet/controller/dist/conductor/engine') as typeof import('@cumulet/controller/dist/conductor/engine');
  replace(engine, 'createEngine', (create) => (cloud, options) => create(cloud, { ...options, observer }));
  replace(common.bus, 'createAmqpBus', (create) => (options) => {
    const bus = create(options);
    return { ...bus, ...onWire(bus) };
  });
} else
  replace(
    common.queue,
    'createCommandQueue',
    (create) => (options) => create({ ...options, handlers: watched(options.handlers, options.host) }),
  );
