#!/usr/bin/env node
// The command `cumulet`: a thin client of the public APIs with the grammar of `openstack`.
import { createApi } from './api';
import { settings, SETTINGS, type Setting } from './cloudsConfig';
import type { Command, Input } from './command';
import { findCommand, parse, settingOption, unknownCommand } from './commandLine';
import { commands as apiCommands } from './commands';
import { completion } from './complete';
import { CliError } from './errors';
import { FORMATS, render, type Format } from './format';
import { commandHelp, overview } from './help';
import { didYouMean } from './suggest';

const complete: Command = {
  name: 'complete',
  summary: 'Print the completion for a shell',
  example: 'source <(cumulet complete bash)',
  args: ['bash|zsh'],
  run: ({ input }) => Promise.resolve({ text: completion(input.arg(0), commands) }),
};
const commands: readonly Command[] = [...apiCommands, complete];

const colour = (stream: NodeJS.WriteStream): boolean => stream.isTTY && !process.env['NO_COLOR'];

function progress(text: string): void {
  if (process.stderr.isTTY) process.stderr.write(`\r\u001b[K${text}`);
}

function formatOf(input: Input): Format {
  const wished = input.text('format') ?? 'table';
  const format = FORMATS.find((each) => each === wished);
  if (format === undefined)
    throw new CliError(
      `there is no format "${wished}"${didYouMean(wished, FORMATS) || ` (there are ${FORMATS.join(', ')})`}`,
      2,
    );
  return format;
}

async function run(command: Command, input: Input): Promise<number> {
  const format = formatOf(input);
  const options = Object.fromEntries(
    (Object.keys(SETTINGS) as Setting[])
      .map((name) => [name, input.text(settingOption(name))] as const)
      .filter(([, value]) => value !== undefined),
  ) as Partial<Record<Setting, string>>;
  const found = command === complete ? {} : await settings(options, input.text('os-cloud'), process.env, process.cwd());
  const result = await command.run({ api: createApi(found), input, progress });
  if (result) {
    const text = await render(result, format, input.all('column'), colour(process.stdout));
    if (text !== '') process.stdout.write(text.endsWith('\n') ? text : `${text}\n`);
  }
  return result?.exit ?? 0;
}

async function main(argv: readonly string[]): Promise<number> {
  const { command, words, rest } = findCommand(argv, commands);
  if (!command) {
    const help = words[0] === 'help' || words.length === 0 || argv.includes('--help') || argv.includes('-h');
    const asked = words[0] === 'help' ? words.slice(1) : words;
    if (!help || !commands.some(({ name }) => asked.length === 0 || `${name} `.startsWith(`${asked.join(' ')} `)))
      throw new CliError(unknownCommand(asked, commands), 2);
    parse(undefined, rest);
    console.log(overview(commands, asked));
    return words.length > 0 || argv.length > 0 ? 0 : 2;
  }
  const input = parse(command, rest);
  if (input.flag('help')) {
    console.log(commandHelp(command));
    return 0;
  }
  try {
    return await run(command, input);
  } catch (error) {
    if (error instanceof CliError) throw new CliError(error.message, error.exit ?? command.failure);
    throw error;
  }
}

main(process.argv.slice(2)).then(
  (exit) => void (process.exitCode = exit),
  (error: unknown) => {
    const prefix = colour(process.stderr) ? '\u001b[31mcumulet:\u001b[0m' : 'cumulet:';
    console.error(`${prefix} ${error instanceof Error ? error.message : String(error)}`);
    process.exitCode = error instanceof CliError ? (error.exit ?? 1) : 1;
  },
);
