// Errors in the shape of the compute API: one key named after the status, holding code and message.
import { publicError } from '../jsonError';
import type { ErrorRenderer } from '../route';

const names: Readonly<Record<number, string>> = {
  400: 'badRequest',
  401: 'unauthorized',
  403: 'forbidden',
  404: 'itemNotFound',
  405: 'badMethod',
  409: 'conflictingRequest',
  413: 'overLimit',
  415: 'badMediaType',
  429: 'overLimit',
  501: 'notImplemented',
  503: 'serviceUnavailable',
};

/** Missing or wrong tokens read the same on every service: identity's shape. */
function unauthorized(message: string, origin: string): ReturnType<ErrorRenderer> {
  return {
    status: 401,
    headers: { 'www-authenticate': `Keystone uri="${origin}/identity"` },
    body: { error: { code: 401, title: 'Unauthorized', message } },
  };
}

export const renderComputeError: ErrorRenderer = (error, request) => {
  const { status, message } = publicError(error, request.id);
  if (status === 401) return unauthorized(message, request.origin);
  return { status, body: { [names[status] ?? 'computeFault']: { code: status, message } } };
};
