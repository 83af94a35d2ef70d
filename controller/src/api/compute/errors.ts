// Errors in the shape of the compute API.
import { publicError } from '../jsonError';
import type { ErrorRenderer } from '../route';

export const renderComputeError: ErrorRenderer = (error, request) => {
  const { status, message } = publicError(error, request.id);
  return { status, body: { message } };
};
