// Unknown query parameters: ignored by old microversions, refused from 2.75 on.
import { InvalidError } from '../../errors';
import type { ApiRequest } from '../route';

/** @throws InvalidError from 2.75 on when the query has a key that is not in the list */
export function refuseUnknownQuery(
  request: Pick<ApiRequest, 'query' | 'microversion'>,
  known: readonly string[],
): void {
  if (request.microversion.minor < 75) return;
  for (const key of request.query.keys()) {
    if (!known.includes(key))
      throw new InvalidError(`Additional properties are not allowed ('${key}' was unexpected)`, 'ValidationError');
  }
}
