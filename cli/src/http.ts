// One request over node:http: the built-in fetch takes 90 ms to load, which is a third of what a command may take.
/* eslint-disable @typescript-eslint/no-require-imports -- loaded when needed; import() is slower */
import http, { type IncomingMessage, type RequestOptions } from 'node:http';
import type { Readable } from 'node:stream';
import { text as textOf } from 'node:stream/consumers';
import { CliError, HttpError } from './errors';

export interface HttpRequest {
  readonly method: string;
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
  /** Text as it is, or bytes that come. */
  readonly body?: string | Readable;
  /** For https: authorities instead of the system's (PEM), and whether a certificate must be good. */
  readonly ca?: string;
  readonly verify?: boolean;
}

export interface Answer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  /** Everything that came, as text. */
  text(): Promise<string>;
  readonly stream: Readable;
}

/** A header's value; none of those that are asked for comes as a list. */
export const headerOf = (answer: Pick<Answer, 'headers'>, name: string): string | undefined => {
  const value = answer.headers[name];
  return typeof value === 'string' ? value : undefined;
};

/** What a service says in the body of an error; each service has its own shape. */
export function errorMessage(text: string): string {
  let body: unknown;
  try {
    body = JSON.parse(text);
  } catch {
    return text
      .replace(/<[^>]*>/g, ' ')
      .replace(/\s+/g, ' ')
      .trim();
  }
  const find = (value: unknown): string | undefined => {
    if (typeof value !== 'object' || value === null) return undefined;
    if ('message' in value && typeof value.message === 'string') return value.message;
    // Placement's word for it.
    if ('detail' in value && typeof value.detail === 'string') return value.detail;
    return Object.values(value)
      .map(find)
      .find((found) => found !== undefined);
  };
  return find(body) ?? text;
}

const causeOf = (error: Error): string =>
  error.message ||
  (error instanceof AggregateError ? error.errors.map((each: Error) => each.message).join(', ') : error.name);

async function open({ method, url, headers, body, ca, verify }: HttpRequest): Promise<IncomingMessage> {
  const target = new URL(url);
  const secure = target.protocol === 'https:';
  if (!secure && target.protocol !== 'http:') throw new Error(`"${target.protocol}" is neither http: nor https:`);
  const { request } = secure ? (require('node:https') as typeof import('node:https')) : http;
  const length = typeof body === 'string' ? { 'Content-Length': String(Buffer.byteLength(body)) } : {};
  const options: RequestOptions & { ca?: string; rejectUnauthorized?: boolean } = {
    method,
    headers: { ...headers, ...length },
    ...(ca === undefined ? {} : { ca }),
    ...(verify === false ? { rejectUnauthorized: false } : {}),
  };
  return new Promise((resolve, reject) => {
    const sent = request(target, options, resolve);
    sent.on('error', reject);
    if (body === undefined || typeof body === 'string') sent.end(body);
    else body.on('error', (error) => sent.destroy(error)).pipe(sent);
  });
}

/** Sends the request. @throws HttpError in words for an answer that is not success, CliError when there is none */
export async function send(wanted: HttpRequest): Promise<Answer> {
  const { method, url } = wanted;
  let message: IncomingMessage;
  try {
    message = await open(wanted);
  } catch (error) {
    throw new CliError(`${method} ${url} got no answer: ${causeOf(error as Error)}`);
  }
  const status = message.statusCode ?? 0;
  const answer: Answer = { status, headers: message.headers, stream: message, text: () => textOf(message) };
  if (status >= 200 && status <= 300) return answer;
  const id = headerOf(answer, 'x-openstack-request-id') ?? headerOf(answer, 'x-compute-request-id');
  const said = errorMessage(await answer.text()) || message.statusMessage || 'no reason was given';
  throw new HttpError(`${said} (HTTP ${status})${id === undefined ? '' : ` (Request-ID: ${id})`}`, status);
}
