// Requests to the cloud's own processes over mutual TLS.
import type { IncomingMessage } from 'node:http';
import { Agent, request } from 'node:https';
import type { Duplex, Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { CumuletError, messageOf } from './errors';
import { mustBe, type Peer, type TlsFiles } from './tls';

export interface MtlsCall {
  readonly method: 'GET' | 'POST';
  /** "https://address:port". */
  readonly base: string;
  /** With the query. */
  readonly path: string;
  readonly json?: unknown;
  /** Bytes instead of JSON. */
  readonly stream?: Readable;
  readonly headers?: Readonly<Record<string, string>>;
  /** Milliseconds without a byte after which it is given up. */
  readonly timeout: number;
}

export interface MtlsClient {
  /** The answer once its head is here. @throws CumuletError unreachable, or the code that the server answered */
  open(call: MtlsCall): Promise<IncomingMessage>;
  /** The whole answer. */
  bytes(call: MtlsCall): Promise<Buffer>;
  /** A stream of bytes in place of an answer. @throws CumuletError as `open` */
  tunnel(call: Pick<MtlsCall, 'base' | 'path' | 'timeout'>): Promise<Duplex>;
  close(): void;
}

async function readAll(response: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of response as AsyncIterable<Buffer>) chunks.push(chunk);
  return Buffer.concat(chunks);
}

/** What the server said about its refusal. */
async function refusal(response: IncomingMessage): Promise<CumuletError> {
  const status = response.statusCode ?? 0;
  const text = (await readAll(response)).toString();
  let body: { code?: unknown; message?: unknown } = {};
  try {
    body = JSON.parse(text) as typeof body;
  } catch {
    // Not from one of ours: the status says enough.
  }
  const message = typeof body.message === 'string' ? body.message : `status ${status}`;
  // Another process of the same kind may well be able to answer.
  if (status >= 500) return new CumuletError('unreachable', `it answered with status ${status}: ${message}`);
  return new CumuletError(typeof body.code === 'string' ? body.code : 'refused', message, { status });
}

/** A client that talks only to servers that `wanted` accepts. */
export function createMtlsClient(tls: TlsFiles, wanted: (peer: Peer) => boolean, words: string): MtlsClient {
  const agent = new Agent({
    ...tls,
    keepAlive: true,
    minVersion: 'TLSv1.3',
    // A resumed session is not checked again.
    maxCachedSessions: 0,
    checkServerIdentity: mustBe(wanted, words),
  });
  const open = async (call: MtlsCall): Promise<IncomingMessage> => {
    const body = call.json === undefined ? undefined : JSON.stringify(call.json);
    const response = await new Promise<IncomingMessage>((resolve, reject) => {
      const type = call.stream ? 'application/octet-stream' : body === undefined ? undefined : 'application/json';
      const headers = { ...(type === undefined ? {} : { 'content-type': type }), ...call.headers };
      const asked = request(call.base + call.path, { method: call.method, agent, headers }, resolve);
      asked.setTimeout(call.timeout, () => asked.destroy(new Error(`nothing heard for ${call.timeout} ms`)));
      asked.once('error', reject);
      // An answer that comes before the end of the stream tells more than the broken stream.
      if (call.stream) pipeline(call.stream, asked).catch(reject);
      else asked.end(body);
    }).catch((error: unknown) => {
      const refused = (error as NodeJS.ErrnoException).code === 'ECONNREFUSED';
      throw new CumuletError('unreachable', `${call.base} is not reached: ${messageOf(error)}`, { refused }, error);
    });
    if ((response.statusCode ?? 500) >= 400) throw await refusal(response);
    return response;
  };
  return {
    open,
    bytes: async (call) => {
      const response = await open(call);
      return readAll(response).catch((error: unknown) => {
        throw new CumuletError('unreachable', `${call.base} broke off: ${messageOf(error)}`, {}, error);
      });
    },
    tunnel: ({ base, path, timeout }) =>
      new Promise<Duplex>((resolve, reject) => {
        const away = (error: Error): void =>
          reject(new CumuletError('unreachable', `${base} is not reached: ${messageOf(error)}`, {}, error));
        const asked = request(base + path, { agent, headers: { connection: 'upgrade', upgrade: 'cumulet' } });
        asked.setTimeout(timeout, () => asked.destroy(new Error(`nothing heard for ${timeout} ms`)));
        asked.once('error', away);
        asked.once('response', (response) => void refusal(response).then(reject, away));
        asked.once('upgrade', (_response, socket, head) => {
          socket.setTimeout(0);
          // The other end may speak first.
          if (head.length > 0) socket.unshift(head);
          resolve(socket);
        });
        asked.end();
      }),
    close: () => agent.destroy(),
  };
}
