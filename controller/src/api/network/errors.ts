// Errors in the shape of the network API.
import { publicError } from '../jsonError';
import type { ErrorRenderer } from '../route';

export const renderNetworkError: ErrorRenderer = (error, request) => {
  const { status, message } = publicError(error, request.id);
  return { status, body: { message } };
};
