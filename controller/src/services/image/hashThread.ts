// Computes digests in threads, one for each: for a large upload they cost more than receiving and writing the bytes, and would keep
// other requests waiting.
import { Worker } from 'node:worker_threads';
import type { Digests } from './hasher';

interface Hashing<T> {
  /** Takes the next bytes, which must be in shared memory; resolves when that may be reused. */
  update(bytes: Uint8Array): Promise<void>;
  finish(): Promise<T>;
  /** Ends the threads; may be called at any time. */
  stop(): Promise<void>;
}

/** Both digests of an upload. */
export type HashThreads = Hashing<Digests>;

/** The compiled program: also when this file runs from its source, as in tests. */
const PROGRAM = require.resolve('@cumulet/controller/dist/services/image/hashWorker.js');
/** MiB; it needs next to nothing. */
const HEAP = { maxOldGenerationSizeMb: 16, maxYoungGenerationSizeMb: 4 };

interface Waiting {
  readonly resolve: (answer: string | null) => void;
  readonly reject: (error: Error) => void;
}

/** Starts a thread for one algorithm of Node's. Its answers come in the order of what it is sent. */
function startHashThread(algorithm: string): Hashing<string> {
  const worker = new Worker(PROGRAM, { resourceLimits: HEAP, workerData: algorithm });
  const waiting: Waiting[] = [];
  let failure: Error | undefined;
  const fail = (error: Error): void => {
    failure ??= error;
    for (const one of waiting.splice(0)) one.reject(failure);
  };
  worker.on('message', (answer: string | null) => waiting.shift()?.resolve(answer));
  worker.on('error', fail);
  worker.on('exit', () => fail(new Error('a thread that computes digests has ended')));
  const ask = (piece: Uint8Array | null): Promise<string | null> =>
    new Promise((resolve, reject) => {
      if (failure) return reject(failure);
      waiting.push({ resolve, reject });
      worker.postMessage(piece);
    });
  return {
    update: async (bytes) => void (await ask(bytes)),
    async finish() {
      const digest = await ask(null);
      if (digest === null) throw new Error('a thread that computes digests gave none');
      return digest;
    },
    stop: async () => void (await worker.terminate()),
  };
}

/** Starts the threads of an upload. */
export function startHashThreads(): HashThreads {
  const md5 = startHashThread('md5');
  const sha512 = startHashThread('sha512');
  return {
    update: async (bytes) => void (await Promise.all([md5.update(bytes), sha512.update(bytes)])),
    async finish() {
      const [checksum, digest] = await Promise.all([md5.finish(), sha512.finish()]);
      return { checksum, digest };
    },
    stop: async () => void (await Promise.all([md5.stop(), sha512.stop()])),
  };
}
