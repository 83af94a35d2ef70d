// Errors in the shape of the network API: NeutronError with type, message and detail. A missing token has identity's shape.
import { ApiError, UnauthorizedError } from '../../errors';
import { publicError } from '../jsonError';
import type { ErrorRenderer } from '../route';

/** Types of the errors that all services share, as clients of the network API know them. */
const types: Readonly<Record<string, string>> = {
  NotFound: 'HTTPNotFound',
  MethodNotAllowed: 'HTTPMethodNotAllowed',
  UnsupportedMediaType: 'HTTPUnsupportedMediaType',
  RequestEntityTooLarge: 'HTTPRequestEntityTooLarge',
  InternalServerError: 'HTTPInternalServerError',
  ValidationError: 'HTTPBadRequest',
};

export const renderNetworkError: ErrorRenderer = (error, request) => {
  const { status, code, message } = publicError(error, request.id);
  if (error instanceof UnauthorizedError) {
    return {
      status,
      headers: { 'www-authenticate': `Keystone uri="${request.origin}/identity"` },
      body: { error: { code: status, title: 'Unauthorized', message } },
    };
  }
  const methods = error instanceof ApiError ? error.facts['methods'] : undefined;
  return {
    status,
    ...(Array.isArray(methods) ? { headers: { allow: methods.join(', ') } } : {}),
    body: { NeutronError: { type: types[code] ?? code, message, detail: '' } },
  };
};
