// The shape of an API: a service is a table of routes, and a route says everything about itself.
import type { IncomingMessage } from 'node:http';
import type { Readable } from 'node:stream';
import type { Cloud } from '../cloud';
import type { Caller } from '../services/caller';

export type Method = 'GET' | 'HEAD' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';

/** A compute-like microversion: major and minor as numbers. */
export interface Microversion {
  readonly major: number;
  readonly minor: number;
}

/** Query parameters: every key is a list, because keys repeat. */
export type Query = ReadonlyMap<string, readonly string[]>;

export interface ApiRequest {
  readonly id: string;
  readonly method: Method;
  /** Path without query, as the caller wrote it. */
  readonly path: string;
  readonly params: Readonly<Record<string, string>>;
  readonly query: Query;
  readonly headers: IncomingMessage['headers'];
  /** Scheme and authority that the caller used: "http://127.0.0.1:5000". Links are built on it. */
  readonly origin: string;
  /** The parsed JSON body; undefined when there was none. Already checked against the route's schema. */
  readonly body: unknown;
  readonly microversion: Microversion;
  /** Set unless the route is open; on an open route, present only after `identify`. */
  readonly caller: Caller;
  /** For `rawBody` routes: the bytes as they come. */
  readonly stream: IncomingMessage;
}

export interface ApiResponse {
  readonly status: number;
  readonly headers?: Readonly<Record<string, string>>;
  /** JSON unless it is a stream or text. */
  readonly body?: unknown;
  /** Streams instead of `body`; the headers give its type and length. */
  readonly stream?: Readable;
}

export type Handler = (request: ApiRequest, cloud: Cloud) => Promise<ApiResponse> | ApiResponse;

export interface Route {
  readonly method: Method;
  /** Express path below the service's prefix: "/servers/:id". */
  readonly path: string;
  readonly handler: Handler;
  /** True: works without a token. */
  readonly open?: boolean;
  /** Rule that the caller must pass whatever the resource is; finer checks are made by the handler with the resource as target. */
  readonly policy?: string;
  /** JSON schema of the body, or one chosen by microversion. No schema: a body is ignored. */
  readonly schema?: object | ((version: Microversion) => object);
  /** First and last minor microversion at which the route exists. */
  readonly since?: number;
  readonly until?: number;
  /** True: the handler reads the bytes itself. */
  readonly rawBody?: boolean;
}

/** How a service writes an error: its own body shape. */
export type ErrorRenderer = (
  error: unknown,
  request: Pick<ApiRequest, 'id' | 'headers' | 'origin' | 'path'>,
) => ApiResponse;

export interface ApiService {
  readonly name: string;
  /** Path prefixes under which the routes answer, longest first: ["/compute/v2.1"]. */
  readonly prefixes: readonly string[];
  readonly routes: readonly Route[];
  readonly renderError: ErrorRenderer;
  /** Services with microversions: how the header is read and answered. */
  readonly microversions?: {
    readonly minimum: Microversion;
    readonly maximum: Microversion;
    /** Reads the request's headers. @throws ApiError 400 or 406 */
    readonly parse: (headers: IncomingMessage['headers']) => Microversion;
    /** Headers of every answer. */
    readonly headers: (version: Microversion) => Readonly<Record<string, string>>;
  };
  /** More headers of every answer, such as a request id under the service's own name. */
  readonly headers?: (requestId: string) => Readonly<Record<string, string>>;
  /** Content types parsed as JSON besides application/json. */
  readonly jsonTypes?: readonly string[];
  /** Largest JSON body in bytes. */
  readonly bodyLimit?: number;
}
