// Completion scripts for bash and zsh, made from the commands; completing starts no process.
import { COMMON } from './commandLine';
import type { Command } from './command';
import { CliError } from './errors';

/** For each beginning of a command, what may follow. */
export function followers(commands: readonly Command[]): Map<string, string[]> {
  const found = new Map<string, Set<string>>();
  const add = (beginning: string, word: string): void => {
    found.set(beginning, (found.get(beginning) ?? new Set()).add(word));
  };
  for (const { name, options } of commands) {
    const words = name.split(' ');
    words.forEach((word, index) => add(words.slice(0, index).join(' '), word));
    for (const option of Object.keys({ ...options, ...COMMON })) add(name, `--${option}`);
  }
  return new Map([...found].map(([beginning, words]) => [beginning, [...words].sort()]));
}

/** The script that completes `cumulet` in the shell; the user sources it. @throws CliError for another shell */
export function completion(shell: string, commands: readonly Command[]): string {
  if (shell !== 'bash' && shell !== 'zsh') throw new CliError(`completion is for bash and zsh, not "${shell}"`, 2);
  const cases = [...followers(commands)].map(([key, words]) => `    '${key}') found='${words.join(' ')}' ;;`);
  const lookup = ['_cumulet_words() {', '  found=', '  case "$1" in', ...cases, '  esac', '}'];
  // The longest beginning that is known decides; options between the words are passed over.
  const walk = (list: string): string[] => [
    '  local key= word found= best=',
    '  _cumulet_words ""; best=$found',
    `  for word in ${list}; do`,
    '    case "$word" in -*) continue ;; esac',
    '    _cumulet_words "${key:+$key }$word"',
    '    if [ -n "$found" ]; then key="${key:+$key }$word"; best=$found; fi',
    '  done',
  ];
  const bash = [
    '_cumulet() {',
    ...walk('"${COMP_WORDS[@]:1:COMP_CWORD-1}"'),
    '  COMPREPLY=($(compgen -W "$best" -- "${COMP_WORDS[COMP_CWORD]}"))',
    '}',
    'complete -o default -F _cumulet cumulet',
  ];
  const zsh = [
    '_cumulet() {',
    ...walk('"${(@)words[2,CURRENT-1]}"'),
    '  compadd -- ${=best}',
    '}',
    'compdef _cumulet cumulet',
  ];
  return [...(shell === 'zsh' ? ['#compdef cumulet'] : []), ...lookup, ...(shell === 'bash' ? bash : zsh)].join('\n');
}
