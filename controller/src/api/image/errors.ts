// Errors in the shape of the image API: code, title and a plain message; 401 as identity writes it.
import { STATUS_CODES } from 'node:http';
import { OverQuotaError } from '../../errors';
import { publicError } from '../jsonError';
import type { ErrorRenderer } from '../route';

export const renderImageError: ErrorRenderer = (error, request) => {
  const { status: plain, message, facts } = publicError(error, request.id);
  const status = error instanceof OverQuotaError ? 413 : plain;
  const title = STATUS_CODES[status];
  if (status === 401) {
    return {
      status,
      headers: { 'WWW-Authenticate': `Keystone uri="${request.origin}/identity"` },
      body: { error: { code: status, title, message } },
    };
  }
  const headers: Record<string, string> = {};
  if (Array.isArray(facts['methods'])) headers['Allow'] = facts['methods'].join(', ');
  if (typeof facts['accept_patch'] === 'string') headers['Accept-Patch'] = facts['accept_patch'];
  if (typeof facts['content_range'] === 'string') headers['Content-Range'] = facts['content_range'];
  return { status, headers, body: { code: `${status} ${title}`, title, message } };
};
