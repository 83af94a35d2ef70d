// The controller's errors: few, named, each with a status that every API shares and a stable code. The APIs render them.
import { CumuletError } from '@cumulet/common';

type Facts = Readonly<Record<string, unknown>>;

/** A failure that a caller may see. `status` is the HTTP status where the service has no opinion of its own. */
export class ApiError extends CumuletError {
  readonly status: number;

  constructor(status: number, code: string, message: string, facts: Facts = {}) {
    super(code, message, facts);
    this.status = status;
  }
}

/** 400: the request itself is wrong. */
export class InvalidError extends ApiError {
  constructor(message: string, code = 'BadRequest', facts: Facts = {}) {
    super(400, code, message, facts);
  }
}

/** 401: no valid token or wrong credentials; says no more than that. */
export class UnauthorizedError extends ApiError {
  constructor(message = 'The request you have made requires authentication.') {
    super(401, 'Unauthorized', message);
  }
}

/** 403: known caller, missing right. */
export class ForbiddenError extends ApiError {
  constructor(
    message = 'You are not authorized to perform the requested action.',
    code = 'Forbidden',
    facts: Facts = {},
  ) {
    super(403, code, message, facts);
  }
}

/** 404: it does not exist for this caller. */
export class NotFoundError extends ApiError {
  constructor(message: string, code = 'NotFound', facts: Facts = {}) {
    super(404, code, message, facts);
  }
}

/** 409: the present state does not allow it. */
export class ConflictError extends ApiError {
  constructor(message: string, code = 'Conflict', facts: Facts = {}) {
    super(409, code, message, facts);
  }
}

/** A quota is used up. Compute answers 403, network 409, image 413. */
export class OverQuotaError extends ApiError {
  constructor(message: string, facts: Facts = {}) {
    super(403, 'OverQuota', message, facts);
  }
}

/** 413: more bytes than allowed. */
export class TooLargeError extends ApiError {
  constructor(message: string) {
    super(413, 'RequestEntityTooLarge', message);
  }
}
