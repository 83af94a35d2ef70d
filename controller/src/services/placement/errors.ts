// Errors of the placement API with codes that its clients look at.
import { ConflictError, ForbiddenError, NotFoundError } from '../../errors';

export const noProvider = (id: string): NotFoundError =>
  new NotFoundError(`No resource provider with uuid ${id} found.`, 'placement.resource_provider.not_found');

/** The provider has changed since the caller looked at it. */
export const changedMeanwhile = (): ConflictError =>
  new ConflictError(
    "The resource provider's generation has changed. Read it again and repeat the request.",
    'placement.concurrent_update',
  );

/** What would contradict the cloud: hosts and servers say it, and nobody can say otherwise. */
export const refused = (what: string, why: string): ForbiddenError =>
  new ForbiddenError(`Unable to ${what}: ${why}`, 'Refused');
