// A client as an SDK with retries is: it knows the addresses of several controllers and goes on with the next when a connection is lost.
import { setTimeout as pause } from 'node:timers/promises';
import { passwordBody } from './realCloud';

export interface Answered {
  readonly status: number;
  /** Parsed when it was JSON; empty for an empty body. */
  // eslint-disable-next-line @typescript-eslint/no-explicit-any -- tests look into bodies freely
  readonly body: any;
  /** The connection was lost before: nobody knows whether the first try was carried out. */
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
    /** Requests that were answered with 500 or more, or by nobody for 30 s: in words. */
    readonly failed: string[];
    /** Milliseconds of the slowest request, its retries included. */
    slowest: number;
  };
}

const GIVE_UP_MS = 30_000;

/** Signs in as administrator. */
export async function connectToAny(urls: readonly string[]): Promise<RetryingClient> {
  const seen: RetryingClient['seen'] = { requests: 0, lost: 0, failed: [], slowest: 0 };
  let first = 0;

  async function send(method: string, path: string, body: unknown): Promise<Response & { readonly lost: number }> {
    const began = performance.now();
    for (let lost = 0; ; lost++) {
      const url = urls[first % urls.length] ?? '';
      try {
        const answer = await fetch(url + path, {
          method,
          headers: { 'x-auth-token': client.token, 'content-type': 'application/json' },
          ...(body === undefined ? {} : { body: JSON.stringify(body) }),
        });
        return Object.assign(answer, { lost });
      } catch (error) {
        seen.lost += 1;
        if (performance.now() - began > GIVE_UP_MS) throw error;
        if (url === urls[first % urls.length]) first += 1;
        await pause(lost < urls.length ? 0 : 100);
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
        return { status: answer.status, body: text === '' ? {} : JSON.parse(text), repeated: answer.lost > 0 };
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
