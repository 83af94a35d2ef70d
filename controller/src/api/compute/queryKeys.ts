// Unknown query parameters: ignored by old microversions, refused by newer ones.
import { InvalidError } from '../../errors';
import type { ApiRequest } from '../route';

/** @throws InvalidError from minor version `since` on when the query has a key that is not in the list */
export function refuseUnknownQuery(
  request: Pick<ApiRequest, 'query' | 'microversion'>,
  known: readonly string[],
  since = 75,
): void {
  if (request.microversion.minor < since) return;
  for (const key of request.query.keys()) {
    if (!known.includes(key))
      throw new InvalidError(`Additional properties are not allowed ('${key}' was unexpected)`, 'ValidationError');
  }
}
