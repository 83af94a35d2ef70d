// The metadata service of one network: who asks is known by network and source address, the answer comes from the controller.
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { messageOf, type AgentApi, type Logger, type MetadataAnswer } from '@cumulet/common';
import { isIPv6 } from 'node:net';

export interface MetadataContext {
  readonly host: string;
  readonly networkId: string;
  readonly api: Pick<AgentApi, 'metadata'>;
  readonly log: Logger;
  /** The address that the controller knows a caller by: a link-local one is translated by its MAC. Undefined: unknown. */
  readonly identify: (address: string) => string | undefined;
  readonly answers: AnswerCache;
  /** Milliseconds that the controller may take; default 5,000. */
  readonly timeout?: number;
}

const BODY_LIMIT = 64 * 1024;
const CACHE_LIMIT = 2000;

/** The last good answers, the oldest given up first. */
export interface AnswerCache {
  get(key: string): MetadataAnswer | undefined;
  set(key: string, answer: MetadataAnswer): void;
}

export function createAnswerCache(limit = CACHE_LIMIT): AnswerCache {
  const answers = new Map<string, MetadataAnswer>();
  return {
    get: (key) => answers.get(key),
    set: (key, answer) => {
      answers.delete(key);
      answers.set(key, answer);
      const [oldest] = answers.keys();
      if (answers.size > limit && oldest !== undefined) answers.delete(oldest);
    },
  };
}

function readBody(request: IncomingMessage): Promise<string | undefined> {
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    let size = 0;
    request.on('data', (chunk: Buffer) => {
      size += chunk.length;
      if (size <= BODY_LIMIT) chunks.push(chunk);
    });
    request.on('end', () => resolve(size > BODY_LIMIT ? undefined : Buffer.concat(chunks).toString()));
    request.on('error', reject);
  });
}

async function ask(context: MetadataContext, question: Parameters<AgentApi['metadata']>[0]): Promise<MetadataAnswer> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_resolve, reject) => {
    const timeout = context.timeout ?? 5000;
    timer = setTimeout(() => reject(new Error(`no answer within ${timeout} ms`)), timeout);
  });
  try {
    return await Promise.race([context.api.metadata(question), late]);
  } finally {
    clearTimeout(timer);
  }
}

const unavailable: MetadataAnswer = {
  status: 503,
  contentType: 'text/plain',
  body: 'The metadata service has no answer now.\n',
};

/** The answer to one request; the last known one when the controller gives none. */
async function answerTo(context: MetadataContext, request: IncomingMessage): Promise<MetadataAnswer> {
  const remote = String(request.socket.remoteAddress).replace(/^::ffff:/, '');
  const address = context.identify(remote);
  if (address === undefined) return { status: 404, contentType: 'text/plain', body: 'No port has this address.\n' };
  const body = await readBody(request);
  if (body === undefined) return { status: 413, contentType: 'text/plain', body: 'The body is too long.\n' };
  const method = String(request.method);
  const path = String(request.url).replace(/\?.*/s, '');
  const key = `${context.networkId} ${address} ${method} ${path}`;
  const { host, networkId } = context;
  try {
    const answer = await ask(context, { host, networkId, address, method, path, ...(body === '' ? {} : { body }) });
    if (method === 'GET' && answer.status === 200) context.answers.set(key, answer);
    return answer;
  } catch (error) {
    context.log.warn({ network: networkId, path, error: messageOf(error) }, 'the controller gave no metadata');
    return context.answers.get(key) ?? unavailable;
  }
}

function send(response: ServerResponse, answer: MetadataAnswer, head: boolean): void {
  const body = Buffer.from(answer.body, answer.encoding ?? 'utf8');
  response.writeHead(answer.status, { 'content-type': answer.contentType, 'content-length': body.length });
  response.end(head ? undefined : body);
}

/** A server for a network's metadata, not yet listening: its socket comes from the network's namespace. */
export function createMetadataServer(context: MetadataContext): Server {
  const server = createServer(
    { requestTimeout: 10_000, headersTimeout: 10_000, maxHeaderSize: 16_384 },
    (request, response) => {
      answerTo(context, request).then(
        (answer) => send(response, answer, request.method === 'HEAD'),
        (error: unknown) => {
          context.log.warn({ network: context.networkId, error: messageOf(error) }, 'a metadata request was cut off');
          response.destroy();
        },
      );
    },
  );
  server.maxConnections = 256;
  server.keepAliveTimeout = 2000;
  return server;
}

/** Whether an address has to be translated before the controller can know it. */
export const isLinkLocal = (address: string): boolean =>
  isIPv6(address.replace(/%.*/, '')) && /^fe[89ab]/i.test(address);
