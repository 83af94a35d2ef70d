// Builds the HTTP application from the services' route tables: request ids, tokens, microversions, bodies, errors.
import { randomUUID } from 'node:crypto';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { pipeline } from 'node:stream/promises';
import { messageOf, metrics } from '@cumulet/common';
import express, { type Express, type NextFunction, type Request, type Response } from 'express';
import type { Cloud } from '../cloud';
import { ApiError, InvalidError, NotFoundError, UnauthorizedError } from '../errors';
import type { Caller } from '../services/caller';
import { stringifyInSlices } from '../slices';
import { CONSOLE_PATH, type Consoles } from '../consoles/proxy';
import { checkBody, DEFAULT_BODY_LIMIT, readJson } from './body';
import { parseQuery } from './query';
import type { ApiRequest, ApiResponse, ApiService, Method, Microversion, Route } from './route';
import { answerUnreadable } from './unreadable';

const NO_VERSION: Microversion = { major: 0, minor: 0 };

/** Reads the token of a request. @throws UnauthorizedError */
async function callerOf(request: IncomingMessage, cloud: Cloud): Promise<Caller> {
  const token = request.headers['x-auth-token'];
  if (typeof token !== 'string' || token === '') throw new UnauthorizedError();
  return cloud.tokens.authenticate(token);
}

interface Exchange {
  readonly service: ApiService;
  readonly id: string;
  readonly origin: string;
  version: Microversion;
}

function sendHeaders(response: ServerResponse, exchange: Exchange, answer: ApiResponse): void {
  const { service, id, version } = exchange;
  response.setHeader('x-openstack-request-id', id);
  const all = { ...service.headers?.(id), ...service.microversions?.headers(version), ...answer.headers };
  for (const [name, value] of Object.entries(all)) response.setHeader(name, value);
  response.statusCode = answer.status;
}

async function send(
  request: IncomingMessage,
  response: ServerResponse,
  exchange: Exchange,
  answer: ApiResponse,
): Promise<void> {
  sendHeaders(response, exchange, answer);
  if (answer.stream) return pipeline(answer.stream, response);
  if (answer.body === undefined) {
    if (answer.status !== 204 && !response.hasHeader('content-length')) response.setHeader('content-length', '0');
    response.end();
    return;
  }
  const isText = typeof answer.body === 'string';
  // Text, not bytes: Node then writes head and body in one piece.
  const text = isText ? answer.body : await stringifyInSlices(answer.body);
  if (!response.hasHeader('content-type'))
    response.setHeader('content-type', isText ? 'text/plain; charset=UTF-8' : 'application/json');
  response.setHeader('content-length', String(Buffer.byteLength(text)));
  response.end(request.method === 'HEAD' ? undefined : text);
}

function schemaOf(schema: NonNullable<Route['schema']>, version: Microversion): object {
  return typeof schema === 'function' ? (schema as (version: Microversion) => object)(version) : schema;
}

async function answerOf(route: Route, cloud: Cloud, exchange: Exchange, request: Request): Promise<ApiResponse> {
  const { service } = exchange;
  const caller = route.open ? undefined : await callerOf(request, cloud);
  if (service.microversions) exchange.version = service.microversions.parse(request.headers);
  const { minor } = exchange.version;
  if ((route.since !== undefined && minor < route.since) || (route.until !== undefined && minor > route.until)) {
    throw new NotFoundError('The resource could not be found.');
  }
  if (caller && route.policy !== undefined)
    cloud.policy.require(caller, route.policy, { project_id: caller.projectId, user_id: caller.userId });
  const body = route.rawBody
    ? undefined
    : await readJson(request, service.bodyLimit ?? DEFAULT_BODY_LIMIT, service.jsonTypes ?? []);
  if (route.schema) checkBody(schemaOf(route.schema, exchange.version), body);
  const url = new URL(request.originalUrl, 'http://any');
  const full: ApiRequest = {
    id: exchange.id,
    method: request.method as Method,
    path: url.pathname,
    params: request.params as Record<string, string>,
    query: parseQuery(url.search),
    headers: request.headers,
    origin: exchange.origin,
    body,
    microversion: exchange.version,
    stream: request,
    get caller(): Caller {
      if (!caller) throw new UnauthorizedError();
      return caller;
    },
  };
  return route.handler(full, cloud);
}

/** What all requests of an application share. */
interface Shared {
  readonly cloud: Cloud;
  readonly originOf: (request: IncomingMessage) => string;
}

