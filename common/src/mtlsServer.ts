// A small HTTPS server for the cloud's own processes: a table of routes, and callers known by their certificates.
import type { IncomingMessage, ServerResponse } from 'node:http';
import { createServer, type Server } from 'node:https';
import { pipeline } from 'node:stream/promises';
import { pipeline as pipelineOf, type Duplex, type Readable } from 'node:stream';
import type { TLSSocket } from 'node:tls';
import { CumuletError, messageOf } from './errors';
import type { Logger } from './log';
import { schemaProblem } from './schema';
import { peerOf, type Peer, type TlsFiles } from './tls';

export interface MtlsRequest {
  readonly peer: Peer;
  /** The last part of the path for a route that ends with "*". */
  readonly rest: string;
  readonly query: URLSearchParams;
  readonly headers: IncomingMessage['headers'];
  readonly body: unknown;
  /** The bytes of a `raw` route, still to be read. */
  readonly bytes: Readable;
}

export interface MtlsAnswer {
  readonly status?: number;
  readonly headers?: Readonly<Record<string, string>>;
  /** JSON, bytes or a stream; nothing is 204. */
  readonly json?: unknown;
  readonly bytes?: Buffer;
  readonly stream?: Readable;
}

export interface MtlsRoute {
  /** What the body must be; a route without one takes none. */
  readonly schema?: object;
  /** True: the handler reads the body itself. */
  readonly raw?: boolean;
  /** Who may ask this, where it is not whom the server accepts. */
  readonly accepts?: (peer: Peer) => boolean;
  handle(request: MtlsRequest): Promise<MtlsAnswer>;
}

/** A connection that becomes a plain stream of bytes: "Upgrade: cumulet". */
export interface MtlsTunnel {
  readonly accepts: (peer: Peer) => boolean;
  open(request: Pick<MtlsRequest, 'peer' | 'rest'>): Promise<Duplex>;
}

export interface MtlsServerOptions {
  readonly tls: TlsFiles;
  readonly log: Logger;
  /** Whether this caller may ask anything at all; `serial` is its certificate's number in hexadecimal. */
  accepts(peer: Peer, serial: string): boolean;
  /** By "METHOD /path" or "METHOD /path/*". */
  readonly routes: Readonly<Record<string, MtlsRoute>>;
  /** By "/path/*". */
  readonly tunnels?: Readonly<Record<string, MtlsTunnel>>;
}

const BODY_LIMIT = 4 * 1024 * 1024;
/** Error codes that are not a fault of ours. */
const STATUSES: Readonly<Record<string, number>> = {
  bad_request: 400,
  forbidden: 403,
  not_found: 404,
  image_not_found: 404,
  disk_not_found: 404,
  stale_session: 409,
  disk_missing: 409,
  image_missing: 409,
  not_running: 409,
  migration_refused: 409,
  agent_missing: 409,
  password_refused: 409,
  image_refused: 422,
  too_large: 413,
  range_not_satisfiable: 416,
};

async function readBody(request: IncomingMessage): Promise<unknown> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    size += chunk.length;
    if (size > BODY_LIMIT) throw new CumuletError('too_large', 'the body is too large');
    chunks.push(chunk);
  }
  if (size === 0) return undefined;
  try {
    return JSON.parse(Buffer.concat(chunks).toString()) as unknown;
  } catch (error) {
    throw new CumuletError('bad_request', `the body is not JSON: ${messageOf(error)}`);
  }
}

function findRoute(routes: MtlsServerOptions['routes'], method: string, path: string) {
  const exact = routes[`${method} ${path}`];
  if (exact) return { route: exact, rest: '' };
  const end = path.lastIndexOf('/') + 1;
  const route = routes[`${method} ${path.slice(0, end)}*`];
  return route && { route, rest: path.slice(end) };
}

