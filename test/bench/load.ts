// Load on an HTTP server from a process of its own, over bare sockets: on a machine of two cores the client must cost next to nothing.
import { fork } from 'node:child_process';
import { connect } from 'node:net';
import { percentile } from './figure';

export interface LoadRequest {
  readonly url: string;
  readonly method: 'GET' | 'HEAD';
  readonly headers: Readonly<Record<string, string>>;
  /** Requests under way at the same time, each on a connection of its own that is kept. */
  readonly connections: number;
  readonly seconds: number;
}

export interface LoadResult {
  readonly count: number;
  readonly perSecond: number;
  /** Milliseconds. */
  readonly p50: number;
  readonly p95: number;
}

/** Runs in the child. @throws Error for an answer that is not 200 */
async function applyLoad({ url, method, headers, connections, seconds }: LoadRequest): Promise<LoadResult> {
  const { hostname, port, pathname, search } = new URL(url);
  const lines = Object.entries({ host: `${hostname}:${port}`, ...headers }).map(([name, value]) => `${name}: ${value}`);
  const request = `${method} ${pathname}${search} HTTP/1.1\r\n${lines.join('\r\n')}\r\n\r\n`;
  const times: number[] = [];
  const started = performance.now();
  const end = started + seconds * 1000;
  const worker = (): Promise<void> =>
    new Promise((done, fail) => {
      const socket = connect(Number(port), hostname);
      socket.setNoDelay(true);
      let head = '';
      /** Bytes of the body that are still to come; undefined while the head is. */
      let missing: number | undefined;
      let sent = 0;
      const next = (): void => {
        if (performance.now() >= end) {
          socket.end();
          return done();
        }
        head = '';
        missing = undefined;
        sent = performance.now();
        socket.write(request);
      };
      socket.on('connect', next);
      socket.on('error', fail);
      socket.on('data', (chunk) => {
        if (missing === undefined) {
          head += chunk.toString('latin1');
          const length = head.indexOf('\r\n\r\n');
          if (length < 0) return;
          const size = Number(/\r\ncontent-length: (\d+)/i.exec(head)?.[1] ?? NaN);
          if (!head.startsWith('HTTP/1.1 200') || Number.isNaN(size)) return fail(new Error(head.slice(0, 300)));
          missing = method === 'HEAD' ? 0 : size - (head.length - length - 4);
        } else missing -= chunk.length;
        if (missing > 0) return;
        times.push(performance.now() - sent);
        next();
      });
    });
  await Promise.all(Array.from({ length: connections }, worker));
  const perSecond = times.length / ((performance.now() - started) / 1000);
  return { count: times.length, perSecond, p50: percentile(times, 0.5), p95: percentile(times, 0.95) };
}

/** Starts the load in a process of its own and resolves with what came of it. */
export function load(request: LoadRequest): Promise<LoadResult> {
  const child = fork(__filename);
  return new Promise((done, fail) => {
    child.once('message', (result) => done(result as LoadResult));
    child.once('error', fail);
    child.once('exit', (code) => fail(new Error(`the load on ${request.url} ended with ${code}`)));
    child.send(request);
  });
}

if (require.main === module) {
  process.once('message', (request: LoadRequest) => {
    applyLoad(request).then(
      (result) => process.send?.(result, () => process.exit(0)),
      (error: unknown) => {
        console.error(error);
        process.exit(1);
      },
    );
  });
}
