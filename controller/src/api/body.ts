// Reads a JSON request body within a limit and checks it against the route's schema.
import type { IncomingMessage } from 'node:http';
import { schemaProblem } from '@cumulet/common';
import { ApiError, InvalidError, TooLargeError } from '../errors';

/** What upstream services allow: 112 KiB. */
export const DEFAULT_BODY_LIMIT = 114_688;

/** All bytes of a request. @throws TooLargeError as soon as there are too many; the rest is not read. */
async function readBytes(stream: IncomingMessage, limit: number): Promise<Buffer> {
  const declared = Number(stream.headers['content-length'] ?? 0);
  if (declared > limit)
    throw new TooLargeError(`The request body has ${declared} bytes; at most ${limit} are allowed.`);
  if (declared === 0 && stream.headers['transfer-encoding'] === undefined) return Buffer.alloc(0);
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of stream) {
    const bytes = chunk as Buffer;
    size += bytes.length;
    if (size > limit) throw new TooLargeError(`The request body is larger than the allowed ${limit} bytes.`);
    chunks.push(bytes);
  }
  return Buffer.concat(chunks);
}

/** The parsed body, or undefined when it is empty. @throws InvalidError for malformed JSON, ApiError 415 for another type. */
export async function readJson(stream: IncomingMessage, limit: number, types: readonly string[]): Promise<unknown> {
  const bytes = await readBytes(stream, limit);
  if (bytes.length === 0) return undefined;
  const type = (stream.headers['content-type'] ?? 'application/json').split(';')[0]?.trim().toLowerCase() ?? '';
  if (type !== 'application/json' && !types.includes(type)) {
    throw new ApiError(415, 'UnsupportedMediaType', `Unsupported Content-Type '${type}': send application/json.`);
  }
  try {
    return JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes)) as unknown;
  } catch {
    throw new InvalidError('Malformed request body: it is not valid JSON.', 'MalformedRequestBody');
  }
}

/** Checks a body against a schema. @throws InvalidError that names the field and the problem. */
export function checkBody(schema: object, body: unknown): void {
  if (body === undefined) throw new InvalidError('The request body is missing.', 'MalformedRequestBody');
  const problem = schemaProblem(schema, body);
  if (!problem) return;
  const field = problem.path.slice(1).replaceAll('/', '.');
  const where = field ? `Invalid input for field/attribute ${field}: ` : 'Invalid request body: ';
  throw new InvalidError(`${where}${problem.message}.`, 'ValidationError', { field, keyword: problem.keyword });
}
