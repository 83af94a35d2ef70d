// What answers of the placement API share: when they were true, from 1.15 on, and that they are JSON only.
import type { Cloud } from '../../cloud';
import { ApiError } from '../../errors';
import type { ApiRequest, ApiResponse, Handler } from '../route';

/** Path prefix of the links in bodies: they have no scheme and host. */
export const PREFIX = '/placement';

interface Parts {
  readonly status?: number;
  readonly body?: unknown;
  /** Milliseconds since the epoch; now unless said. */
  readonly modified?: number | null;
  /** Path below the service. */
  readonly location?: string;
}

/** The address of something that was made. */
export const locationOf = (request: ApiRequest, path: string): { location: string } => ({
  location: request.origin + PREFIX + path,
});

/** An answer; from microversion 1.15 on nobody may keep it, and it says since when it is so. */
export function answer(request: ApiRequest, cloud: Cloud, parts: Parts): ApiResponse {
  const modified = new Date(parts.modified ?? cloud.clock.now()).toUTCString();
  return {
    status: parts.status ?? 200,
    headers: {
      ...(request.microversion.minor >= 15 ? { 'last-modified': modified, 'cache-control': 'no-cache' } : {}),
      ...(parts.location === undefined ? {} : locationOf(request, parts.location)),
    },
    ...(parts.body === undefined ? {} : { body: parts.body }),
  };
}

/** A handler whose answer is JSON, whatever else the caller would rather have. @throws ApiError 406 */
export const jsonOnly =
  (handler: Handler): Handler =>
  (request, cloud) => {
    const { accept = '' } = request.headers;
    const ranges = accept.split(',').map((range) => range.replace(/;.*/, '').trim().toLowerCase());
    if (!ranges.some((range) => ['', '*/*', 'application/*', 'application/json'].includes(range)))
      throw new ApiError(406, 'NotAcceptable', 'Only application/json is provided.');
    return handler(request, cloud);
  };
