// Runs host commands from a thread of its own: starting a process copies this one's page tables and waits for the new one, 4 to 10
// milliseconds in which the event loop would answer nobody.
import { Worker } from 'node:worker_threads';
import { CommandError } from './errors';
import type { Exec, ExecOptions, ExecResult } from './exec';

/** What the thread is told. */
export type ExecRequest =
  | { readonly id: number; readonly argv: readonly string[]; readonly options: Omit<ExecOptions, 'signal'> }
  | { readonly id: number; readonly abort: true };

/** What it answers, once per command. */
export type ExecAnswer = { readonly id: number } & (
  | { readonly result: ExecResult }
  | { readonly failure: ConstructorParameters<typeof CommandError> }
  /** Not the command's failure but its caller's, as a zero byte in an argument. */
  | { readonly error: unknown }
);

/** The compiled program: also when this file runs from its source, as in tests. */
const PROGRAM = require.resolve('@cumulet/common/dist/execWorker.js');

interface Waiting {
  readonly resolve: (result: ExecResult) => void;
  readonly reject: (error: unknown) => void;
}

/**
 * An {@link Exec} that starts its commands from a thread. The thread starts with the first command and keeps the process alive only
 * while a command runs. Should the thread itself fail, the process ends: nobody knows what its commands did.
 */
export function createExecThread(): Exec {
  const waiting = new Map<number, Waiting>();
  let worker: Worker | undefined;
  let last = 0;

  const start = (): Worker => {
    const started = new Worker(PROGRAM);
    started.on('message', (answer: ExecAnswer) => {
      const one = waiting.get(answer.id);
      waiting.delete(answer.id);
      if (waiting.size === 0) started.unref();
      if ('result' in answer) one?.resolve(answer.result);
      else one?.reject('failure' in answer ? new CommandError(...answer.failure) : answer.error);
    });
    return started;
  };

  return async (argv, { signal, ...options } = {}) => {
    const thread = (worker ??= start());
    const id = ++last;
    const tell = (request: ExecRequest): void => thread.postMessage(request);
    const abort = (): void => tell({ id, abort: true });
    tell({ id, argv, options });
    thread.ref();
    signal?.addEventListener('abort', abort);
    if (signal?.aborted) abort();
    try {
      return await new Promise((resolve, reject) => waiting.set(id, { resolve, reject }));
    } finally {
      signal?.removeEventListener('abort', abort);
    }
  };
}
