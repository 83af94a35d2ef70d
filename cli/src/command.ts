// What a command is: data for the parser, the help and the completion, and one function that carries it out.
import type { Api } from './api';
import { CliError } from './errors';

export type Row = Readonly<Record<string, unknown>>;

/** A column of a list: its title and where its value is in a row. */
export interface Column {
  readonly title: string;
  readonly of: (row: Row) => unknown;
}

/** What a command shows: rows, the fields of one thing, or plain text. `exit` is the exit status, 0 unless said. */
export interface Result {
  readonly list?: { readonly columns: readonly Column[]; readonly rows: readonly Row[] };
  readonly one?: Row;
  readonly text?: string;
  readonly exit?: number;
}

export interface Option {
  readonly type: 'string' | 'boolean';
  readonly multiple?: boolean;
  readonly short?: string;
  readonly help: string;
  /** Stands for the value in the help. */
  readonly value?: string;
  readonly required?: boolean;
}

export type Options = Readonly<Record<string, Option>>;
type Value = string | boolean | (string | boolean)[] | undefined;

/** The command line, parsed. */
export interface Input {
  readonly args: readonly string[];
  /** Argument at a place; the parser has seen to it that required ones are there. */
  arg(index: number): string;
  text(option: string): string | undefined;
  flag(option: string): boolean;
  all(option: string): string[];
  /** A whole number. @throws CliError when it is none */
  number(option: string): number | undefined;
}

export interface Context {
  readonly api: Api;
  readonly input: Input;
  /** One line that replaces itself on a terminal; nothing elsewhere. An empty text removes it. */
  readonly progress: (text: string) => void;
}

export interface Command {
  /** The words that call it: "server create". */
  readonly name: string;
  readonly summary: string;
  readonly example: string;
  /** Names of the arguments; "[x]" may be left out, "x..." may be repeated. */
  readonly args?: readonly string[];
  readonly options?: Options;
  /** Exit status when it fails; 1 unless said. */
  readonly failure?: number;
  run(context: Context): Promise<Result | undefined>;
}

/** A column that shows a field as it is. */
export const column = (title: string, field: string): Column => ({ title, of: (row) => row[field] });

/** An option with a value. */
export const text = (help: string, value: string, more: Partial<Option> = {}): Option => ({
  type: 'string',
  help,
  value,
  ...more,
});

/** An option without a value. */
export const flag = (help: string): Option => ({ type: 'boolean', help });

/** The parsed command line as commands read it. */
export function inputOf(args: readonly string[], values: Readonly<Record<string, Value>>): Input {
  const text = (option: string): string | undefined => {
    const value = values[option];
    return typeof value === 'string' ? value : undefined;
  };
  return {
    args,
    arg: (index) => args[index] ?? '',
    text,
    flag: (option) => values[option] === true,
    all: (option) => {
      const value = values[option];
      return Array.isArray(value) ? value.filter((each) => typeof each === 'string') : [];
    },
    number: (option) => {
      const value = text(option);
      if (value === undefined) return undefined;
      if (!/^-?\d+$/.test(value)) throw new CliError(`--${option} takes a whole number, not "${value}"`);
      return Number(value);
    },
  };
}
