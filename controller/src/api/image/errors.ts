// Errors in the shape of the image API.
import { publicError } from '../jsonError';
import type { ErrorRenderer } from '../route';

export const renderImageError: ErrorRenderer = (error, request) => {
  const { status, message } = publicError(error, request.id);
  return { status, body: { message } };
};