async function answerTo(options: MtlsServerOptions, request: IncomingMessage): Promise<MtlsAnswer> {
  const certificate = (request.socket as TLSSocket).getPeerCertificate();
  const peer = peerOf(certificate);
  const url = new URL(request.url ?? '/', 'https://any');
  const found = findRoute(options.routes, request.method ?? 'GET', url.pathname);
  const own = found?.route.accepts;
  if (!peer || !(own ? own(peer) : options.accepts(peer, certificate.serialNumber.toLowerCase())))
    throw new CumuletError('forbidden', 'this certificate may not ask here');
  if (!found) throw new CumuletError('not_found', `there is no ${request.method} ${url.pathname}`);
  const body = found.route.raw ? undefined : await readBody(request);
  const { schema } = found.route;
  const problem = schema && schemaProblem(schema, body);
  if (problem) throw new CumuletError('bad_request', `${problem.path || 'the body'}: ${problem.message}`);
  const { rest } = found;
  return found.route.handle({ peer, rest, query: url.searchParams, headers: request.headers, body, bytes: request });
}

async function send(response: ServerResponse, answer: MtlsAnswer): Promise<void> {
  const bytes = answer.json === undefined ? answer.bytes : Buffer.from(JSON.stringify(answer.json));
  const empty = bytes === undefined && answer.stream === undefined;
  response.writeHead(answer.status ?? (empty ? 204 : 200), {
    ...(bytes ? { 'content-length': bytes.length } : {}),
    'content-type': answer.json === undefined ? 'application/octet-stream' : 'application/json',
    ...answer.headers,
  });
  if (answer.stream) await pipeline(answer.stream, response);
  else response.end(bytes);
}

function failureOf(error: unknown): MtlsAnswer {
  const status = error instanceof CumuletError ? STATUSES[error.code] : undefined;
  if (status === undefined) return { status: 500, json: { code: 'internal_error', message: 'see the log' } };
  return { status, json: { code: (error as CumuletError).code, message: messageOf(error) } };
}

async function openTunnel({ tunnels = {} }: MtlsServerOptions, request: IncomingMessage): Promise<Duplex> {
  const peer = peerOf((request.socket as TLSSocket).getPeerCertificate());
  const { pathname } = new URL(request.url ?? '/', 'https://any');
  const end = pathname.lastIndexOf('/') + 1;
  const tunnel = tunnels[`${pathname.slice(0, end)}*`];
  if (!peer || !tunnel?.accepts(peer)) throw new CumuletError('forbidden', 'this certificate may not open that here');
  return tunnel.open({ peer, rest: pathname.slice(end) });
}

/** Joins two streams until either ends; neither outlives the other. */
export function joinStreams(one: Duplex, other: Duplex): void {
  pipelineOf(one, other, one, (error) => {
    if (!error) return;
    one.destroy();
    other.destroy();
  });
}

/** Not yet listening. TLS 1.3 only; without a certificate of the CA there is no connection. */
export function createMtlsServer(options: MtlsServerOptions): Server {
  const { tls, log } = options;
  const settings = { ...tls, requestCert: true, rejectUnauthorized: true, minVersion: 'TLSv1.3' as const };
  const server = createServer({ ...settings, keepAliveTimeout: 65_000 }, (request, response) => {
    answerTo(options, request)
      .catch((error: unknown) => {
        const answer = failureOf(error);
        const { method, url } = request;
        const facts = { method, path: url, error: messageOf(error) };
        if (answer.status === 500) log.error(facts, 'a request of the cloud itself failed');
        else log.debug(facts, 'a request of the cloud itself was refused');
        // A body that was not read to its end must not be taken for the next request.
        if (!request.readableEnded) response.setHeader('connection', 'close');
        return answer;
      })
      .then((answer) => send(response, answer))
      .catch((error: unknown) => {
        log.debug({ error: messageOf(error) }, 'an answer was cut off');
        response.destroy();
      });
  });
  server.on('upgrade', (request, socket) => {
    // Nobody else listens to a caller that leaves while the other end is opened.
    socket.on('error', (error) => log.debug({ path: request.url, error: messageOf(error) }, 'a tunnel broke off'));
    openTunnel(options, request).then(
      (stream) => {
        socket.write('HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: cumulet\r\n\r\n');
        joinStreams(socket, stream);
      },
      (error: unknown) => {
        log.debug({ path: request.url, error: messageOf(error) }, 'a tunnel was refused');
        const { status = 500, json } = failureOf(error);
        const body = JSON.stringify(json);
        const head = `connection: close\r\ncontent-type: application/json\r\ncontent-length: ${Buffer.byteLength(body)}`;
        socket.end(`HTTP/1.1 ${status} Refused\r\n${head}\r\n\r\n${body}`);
      },
    );
  });
  return server;
}
