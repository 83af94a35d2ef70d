// Results as text: tables like those of `openstack`, JSON, YAML, CSV and bare values.
/* eslint-disable @typescript-eslint/no-require-imports -- loaded when needed; import() is slower */
import type { Columns, Result, Row } from './command';
import { CliError } from './errors';
import { didYouMean } from './suggest';

export const FORMATS = ['table', 'json', 'yaml', 'csv', 'value'] as const;
export type Format = (typeof FORMATS)[number];
export const QUOTES = ['all', 'minimal', 'nonnumeric', 'none'] as const;

export interface Form {
  readonly format?: Format;
  /** Only these columns, in this order. */
  readonly columns?: readonly string[];
  /** Columns a list is sorted by. */
  readonly sortBy?: readonly string[];
  readonly descending?: boolean;
  readonly noindent?: boolean;
  readonly quote?: (typeof QUOTES)[number];
  readonly colour?: boolean;
}

const GREEN = new Set(['ACTIVE', 'active', 'up', 'enabled', 'UP', ':-)']);
const RED = new Set(['ERROR', 'killed', 'down', 'failed', 'DOWN', 'XXX']);

/** Nothing that a terminal would obey. */
const harmless = (text: string): string =>
  text.replace(/[\u0000-\u001f\u007f-\u009f]/g, (char) =>
    char === '\n' || char === '\t' ? ' ' : `\\x${char.charCodeAt(0).toString(16).padStart(2, '0')}`,
  );

/** One value for machines: nested ones as JSON. */
function plain(value: unknown): string {
  if (value === null || value === undefined) return 'None';
  if (typeof value === 'string') return harmless(value);
  if (typeof value === 'boolean') return value ? 'True' : 'False';
  return harmless(JSON.stringify(value));
}

/** One value for people: lists and objects as `openstack` shows them, `a, b` and `key='value'`. */
function readable(value: unknown): string {
  if (Array.isArray(value)) return value.map(readable).join(', ');
  if (typeof value !== 'object' || value === null) return plain(value);
  return Object.entries(value)
    .map(([key, one]) => {
      const nested = typeof one === 'object' && one !== null;
      return `${plain(key)}=${nested ? plain(one) : `'${plain(one)}'`}`;
    })
    .join(', ');
}

function painted(text: string, padded: string, colour: boolean): string {
  if (!colour) return padded;
  if (GREEN.has(text)) return `\u001b[32m${padded}\u001b[0m`;
  return RED.has(text) ? `\u001b[31m${padded}\u001b[0m` : padded;
}

function table(titles: readonly string[], rows: readonly (readonly unknown[])[], colour: boolean): string {
  const cells = rows.map((row) => row.map(readable));
  const widths = titles.map((title, index) =>
    cells.reduce((width, row) => Math.max(width, row[index]?.length ?? 0), title.length),
  );
  const rule = `+${widths.map((width) => '-'.repeat(width + 2)).join('+')}+`;
  const line = (row: readonly string[], paint: boolean): string =>
    `|${row.map((text, index) => ` ${painted(text, text.padEnd(widths[index] ?? 0), paint)} `).join('|')}|`;
  return [rule, line(titles, false), rule, ...cells.map((row) => line(row, colour)), rule].join('\n');
}

function csv(titles: readonly string[], rows: readonly (readonly unknown[])[], quote: Form['quote']): string {
  const cell = (value: unknown): string => {
    const text = plain(value);
    const needed = /[",]/.test(text);
    const wanted = quote === 'all' || (quote !== 'minimal' && quote !== 'none' && typeof value !== 'number');
    return quote !== 'none' && (needed || wanted) ? `"${text.replaceAll('"', '""')}"` : text;
  };
  return [titles, ...rows].map((row) => row.map(cell).join(',')).join('\n');
}

/** The wished names as they are spelled. @throws CliError for one that is not there */
function chosen(names: readonly string[], wished: readonly string[]): string[] {
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

const valueOf = (columns: Columns, row: Row, title: string): unknown => {
  const of = columns[title] ?? title;
  return (typeof of === 'string' ? row[of] : of(row)) ?? null;
};

/** Numbers by size, everything else by its text. */
function compare(one: unknown, other: unknown): number {
  if (typeof one === 'number' && typeof other === 'number') return one - other;
  return plain(one).localeCompare(plain(other), 'en', { numeric: true });
}

/** Titles and cells of a result; of one thing a single row. */
function grid(
  result: Result,
  { columns = [], sortBy = [], descending }: Form,
): { titles: string[]; rows: unknown[][] } {
  if (!result.list) {
    const one = result.one ?? {};
    const names = Object.keys(one).sort();
    const titles = columns.length > 0 ? chosen(names, columns) : names;
    return { titles, rows: [titles.map((title) => one[title] ?? null)] };
  }
  const { columns: all, rows } = result.list;
  const names = Object.keys(all);
  const titles = columns.length > 0 ? chosen(names, columns) : names;
  const keys = chosen(names, sortBy);
  const sorted = rows.toSorted((one, other) => {
    const orders = keys.map((key) => compare(valueOf(all, one, key), valueOf(all, other, key)));
    return (orders.find((order) => order !== 0) ?? 0) * (descending ? -1 : 1);
  });
  return { titles, rows: sorted.map((row) => titles.map((title) => valueOf(all, row, title))) };
}

/** The text of a result. Lists in JSON and YAML are lists of objects, one thing is an object; `value` gives cells
 * separated by spaces, one row (of one thing: one field) on a line. @throws CliError for a column that is not there */
export function render(result: Result, form: Form = {}): string {
  if (result.text !== undefined) return result.text;
  const { titles, rows } = grid(result, form);
  const [first = []] = rows;
  const objects = (): unknown => {
    const all = rows.map((row) => Object.fromEntries(titles.map((title, at) => [title, row[at]])));
    return result.list ? all : all[0];
  };
  switch (form.format ?? 'table') {
    case 'json':
      return JSON.stringify(objects(), null, form.noindent ? 0 : 2);
    case 'yaml':
      return (require('yaml') as typeof import('yaml')).stringify(objects(), { lineWidth: 0 }).trimEnd();
    case 'csv':
      return csv(titles, rows, form.quote);
    case 'value':
      return result.list ? rows.map((row) => row.map(plain).join(' ')).join('\n') : first.map(plain).join('\n');
    case 'table':
      return result.list
        ? table(titles, rows, form.colour ?? false)
        : table(
            ['Field', 'Value'],
            titles.map((title, at) => [title, first[at]]),
            form.colour ?? false,
          );
  }
}
