// KEY=VALUE arguments.
import { CliError } from './errors';

/** The pairs as an object; undefined for none. @throws CliError for one without "=" */
export function pairs(list: readonly string[]): Record<string, string> | undefined {
  if (list.length === 0) return undefined;
  return Object.fromEntries(
    list.map((pair) => {
      const at = pair.indexOf('=');
      if (at < 1) throw new CliError(`a property is KEY=VALUE, not "${pair}"`, 2);
      return [pair.slice(0, at), pair.slice(at + 1)];
    }),
  );
}
