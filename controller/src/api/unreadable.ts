// Answers to requests that Node's parser refuses, before there is a request that a route could be found for.
import { randomUUID } from 'node:crypto';
import { STATUS_CODES, type Server, type ServerResponse } from 'node:http';
import type { Server as TlsServer } from 'node:https';
import type { Duplex } from 'node:stream';

/** How long a client may take to read the answer and close, in milliseconds. */
const LINGER_MS = 2000;

const OTHER = [400, 'The request is not valid HTTP.'] as const;
const KNOWN: Readonly<Record<string, readonly [status: number, message: string]>> = {
  HPE_HEADER_OVERFLOW: [431, 'The URL and the headers of the request are too long together.'],
  HPE_CHUNK_EXTENSIONS_OVERFLOW: [413, 'The chunk extensions of the request are too long.'],
  ERR_HTTP_REQUEST_TIMEOUT: [408, 'The request did not come to its end in time.'],
};

/** Status, headers and body, as they go out. No service is known yet: the body is that of a 401, which is the same in all. */
function answerTo(code: string): string {
  const [status, message] = KNOWN[code] ?? OTHER;
  const title = STATUS_CODES[status] ?? '';
  const body = JSON.stringify({ error: { code: status, title, message } });
  return [
    `HTTP/1.1 ${status} ${title}`,
    'connection: close',
    'content-type: application/json',
    `content-length: ${Buffer.byteLength(body)}`,
    `x-openstack-request-id: req-${randomUUID()}`,
    '',
    body,
  ].join('\r\n');
}

/** Makes the server answer in words where Node would send a bare status. */
export function answerUnreadable(server: Server | TlsServer): void {
  const answers = new WeakMap<Duplex, ServerResponse>();
  server.on('request', (request, response) => void answers.set(request.socket, response));
  server.on('clientError', (error: NodeJS.ErrnoException, socket) => {
    const last = answers.get(socket);
    // What is broken off, or half answered, has no place for another answer.
    if (!socket.writable || (last?.headersSent === true && !last.writableFinished)) {
      if (!socket.writableEnded) socket.destroy();
      return;
    }
    socket.end(answerTo(error.code ?? ''));
    setTimeout(() => socket.destroy(), LINGER_MS).unref();
  });
}
