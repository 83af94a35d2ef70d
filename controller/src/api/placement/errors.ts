// Errors in the shape of the placement API: a list of one, with a code from microversion 1.23 on.
import { STATUS_CODES, type IncomingHttpHeaders } from 'node:http';
import { ApiError } from '../../errors';
import { publicError } from '../jsonError';
import type { ErrorRenderer } from '../route';
import { maximumVersion, minimumVersion, parseMicroversion, versionText } from './microversion';

/** The minor version that a request asked for; undefined when it can't be served. */
function askedMinor(headers: IncomingHttpHeaders): number | undefined {
  try {
    return parseMicroversion(headers).minor;
  } catch (error) {
    if (error instanceof ApiError) return undefined;
    throw error;
  }
}

export const renderPlacementError: ErrorRenderer = (error, request) => {
  const { status, code, message, facts } = publicError(error, request.id);
  const title = STATUS_CODES[status];
  // Missing or wrong tokens read the same on every service: identity's shape.
  if (status === 401) {
    const headers = { 'www-authenticate': `Keystone uri="${request.origin}/identity"` };
    return { status, headers, body: { error: { code: status, title, message } } };
  }
  const minor = askedMinor(request.headers);
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
