// Reads and throws away the rest of a refused upload, within limits: a client that sends before it reads would else see a
// broken connection instead of the reason.
import type { IncomingMessage } from 'node:http';

const MOST_BYTES = 512 * 1024 * 1024;
const MOST_MILLISECONDS = 20_000;

/** Resolves when the body has ended, was cut off, or is not worth waiting for. Never rejects. */
export function discardBody(stream: IncomingMessage): Promise<void> {
  if (stream.readableEnded || stream.destroyed || Number(stream.headers['content-length'] ?? 0) > MOST_BYTES) {
    return Promise.resolve();
  }
  return new Promise((resolve) => {
    let size = 0;
    const count = (chunk: Buffer): void => {
      size += chunk.length;
      if (size > MOST_BYTES) finish();
    };
    const finish = (): void => {
      clearTimeout(timer);
      stream.off('data', count).off('end', finish).off('close', finish).off('error', finish);
      resolve();
    };
    const timer = setTimeout(finish, MOST_MILLISECONDS);
    stream.on('data', count).once('end', finish).once('close', finish).once('error', finish);
    stream.resume();
  });
}
