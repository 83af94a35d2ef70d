// The help of the command and of each of its commands.
import { CLOUD, commonOptions } from './commandLine';
import { exampleOf, type Command, type Options } from './command';

function lines(options: Options): string[] {
  const left = Object.entries(options).map(
    ([name, { short, value }]) => `  ${short ? `-${short}, ` : ''}--${name}${value ? ` ${value}` : ''}`,
  );
  const width = Math.max(0, ...left.map((each) => each.length)) + 2;
  return Object.values(options).map(
    ({ help, required }, index) => `${(left[index] ?? '').padEnd(width)}${help}${required ? ' (needed)' : ''}`,
  );
}

/** The help of one command, with an example. */
export function commandHelp(command: Command): string {
  const args = (command.args ?? []).map((name) =>
    name.startsWith('[') ? name : `<${name.replace('...', '')}>${name.endsWith('...') ? '...' : ''}`,
  );
  return [
    `usage: ${['cumulet', command.name, '[options]', ...args].join(' ')}`,
    '',
    `${command.summary}.`,
    '',
    'Example:',
    `  ${exampleOf(command)}`,
    ...(Object.keys(command.options ?? {}).length > 0 ? ['', 'Options:', ...lines(command.options ?? {})] : []),
    '',
    'Options of every command:',
    ...lines(commonOptions(command)),
  ].join('\n');
}

/** The list of all commands, or of those that begin with the words. */
export function overview(commands: readonly Command[], words: readonly string[] = []): string {
  const shown = commands.filter(({ name }) => words.length === 0 || `${name} `.startsWith(`${words.join(' ')} `));
  const width = Math.max(...shown.map(({ name }) => name.length)) + 2;
  return [
    'usage: cumulet [--os-cloud CLOUD] COMMAND [options]',
    '',
    'Example:',
    '  cumulet server create --image tiny --flavor m1.tiny --network demo --wait hello',
    '',
    'Commands (cumulet COMMAND --help tells more):',
    ...shown.map(({ name, summary }) => `  ${name.padEnd(width)}${summary}`),
    ...(words.length === 0
      ? ['', 'Which cloud, and who asks (also as OS_* variables and in clouds.yaml):', ...lines(CLOUD)]
      : []),
    ...(words.length === 0
      ? ['', 'This machine as a cloud: cumulet up, cumulet down, cumulet doctor, cumulet test']
      : []),
  ].join('\n');
}
