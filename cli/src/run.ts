// One run of the command `cumulet`: from the words of the command line to text and an exit status.
import { createApi, type Api } from './api';
import { settingNames, settings } from './cloudsConfig';
import type { Command, Input } from './command';
import { firstWord, findCommand, parse, settingOption, unknownCommand } from './commandLine';
import { allCommands, commandsFor } from './commands';
import { CliError } from './errors';
import { render, type Form } from './format';
import { commandHelp, overview } from './help';

/** What surrounds a run. */
export interface Surroundings {
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Where clouds.yaml is looked for first. */
  readonly directory: string;
  /** Whether answers may be coloured. */
  readonly colour: boolean;
  readonly print: (text: string) => void;
  readonly complain: (text: string) => void;
  /** See Context. */
  readonly progress: (text: string) => void;
}

function apiFor(command: Command, input: Input, { env, directory }: Surroundings): Api {
  if (command.local) return createApi({});
  const said = settingNames.map((name) => [name, input.text(settingOption(name))] as const);
  const options = Object.fromEntries(said.filter(([, value]) => value !== undefined));
  if (input.flag('insecure')) options['insecure'] = 'yes';
  return createApi(settings(options, input.text('os-cloud'), env, directory, () => command.otherwise?.(input)));
}

async function run(command: Command, input: Input, around: Surroundings): Promise<number> {
  const api = apiFor(command, input, around);
  const result = await command.run({ api, input, progress: around.progress });
  if (!result) return 0;
  const text = render(result, {
    columns: input.all('column'),
    sortBy: input.all('sort-column'),
    descending: input.flag('sort-descending'),
    noindent: input.flag('noindent'),
    colour: around.colour,
    // The parser has seen to it that these are known ones.
    ...({ format: input.text('format') ?? 'table', quote: input.text('quote') ?? 'nonnumeric' } as Form),
  });
  if (text !== '') around.print(text);
  return result.exit ?? 0;
}

/** Words that are no command: the text of help that was asked for. @throws CliError with status 2 when none was */
function helpFor(argv: readonly string[], words: readonly string[], rest: readonly string[]): string {
  const commands = allCommands();
  const help = words[0] === 'help' || words.length === 0 || argv.includes('--help') || argv.includes('-h');
  const asked = words[0] === 'help' ? words.slice(1) : words;
  if (!help || !commands.some(({ name }) => asked.length === 0 || `${name} `.startsWith(`${asked.join(' ')} `)))
    throw new CliError(unknownCommand(asked, commands), 2);
  parse(undefined, rest);
  const command = commands.find(({ name }) => name === asked.join(' '));
  return command ? commandHelp(command) : overview(commands, asked);
}

async function act(argv: readonly string[], around: Surroundings): Promise<number> {
  const { command, words, rest } = findCommand(argv, commandsFor(firstWord(argv)));
  if (!command) {
    around.print(helpFor(argv, words, rest));
    return argv.length > 0 ? 0 : 2;
  }
  const input = parse(command, rest);
  if (input.flag('help')) {
    around.print(commandHelp(command));
    return 0;
  }
  try {
    return await run(command, input, around);
  } catch (error) {
    if (error instanceof CliError) throw new CliError(error.message, error.exit ?? command.failure);
    throw error;
  }
}

/** Runs the command. @returns the exit status: 0, 1 for a failure, 2 for a command line that cannot be understood */
export async function cumulet(argv: readonly string[], around: Surroundings): Promise<number> {
  try {
    return await act(argv, around);
  } catch (error) {
    around.complain(error instanceof Error ? error.message : String(error));
    return error instanceof CliError ? (error.exit ?? 1) : 1;
  }
}
