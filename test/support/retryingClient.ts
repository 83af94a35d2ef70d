// A client as an SDK with retries is: it knows the addresses of several controllers and goes on with the next when a connection is lost.
import { setTimeout as pause } from 'node:timers/promises';
import { passwordBody } from './realCloud';

export interface Answered {
  readonly status: number;
  /** Parsed when it was JSON; empty for an empty body. */
  // eslint-disable-next-line @typescript-eslint/no-explicit-any -- tests look into bodies freely
  readonly body: any;
  /** The connection was lost before, or 503 was answered: nobody knows whether the first try was carried out. */
  readonly repeated: boolean;
}

export interface RetryingClient {
  call(method: string, path: string, body?: unknown): Promise<Answered>;
  /** The same, and anything but a status below 400 is an error. */
  must(method: string, path: string, body?: unknown): Promise<Answered>;
  token: string;
  readonly seen: {
    requests: number;
    /** Connections that were lost or refused. */
    lost: number;
    /** Answers with 503 after which the request was sent again. */
    unavailable: number;
    /** Requests that were answered with 500 or more, or by nobody for 30 s: in words. */
    readonly failed: string[];
    /** Milliseconds of the slowest request, its retries included. */
    slowest: number;
  };
}

const GIVE_UP_MS = 30_000;

export interface RetryOptions {
  /** Sends what was answered with 503 again, too. */
  readonly unavailable?: boolean;
}

/** Signs in as administrator. */
export async function connectToAny(urls: readonly string[], options: RetryOptions = {}): Promise<RetryingClient> {
  const seen: RetryingClient['seen'] = { requests: 0, lost: 0, unavailable: 0, failed: [], slowest: 0 };
  let first = 0;

  async function send(method: string, path: string, body: unknown): Promise<Response & { readonly again: number }> {
    const began = performance.now();
    const isTimeOver = (): boolean => performance.now() - began > GIVE_UP_MS;
    for (let again = 0; ; again++) {
      const url = urls[first % urls.length] ?? '';
      try {
        const answer = await fetch(url + path, {
          method,
          headers: { 'x-auth-token': client.token, 'content-type': 'application/json' },
          ...(body === undefined ? {} : { body: JSON.stringify(body) }),
        });
        if (answer.status !== 503 || !options.unavailable || isTimeOver()) return Object.assign(answer, { again });
        seen.unavailable += 1;
        await answer.arrayBuffer();
        await pause(200);
      } catch (error) {
        seen.lost += 1;
        if (isTimeOver()) throw error;
        if (url === urls[first % urls.length]) first += 1;
        await pause(again < urls.length ? 0 : 100);
      }
    }
  }

  const client: RetryingClient = {
    token: '',
    seen,
    async call(method, path, body) {
      seen.requests += 1;
      const began = performance.now();
      try {
        const answer = await send(method, path, body);
        const text = await answer.text();
        if (answer.status >= 500) seen.failed.push(`${method} ${path}: ${answer.status} ${text}`);
        return { status: answer.status, body: text === '' ? {} : JSON.parse(text), repeated: answer.again > 0 };
      } catch (error) {
        seen.failed.push(`${method} ${path}: ${String(error)}`);
        throw error;
      } finally {
        seen.slowest = Math.max(seen.slowest, performance.now() - began);
      }
    },
    async must(method, path, body) {
      const answer = await client.call(method, path, body);
      if (answer.status >= 400) throw new Error(`${method} ${path}: ${answer.status} ${JSON.stringify(answer.body)}`);
      return answer;
    },
  };
  const signedIn = await send('POST', '/identity/v3/auth/tokens', passwordBody());
  client.token = signedIn.headers.get('x-subject-token') ?? '';
  if (!client.token) throw new Error(`no token: ${signedIn.status} ${await signedIn.text()}`);
  return client;
}
