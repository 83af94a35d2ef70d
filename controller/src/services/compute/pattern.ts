// Regular expressions from callers, run by an engine whose time grows only with the length of the text.
import { messageOf } from '@cumulet/common';
import { RE2JS } from 're2js';
import { InvalidError } from '../../errors';

/** Whether an expression is a text that stands for itself, which databases find too. */
export const isPlain = (expression: string): boolean => /^[^\\.+*?()[\]{}^$|]+$/.test(expression);

/** A search for a caller's expression anywhere in a text. @throws InvalidError when it is no expression that can be run */
export function pattern(expression: string, key: string): (text: string) => boolean {
  try {
    const compiled = RE2JS.compile(expression);
    return (text) => compiled.matcher(text).find();
  } catch (error) {
    throw new InvalidError(
      `Invalid input for query parameters ${key}: '${expression}' is not a regex: ${messageOf(error)}`,
    );
  }
}
