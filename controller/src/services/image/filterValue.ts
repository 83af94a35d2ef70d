// The small language of filter values: an operator before a colon, and lists with quotes.
import { InvalidError } from '../../errors';
import { isoTime } from './timeFilter';

/** "in:a,b" is operator and rest; without a colon, or when the whole is a time, it is "eq". */
export function splitOperator(text: string): { operator: string; value: string } {
  const colon = text.indexOf(':');
  if (colon < 0 || isoTime(text) !== undefined) return { operator: 'eq', value: text };
  return { operator: text.slice(0, colon), value: text.slice(colon + 1) };
}

/** Splits at commas outside double quotes; a backslash takes the next character as it is. @throws InvalidError */
export function splitValues(text: string): string[] {
  const fail = (why: string): never => {
    throw new InvalidError(`Invalid filter value ${text}. ${why}`);
  };
  const values: string[] = [];
  let at = 0;
  while (at < text.length) {
    if (text[at] !== '"') {
      const end = text.indexOf(',', at) < 0 ? text.length : text.indexOf(',', at);
      const value = text.slice(at, end);
      if (/(^|[^\\])"/.test(value)) fail('There is no comma before opening quotation mark.');
      values.push(value);
      at = end + 1;
      continue;
    }
    const quoted = /^"((?:[^"\\]|\\.)*)"/s.exec(text.slice(at));
    if (!quoted) return fail('The quote is not closed.');
    values.push((quoted[1] ?? '').replace(/\\(.)/gs, '$1'));
    at += quoted[0].length;
    if (at < text.length && text[at] !== ',') fail('There is no comma after closing quotation mark.');
    at++;
  }
  return values;
}
