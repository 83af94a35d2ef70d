// Errors in the shape of the identity API: error {code, title, message}.
import { STATUS_CODES } from 'node:http';
import { publicError } from '../jsonError';
import type { ErrorRenderer } from '../route';

export const renderIdentityError: ErrorRenderer = (error, request) => {
  const { status, message } = publicError(error, request.id);
  return {
    status,
    headers: status === 401 ? { 'www-authenticate': `Keystone uri="${request.origin}/identity"` } : {},
    body: { error: { code: status, title: STATUS_CODES[status], message } },
  };
};