async function serve(
  route: Route | undefined,
  service: ApiService,
  { cloud, originOf }: Shared,
  request: Request,
  response: Response,
): Promise<void> {
  const exchange: Exchange = {
    service,
    id: `req-${randomUUID()}`,
    origin: originOf(request),
    version: service.microversions?.minimum ?? NO_VERSION,
  };
  const started = cloud.clock.now();
  const measure = metrics.requests.startTimer({ service: service.prefixes[0] ?? '', method: request.method });
  try {
    const answer = route ? await answerOf(route, cloud, exchange, request) : missing(request);
    await send(request, response, exchange, answer);
  } catch (error) {
    if (!(error instanceof ApiError))
      cloud.log.error(
        {
          request_id: exchange.id,
          method: request.method,
          path: request.path,
          error: messageOf(error),
          stack: error instanceof Error ? error.stack : undefined,
        },
        'request failed',
      );
    if (response.headersSent) {
      response.destroy();
      return;
    }
    const answer = service.renderError(error, {
      id: exchange.id,
      headers: request.headers,
      origin: exchange.origin,
      path: request.originalUrl,
    });
    // A body that was refused unread must not be taken for the next request on this connection.
    if (!request.readableEnded && request.headers['content-length'] !== undefined)
      response.setHeader('connection', 'close');
    await send(request, response, exchange, answer).catch(() => response.destroy());
  } finally {
    measure({ status: response.statusCode });
    cloud.log.debug(
      {
        request_id: exchange.id,
        method: request.method,
        path: request.path,
        status: response.statusCode,
        ms: cloud.clock.now() - started,
      },
      'request',
    );
  }
}

/** What the router found out about a request that has no route. */
interface Unrouted {
  otherMethods?: readonly string[];
  undecodable?: boolean;
}

/** No route: 400 when the path can't be decoded, 405 when it exists with another method, else 404. */
function missing(request: Request & Unrouted): never {
  const methods = request.otherMethods ?? [];
  if (request.undecodable === true)
    throw new InvalidError('The path of the request is not valid: it can not be decoded.');
  if (methods.length > 0)
    throw new ApiError(405, 'MethodNotAllowed', `The method ${request.method} is not allowed for this resource.`, {
      methods,
    });
  throw new NotFoundError('The resource could not be found.');
}

function mount(app: Express, service: ApiService, shared: Shared): void {
  const prefixes = [...service.prefixes].sort((a, b) => b.length - a.length);
  for (const prefix of prefixes) {
    const router = express.Router({ caseSensitive: true, strict: false });
    const methodsByPath = new Map<string, string[]>();
    for (const route of service.routes) {
      const known = methodsByPath.get(route.path) ?? [];
      methodsByPath.set(route.path, [...known, route.method]);
      const method = route.method.toLowerCase() as 'get' | 'head' | 'post' | 'put' | 'patch' | 'delete';
      router[method](route.path, (request: Request, response: Response) =>
        serve(route, service, shared, request, response),
      );
    }
    for (const [path, methods] of methodsByPath) {
      router.all(path, (request: Request, response: Response) => {
        Object.assign(request, { otherMethods: methods });
        return serve(undefined, service, shared, request, response);
      });
    }
    router.use((request: Request, response: Response) => serve(undefined, service, shared, request, response));
    // The router itself fails only on a path parameter that is no valid percent-encoding.
    router.use((_error: unknown, request: Request, response: Response, _next: NextFunction) => {
      Object.assign(request, { undecodable: true });
      return serve(undefined, service, shared, request, response);
    });
    app.use(prefix, router);
  }
}

/** The whole HTTP API. Services are matched by their prefixes in the order given; put "/" last. */
export function createApp(
  services: readonly ApiService[],
  cloud: Cloud,
  originOf: (request: IncomingMessage) => string,
  consoles: Consoles,
): Express {
  const app = express();
  app.disable('x-powered-by');
  app.disable('etag');
  app.get('/healthz', (_request, response) => void response.json({ status: 'ok' }));
  app.use(CONSOLE_PATH, consoles.pages);
  for (const service of services) mount(app, service, { cloud, originOf });
  return app;
}

/** Starts listening. Resolves when the port is open; rejects with the system's error when it is taken. */
export function listen(app: Express, consoles: Consoles, address: string, port: number): Promise<Server> {
  const server = createServer({ keepAliveTimeout: 65_000, requestTimeout: 0 }, app);
  answerUnreadable(server);
  consoles.attach(server);
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, address, () => resolve(server));
  });
}
