// Errors in the shape of the placement API: a list of one, with a code from microversion 1.23 on.
import { STATUS_CODES } from 'node:http';
import { ApiError } from '../../errors';
import { publicError } from '../jsonError';
import type { ErrorRenderer } from '../route';
import { maximumVersion, minimumVersion, readMicroversion, versionText } from './microversion';

export const renderPlacementError: ErrorRenderer = (error, request) => {
  const { status, code, message, facts } = publicError(error, request.id);
  const title = STATUS_CODES[status];
  // Missing or wrong tokens read the same on every service: identity's shape.
  if (status === 401) {
    const headers = { 'www-authenticate': `Keystone uri="${request.origin}/identity"` };
    return { status, headers, body: { error: { code: status, title, message } } };
  }
  const version = readMicroversion(request.headers);
  const minor = version instanceof ApiError ? undefined : version.minor;
  const known = code.startsWith('placement.') ? code : 'placement.undefined_code';
  const one = {
    status,
    title,
    detail: message,
    request_id: request.id,
    ...(minor !== undefined && minor >= 23 ? { code: known } : {}),
    ...(status === 406 && minor === undefined
      ? { max_version: versionText(maximumVersion), min_version: versionText(minimumVersion) }
      : {}),
  };
  const headers = Array.isArray(facts['methods']) ? { allow: facts['methods'].join(', ') } : {};
  return { status, headers, body: { errors: [one] } };
};
