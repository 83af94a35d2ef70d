// From the text of a message to a message that fits its schema.
import { CumuletError, messageOf } from '../errors';
import { fits, schemaProblem } from '../schema';
import { commandBodies, CommandSchema, Reply, type Command } from './commands';

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new CumuletError('bad_message', `a message is not JSON: ${messageOf(error)}`);
  }
}

/** @throws CumuletError bad_message */
export function parseCommand(text: string): Command {
  const value = parseJson(text);
  if (!fits(CommandSchema, value) || !Object.hasOwn(commandBodies, value.kind)) {
    throw new CumuletError('bad_message', 'a command does not fit its schema');
  }
  const command = value as Command;
  const problem = schemaProblem(commandBodies[command.kind], command.body);
  if (problem) throw new CumuletError('bad_message', `${command.kind}${problem.path}: ${problem.message}`);
  return command;
}

/** @throws CumuletError bad_message */
export function parseReply(text: string): Reply {
  const value = parseJson(text);
  const problem = schemaProblem(Reply, value);
  if (problem)
    throw new CumuletError('bad_message', `a reply does not fit its schema: ${problem.path} ${problem.message}`);
  return value as Reply;
}
