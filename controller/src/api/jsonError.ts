// What all error renderers share: which status and which words an error gets. The unknown says nothing but its request id.
import { DatabaseUnavailableError } from '../db';
import { ApiError } from '../errors';

export interface PublicError {
  readonly status: number;
  readonly code: string;
  readonly message: string;
  readonly facts: Readonly<Record<string, unknown>>;
}

/** The part of an error that a caller may see. */
export function publicError(error: unknown, requestId: string): PublicError {
  if (error instanceof ApiError) {
    return { status: error.status, code: error.code, message: error.message, facts: error.facts };
  }
  if (error instanceof DatabaseUnavailableError)
    return {
      status: 503,
      code: 'ServiceUnavailable',
      message: `${error.message} (Request-ID: ${requestId})`,
      facts: {},
    };
  return {
    status: 500,
    code: 'InternalServerError',
    message: `An unexpected error prevented the server from fulfilling your request. (Request-ID: ${requestId})`,
    facts: {},
  };
}
