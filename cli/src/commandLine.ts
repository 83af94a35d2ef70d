// The command line: which command is meant, its options and arguments, and what is wrong with them.
import { parseArgs } from 'node:util';
import { SETTINGS, settingNames, type Setting } from './cloudsConfig';
import { flag, inputOf, text, type Command, type Input, type Options } from './command';
import { CliError } from './errors';
import { FORMATS, QUOTES } from './format';
import { didYouMean } from './suggest';

export const settingOption = (name: Setting): string => `os-${name.replaceAll('_', '-')}`;

/** Options of every command. */
export const COMMON: Options = {
  format: text(`form of the answer: ${FORMATS.join(', ')}`, 'FORMAT', { short: 'f', oneOf: FORMATS }),
  column: text('only this column; may be repeated', 'COLUMN', { short: 'c', multiple: true }),
  'sort-column': text('sort a list by this column; may be repeated', 'COLUMN', { multiple: true }),
  'sort-ascending': flag('smallest first (unless said)'),
  'sort-descending': flag('greatest first'),
  noindent: flag('JSON on one line'),
  quote: text(`what is quoted in CSV: ${QUOTES.join(', ')}`, 'MODE', { oneOf: QUOTES }),
  'os-cloud': text('cloud of clouds.yaml (OS_CLOUD)', 'CLOUD'),
  help: { ...flag('show this help'), short: 'h' },
};

/** The same beside a command's own: a short name that it takes for itself is none of theirs. */
export function commonOptions(command: Command | undefined): Options {
  const taken = new Set(Object.values(command?.options ?? {}).flatMap(({ short }) => short ?? []));
  const entries = Object.entries(COMMON).map(([name, { short, ...option }]) => [
    name,
    short === undefined || taken.has(short) ? option : { ...option, short },
  ]);
  return Object.fromEntries(entries) as Options;
}

/** Which cloud and who asks; each is a setting. */
export const CLOUD: Options = {
  ...Object.fromEntries(settingNames.map((name) => [settingOption(name), text(SETTINGS[name], 'VALUE')])),
  insecure: flag('take any certificate'),
};

/** The options a command takes, those of every command included. */
export const optionsOf = (command: Command | undefined): Options => ({
  ...CLOUD,
  ...commonOptions(command),
  ...command?.options,
});

interface Words {
  readonly command: Command | undefined;
  /** The words that are no options, up to an option after the first word. */
  readonly words: readonly string[];
  /** Everything but the words of the command. */
  readonly rest: readonly string[];
}

const takesValue = (token: string): boolean =>
  Object.entries(optionsOf(undefined)).some(
    ([name, { type, short }]) => type === 'string' && (token === `--${name}` || (short && token === `-${short}`)),
  );

/** Where the first word is that is no option and no value of one. */
function startOf(argv: readonly string[]): number {
  let start = 0;
  while (argv[start]?.startsWith('-')) start += takesValue(argv[start] ?? '') ? 2 : 1;
  return start;
}

/** The first word of the command. */
export const firstWord = (argv: readonly string[]): string | undefined => argv[startOf(argv)];

/** Splits the line into the command and the rest. */
export function findCommand(argv: readonly string[], commands: readonly Command[]): Words {
  const start = startOf(argv);
  const tail = argv.slice(start);
  const end = tail.findIndex((token) => token.startsWith('-'));
  const words = end < 0 ? tail : tail.slice(0, end);
  for (let length = words.length; length > 0; length--) {
    const name = words.slice(0, length).join(' ');
    const command = commands.find((each) => each.name === name);
    if (command) return { command, words, rest: [...argv.slice(0, start), ...tail.slice(length)] };
  }
  return { command: undefined, words, rest: [...argv.slice(0, start), ...tail.slice(words.length)] };
}

/** The sentence for words that are no command. */
export function unknownCommand(words: readonly string[], commands: readonly Command[]): string {
  const names = commands.map(({ name }) => name);
  const below = names.filter((name) => name.startsWith(`${words.join(' ')} `));
  if (below.length > 0) return `"${words.join(' ')}" is not complete; there are:\n  ${below.join('\n  ')}`;
  // Arguments may follow the misspelled words, so that every length is compared.
  const candidates = new Set<string>();
  for (let length = words.length; length > 0 && candidates.size === 0; length--) {
    const same = names.filter((name) => name.split(' ').length === length);
    const hint = didYouMean(words.slice(0, length).join(' '), same);
    if (hint !== '') return `"${words.slice(0, length).join(' ')}" is not a command${hint}`;
  }
  const nouns = didYouMean(words[0] ?? '', new Set(names.map((name) => name.split(' ')[0] ?? '')));
  return `"${words.join(' ')}" is not a command${nouns || '; cumulet --help lists them all'}`;
}

function checkArguments(command: Command, input: Input): void {
  const wanted = command.args ?? [];
  const required = wanted.filter((name) => !name.startsWith('['));
  const missing = required[input.args.length];
  const see = `see cumulet ${command.name} --help`;
  if (missing !== undefined)
    throw new CliError(`${command.name} needs ${missing.replace('...', '').toUpperCase()}; ${see}`, 2);
  if (input.args.length > wanted.length && !wanted.at(-1)?.includes('...'))
    throw new CliError(`${command.name} does not take "${input.args[wanted.length] ?? ''}"; ${see}`, 2);
  for (const [name, option] of Object.entries(optionsOf(command))) {
    const given = input.all(name);
    if (option.required && given.length === 0)
      throw new CliError(`${command.name} needs --${name} ${option.value ?? ''}; ${see}`, 2);
    const { oneOf } = option;
    const wrong = oneOf && given.find((value) => !oneOf.includes(value));
    if (wrong !== undefined)
      throw new CliError(
        `--${name} cannot be "${wrong}"${didYouMean(wrong, oneOf ?? []) || `; it is one of ${oneOf?.join(', ') ?? ''}`}`,
        2,
      );
  }
}

/** Options and arguments of a command; all of them are checked unless help is asked for.
 * @throws CliError with status 2 that says what is wrong */
export function parse(command: Command | undefined, rest: readonly string[]): Input {
  const options = optionsOf(command);
  const known = Object.fromEntries(
    Object.entries(options).map(([name, { type, multiple, short }]) => [
      name,
      { type, multiple: multiple ?? false, ...(short ? { short } : {}) },
    ]),
  );
  const { values, positionals, tokens } = parseArgs({
    args: [...rest],
    options: known,
    allowPositionals: true,
    strict: false,
    tokens: true,
  });
  const where = command ? `cumulet ${command.name}` : 'cumulet';
  for (const token of tokens) {
    if (token.kind !== 'option') continue;
    const { name, rawName, value, inlineValue } = token;
    const option = options[name];
    if (option === undefined) {
      const names = Object.keys(options).map((each) => `--${each}`);
      const hint = didYouMean(rawName, names) || `; see ${where} --help`;
      throw new CliError(`${where} has no option ${rawName}${hint}`, 2);
    }
    if (option.type === 'boolean' && value !== undefined) throw new CliError(`${rawName} takes no value`, 2);
    if (option.type === 'string' && (value === undefined || (value.startsWith('--') && !inlineValue)))
      throw new CliError(`${rawName} needs a value: ${option.value ?? ''}`, 2);
  }
  const input = inputOf(positionals, values);
  if (command && !input.flag('help')) checkArguments(command, input);
  return input;
}
