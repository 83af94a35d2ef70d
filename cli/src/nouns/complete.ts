// cumulet complete.
import type { Command } from '../command';
import { allCommands } from '../commands';
import { completion } from '../complete';

const complete: Command = {
  name: 'complete',
  summary: 'Print the completion for a shell, to be sourced by it',
  example: 'bash',
  args: ['[bash|zsh]'],
  local: true,
  run: ({ input }) => Promise.resolve({ text: completion(input.args[0] ?? 'bash', allCommands()) }),
};

export const commands: readonly Command[] = [complete];
