// What a command is: data for the parser, the help and the completion, and one function that carries it out.
import type { Api } from './api';
import type { Settings } from './cloudsConfig';
import { CliError } from './errors';

export type Row = Readonly<Record<string, unknown>>;

/** Columns of a list: title, and the field it shows or what makes its value of a row. */
export type Columns = Readonly<Record<string, string | ((row: Row) => unknown)>>;

/** What a command shows: rows, the fields of one thing, or plain text. `exit` is the exit status, 0 unless said. */
export interface Result {
  readonly list?: { readonly columns: Columns; readonly rows: readonly Row[] };
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
  readonly oneOf?: readonly string[];
  /** A value as the API wants it: a number, the id of a name. A flag with this makes its value itself. */
  readonly read?: (value: string, context: Context, option: string) => unknown;
  /** What the option says in a body or query.
   * @param before - what is said so far, over the thing as it is now */
  readonly put?: (values: readonly unknown[], before: Row) => Row;
}

/** An option with a value. */
export const text = (help: string, value: string, more: Partial<Option> = {}): Option => ({
  type: 'string',
  help,
  value,
  ...more,
});

/** An option without a value. */
export const flag = (help: string): Option => ({ type: 'boolean', help });

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
  /** What follows the name in the example. */
  readonly example: string;
  /** Names of the arguments; "[x]" may be left out, "x..." may be repeated. */
  readonly args?: readonly string[];
  readonly options?: Options;
  /** Exit status when it fails; 1 unless said. */
  readonly failure?: number;
  /** Whether it needs no cloud. */
  readonly local?: boolean;
  /** The cloud that it speaks to when none is named. @throws CliError in words when that can't be told */
  readonly otherwise?: (input: Input) => Settings;
  run(context: Context): Promise<Result | undefined>;
}

/** The example as it is typed. */
export const exampleOf = ({ name, example }: Command): string => `cumulet ${name} ${example}`.trim();

/** The number a value says. @throws CliError with status 2 when it is none */
export function wholeNumber(value: string, option: string): number {
  if (!/^-?\d+$/.test(value)) throw new CliError(`--${option} takes a whole number, not "${value}"`, 2);
  return Number(value);
}

/** The parsed command line as commands read it. */
export function inputOf(args: readonly string[], values: Readonly<Record<string, Value>>): Input {
  const all = (option: string): string[] => {
    const value = values[option];
    return (Array.isArray(value) ? value : [value]).filter((each) => typeof each === 'string');
  };
  const text = (option: string): string | undefined => all(option)[0];
  return {
    args,
    arg: (index) => args[index] ?? '',
    text,
    flag: (option) => values[option] === true,
    all,
    number: (option) => {
      const value = text(option);
      return value === undefined ? undefined : wholeNumber(value, option);
    },
  };
}
