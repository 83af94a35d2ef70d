// Consoles for people: pages for a browser, and WebSockets between it and a guest. Whoever has a ticket needs nothing else.
import { STATUS_CODES, type IncomingMessage, type Server } from 'node:http';
import type { Server as TlsServer } from 'node:https';
import type { Duplex } from 'node:stream';
import { CONSOLE_KINDS, messageOf, type ConsoleKind } from '@cumulet/common';
import type { RequestHandler } from 'express';
import { createWebSocketStream, WebSocket, WebSocketServer } from 'ws';
import type { Cloud } from '../cloud';
import { ApiError } from '../errors';
import { openByTicket } from '../services/compute/consoles';
import { consolePages } from './pages';

/** Where pages and WebSockets are. */
export const CONSOLE_PATH = '/console';

/** Codes of a WebSocket's end that are ours to choose (RFC 6455, 7.4.2); the page shows the words beside them. */
const REFUSED = 4003;
const ENDED = 1000;
const GOING_AWAY = 1001;
/** More than what one frame of a keyboard or of a pasted text needs. */
const LONGEST_FRAME = 1024 * 1024;
/** A browser that was not heard for so long is gone, in milliseconds. */
const PING_MS = 30_000;
/** Bytes that the words of an end may take. */
const LONGEST_WORDS = 123;

export interface Consoles {
  readonly pages: RequestHandler;
  /** Has a server's upgrades answered. */
  attach(server: Server | TlsServer): void;
  /** Ends all consoles. */
  close(): void;
}

/** As much of a text as the end of a WebSocket carries. */
export const ending = (words: string): string => {
  const bytes = Buffer.from(words);
  return bytes.length <= LONGEST_WORDS
    ? words
    : `${bytes.subarray(0, LONGEST_WORDS - 4).toString()}…`.replace('\ufffd', '');
};

/** Pings the other side; who does not answer until the next time is cut off. */
function keepAlive(socket: WebSocket, pingMs: number): void {
  let heard = true;
  const timer = setInterval(() => {
    if (!heard) return socket.terminate();
    heard = false;
    socket.ping();
  }, pingMs);
  socket.on('pong', () => (heard = true));
  socket.on('close', () => clearInterval(timer));
}

/** Carries bytes both ways until either side ends. */
function join(socket: WebSocket, guest: Duplex): void {
  const browser = createWebSocketStream(socket);
  // Both ends are told by `close`; an error only comes before it.
  browser.on('error', () => guest.destroy());
  guest.on('error', () => guest.destroy());
  guest.on('close', () =>
    socket.close(ENDED, 'The console has ended: the server was switched off, or somebody else opened it.'),
  );
  socket.on('close', () => guest.destroy());
  browser.pipe(guest);
  guest.pipe(browser, { end: false });
}

/**
 * @param originOf - scheme and authority by which the caller reached us, if they are ours
 * @param pingMs - how often a browser is asked whether it is there
 */
export function createConsoles(
  cloud: Cloud,
  originOf: (request: IncomingMessage) => string,
  pingMs = PING_MS,
): Consoles {
  const sockets = new WebSocketServer({
    noServer: true,
    maxPayload: LONGEST_FRAME,
    // Older clients of consoles insist on it.
    handleProtocols: (offered) => (offered.has('binary') ? 'binary' : false),
  });

  async function serve(socket: WebSocket, kind: ConsoleKind, ticket: string): Promise<void> {
    keepAlive(socket, pingMs);
    // A frame that is too large, or what is no WebSocket: the connection ends, and nobody else is concerned.
    socket.on('error', (error) => cloud.log.debug({ error: messageOf(error) }, 'a console was cut off'));
    try {
      const { server, guest } = await openByTicket(cloud, ticket, kind);
      if (socket.readyState !== WebSocket.OPEN) return void guest.destroy();
      cloud.log.info({ server: server.id, kind }, 'a console was opened');
      socket.on('close', () => cloud.log.info({ server: server.id, kind }, 'a console was closed'));
      join(socket, guest);
    } catch (error) {
      if (!(error instanceof ApiError)) cloud.log.error({ error: messageOf(error) }, 'a console could not be opened');
      socket.close(REFUSED, ending(error instanceof ApiError ? error.message : 'An unexpected error prevented it.'));
    }
  }

  /** In the shape of the errors of requests that have no service. */
  const refuse = (socket: Duplex, status: number, message: string): void => {
    const title = STATUS_CODES[status] ?? '';
    const body = JSON.stringify({ error: { code: status, title, message } });
    const head = ['connection: close', 'content-type: application/json', `content-length: ${Buffer.byteLength(body)}`];
    socket.end([`HTTP/1.1 ${status} ${title}`, ...head, '', body].join('\r\n'));
  };

  const upgrade = (request: IncomingMessage, socket: Duplex, head: Buffer): void => {
    socket.on('error', () => socket.destroy());
    // Not by URL, which throws at some of what may stand here.
    const [pathname, query] = (request.url ?? '').split('?', 2);
    const kind = CONSOLE_KINDS.find((one) => pathname === `${CONSOLE_PATH}/${one}`);
    if (!kind)
      return refuse(socket, 404, 'Only consoles are WebSockets; ask for anything else without the header Upgrade.');
    // Programs send none. A page of another origin has no business here, even with a ticket.
    const { origin } = request.headers;
    if (origin !== undefined && origin !== originOf(request))
      return refuse(socket, 403, 'A page of another origin may not open a console.');
    sockets.handleUpgrade(
      request,
      socket,
      head,
      (opened) => void serve(opened, kind, new URLSearchParams(query).get('token') ?? ''),
    );
  };

  return {
    pages: consolePages(originOf),
    attach: (server) => void server.on('upgrade', upgrade),
    close() {
      for (const socket of sockets.clients) socket.close(GOING_AWAY, 'The cloud is being restarted.');
      // A browser that does not say goodbye must not hold up the end of the process.
      for (const socket of sockets.clients) setImmediate(() => socket.terminate());
    },
  };
}
