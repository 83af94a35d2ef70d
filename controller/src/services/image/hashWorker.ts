// A thread that computes the digests of an upload: is sent pieces of shared memory and answers each when it may be reused.
import { parentPort } from 'node:worker_threads';
import { createHasher } from './hasher';

const hasher = createHasher();

parentPort?.on('message', (piece: Uint8Array | null) => {
  if (piece) hasher.update(piece);
  parentPort?.postMessage(piece ? null : hasher.finish());
});
