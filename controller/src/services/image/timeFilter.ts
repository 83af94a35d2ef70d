// Times in filters: ISO 8601, UTC unless they say otherwise, compared by the whole seconds that the API shows.
import { InvalidError } from '../../errors';
import type { ImageConditions } from './list';

const ISO = /^\d{4}-\d{2}-\d{2}([T ]\d{2}:\d{2}(:\d{2}([.,]\d+)?)?)?(Z|[+-]\d{2}:?\d{2})?$/;
const SECOND = 1000;

/** Milliseconds of the beginning of the second a text names; undefined when it is no time. */
export function isoTime(text: string): number | undefined {
  // A plus sign that was not escaped in the query arrives as a space.
  const time = text.replace(/ (?=\d{2}:?\d{2}$)(?<=:\d{2} |\.\d+ )/, '+');
  if (!ISO.test(time)) return undefined;
  const zoned = /(Z|[+-]\d{2}:?\d{2})$/.test(time.slice(10)) ? time : time.length > 10 ? `${time}Z` : time;
  const parsed = Date.parse(
    zoned
      .replace(' ', 'T')
      .replace(',', '.')
      .replace(/([+-]\d{2})(\d{2})$/, '$1:$2'),
  );
  return Number.isNaN(parsed) ? undefined : Math.floor(parsed / SECOND) * SECOND;
}

/** @throws InvalidError naming the filter. */
export function parseTime(name: string, text: string): number {
  const time = isoTime(text);
  if (time === undefined) {
    throw new InvalidError(`Bad "${name}" query filter format. Use ISO 8601 DateTime notation.`);
  }
  return time;
}

/** The condition that a stored time (milliseconds) is before, in or after a second. @throws InvalidError for another operator */
export function timeConditions(column: 'created_at' | 'updated_at', operator: string, second: number): ImageConditions {
  const next = second + SECOND;
  switch (operator) {
    case 'gt':
      return [{ column, op: '>=', value: next }];
    case 'gte':
      return [{ column, op: '>=', value: second }];
    case 'lt':
      return [{ column, op: '<', value: second }];
    case 'lte':
      return [{ column, op: '<', value: next }];
    case 'eq':
      return [
        { column, op: '>=', value: second },
        { column, op: '<', value: next },
      ];
    case 'neq':
      return [
        [
          { column, op: '<', value: second },
          { column, op: '>=', value: next },
        ],
      ];
    default:
      throw new InvalidError('Unable to filter on a unknown operator.');
  }
}
