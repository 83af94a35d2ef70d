// Computes digests in a thread of its own: for a large upload they cost more than receiving and writing the bytes, and would keep
// other requests waiting.
import { Worker } from 'node:worker_threads';
import type { Digests } from './hasher';

export interface HashThread {
  /** Takes the next bytes, which must be in shared memory; resolves when that may be reused. */
  update(bytes: Uint8Array): Promise<void>;
  finish(): Promise<Digests>;
  /** Ends the thread; may be called at any time. */
  stop(): Promise<void>;
}

/** The compiled program: also when this file runs from its source, as in tests. */
const PROGRAM = require.resolve('@cumulet/controller/dist/services/image/hashWorker.js');
/** MiB; it needs next to nothing. */
const HEAP = { maxOldGenerationSizeMb: 16, maxYoungGenerationSizeMb: 4 };

interface Waiting {
  readonly resolve: (answer: Digests | null) => void;
  readonly reject: (error: Error) => void;
}

/** Starts a thread. Its answers come in the order of what it is sent. */
export function startHashThread(): HashThread {
  const worker = new Worker(PROGRAM, { resourceLimits: HEAP });
  const waiting: Waiting[] = [];
  let failure: Error | undefined;
  const fail = (error: Error): void => {
    failure ??= error;
    for (const one of waiting.splice(0)) one.reject(failure);
  };
  worker.on('message', (answer: Digests | null) => waiting.shift()?.resolve(answer));
  worker.on('error', fail);
  worker.on('exit', () => fail(new Error('the thread that computes digests has ended')));
  const ask = (piece: Uint8Array | null): Promise<Digests | null> =>
    new Promise((resolve, reject) => {
      if (failure) return reject(failure);
      waiting.push({ resolve, reject });
      worker.postMessage(piece);
    });
  return {
    update: async (bytes) => void (await ask(bytes)),
    async finish() {
      const digests = await ask(null);
      if (!digests) throw new Error('the thread that computes digests gave none');
      return digests;
    },
    stop: async () => void (await worker.terminate()),
  };
}
