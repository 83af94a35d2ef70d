// The thread that runs host commands: takes requests, answers each once.
import { parentPort } from 'node:worker_threads';
import { CommandError } from './errors';
import { exec } from './exec';
import type { ExecAnswer, ExecRequest } from './execThread';

const running = new Map<number, AbortController>();

async function run(id: number, argv: readonly string[], options: Parameters<typeof exec>[1]): Promise<ExecAnswer> {
  try {
    return { id, result: await exec(argv, options) };
  } catch (error) {
    if (!(error instanceof CommandError)) return { id, error };
    return { id, failure: [error.argv, error.exitCode, error.stdout, error.stderr, error.reason] };
  }
}

parentPort?.on('message', (request: ExecRequest) => {
  const { id } = request;
  if ('abort' in request) return running.get(id)?.abort();
  const aborter = new AbortController();
  running.set(id, aborter);
  void run(id, request.argv, { ...request.options, signal: aborter.signal }).then((answer) => {
    running.delete(id);
    parentPort?.postMessage(answer);
  });
});
