// Results as text: tables like those of `openstack`, JSON, YAML and bare values.
import type { Result, Row } from './command';
import { CliError } from './errors';
import { didYouMean } from './suggest';

export const FORMATS = ['table', 'json', 'yaml', 'value'] as const;
export type Format = (typeof FORMATS)[number];

/** Cells under titles; `single` tells that the rows are the fields of one thing. */
interface Grid {
  readonly titles: readonly string[];
  readonly rows: readonly (readonly unknown[])[];
}

const GREEN = new Set(['ACTIVE', 'active', 'up', 'enabled']);
const RED = new Set(['ERROR', 'killed', 'down']);

/** One cell: nested values as JSON, and nothing in it that a terminal would obey. */
function cell(value: unknown): string {
  const text =
    value === null || value === undefined
      ? 'None'
      : typeof value === 'string'
        ? value
        : typeof value === 'boolean'
          ? value
            ? 'True'
            : 'False'
          : JSON.stringify(value);
  return text.replace(/[\u0000-\u001f\u007f-\u009f]/g, (char) =>
    char === '\n' || char === '\t' ? ' ' : `\\x${char.charCodeAt(0).toString(16).padStart(2, '0')}`,
  );
}

function painted(text: string, padded: string, colour: boolean): string {
  if (!colour) return padded;
  if (GREEN.has(text)) return `\u001b[32m${padded}\u001b[0m`;
  return RED.has(text) ? `\u001b[31m${padded}\u001b[0m` : padded;
}

function table({ titles, rows }: Grid, colour: boolean): string {
  const cells = rows.map((row) => row.map(cell));
  const widths = titles.map((title, index) => Math.max(title.length, ...cells.map((row) => row[index]?.length ?? 0)));
  const rule = `+${widths.map((width) => '-'.repeat(width + 2)).join('+')}+`;
  const line = (row: readonly string[], paint: boolean): string =>
    `|${row.map((text, index) => ` ${painted(text, text.padEnd(widths[index] ?? 0), paint)} `).join('|')}|`;
  return [rule, line(titles, false), rule, ...cells.map((row) => line(row, colour)), rule].join('\n');
}

/** The wished columns in the wished order. @throws CliError for a column that is not there */
function chosen(names: readonly string[], wished: readonly string[]): string[] {
  if (wished.length === 0) return [...names];
  return wished.map((wish) => {
    const found = names.find((name) => name === wish) ?? names.find((n) => n.toLowerCase() === wish.toLowerCase());
    if (found === undefined)
      throw new CliError(
        `there is no column "${wish}"${didYouMean(wish, names) || ` (there are ${names.join(', ')})`}`,
        2,
      );
    return found;
  });
}

function objects(result: Result, wished: readonly string[]): { names: string[]; rows: Row[] } {
  if (result.list) {
    const { columns, rows } = result.list;
    const names = chosen(
      columns.map(({ title }) => title),
      wished,
    );
    const value = (row: Row, name: string): unknown => columns.find(({ title }) => title === name)?.of(row) ?? null;
    return { names, rows: rows.map((row) => Object.fromEntries(names.map((name) => [name, value(row, name)]))) };
  }
  const one = result.one ?? {};
  const names = chosen(Object.keys(one).sort(), wished);
  return { names, rows: [Object.fromEntries(names.map((name) => [name, one[name]]))] };
}

/** The text of a result. Lists in JSON and YAML are lists of objects, one thing is an object; `value` gives cells
 * separated by spaces, one row (of one thing: one field) on a line. @throws CliError for a column that is not there */
export async function render(
  result: Result,
  format: Format,
  wished: readonly string[] = [],
  colour = false,
): Promise<string> {
  if (result.text !== undefined) return result.text;
  const { names, rows } = objects(result, wished);
  const content = result.list ? rows : rows[0];
  switch (format) {
    case 'json':
      return JSON.stringify(content, null, 2);
    case 'yaml':
      return (await import('yaml')).stringify(content, { lineWidth: 0 }).trimEnd();
    case 'value':
      return result.list
        ? rows.map((row) => names.map((name) => cell(row[name])).join(' ')).join('\n')
        : names.map((name) => cell(rows[0]?.[name])).join('\n');
    case 'table':
      return table(
        result.list
          ? { titles: names, rows: rows.map((row) => names.map((name) => row[name])) }
          : { titles: ['Field', 'Value'], rows: names.map((name) => [name, rows[0]?.[name]]) },
        colour,
      );
  }
}
