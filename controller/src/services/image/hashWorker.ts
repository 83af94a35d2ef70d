// A thread that computes a digest of an upload: is sent pieces of shared memory and answers each when it may be reused.
import { createHash } from 'node:crypto';
import { parentPort, workerData } from 'node:worker_threads';

const hash = createHash(workerData as string);

parentPort?.on('message', (piece: Uint8Array | null) => {
  if (piece) hash.update(piece);
  parentPort?.postMessage(piece ? null : hash.digest('hex'));
});
