// Asking for a password on the terminal, without showing it.
import { CliError } from './errors';

/** The password, or undefined where nobody can be asked. @throws CliError when the question was cancelled */
export async function askPassword(question: string): Promise<string | undefined> {
  const { stdin, stderr } = process;
  if (!stdin.isTTY || !stderr.isTTY) return undefined;
  // First the silence, then the question: what is typed early must not be shown either.
  stdin.setRawMode(true);
  stderr.write(question);
  let typed = '';
  try {
    return await new Promise((resolve, reject) => {
      stdin.resume().on('data', (chunk: Buffer) => {
        for (const char of chunk.toString()) {
          if (char === '\r' || char === '\n') resolve(typed);
          else if (char === '\u0003' || char === '\u0004') reject(new CliError('cancelled'));
          else typed = char === '\u007f' || char === '\b' ? typed.slice(0, -1) : typed + char;
        }
      });
    });
  } finally {
    stdin.removeAllListeners('data').pause();
    stdin.setRawMode(false);
    stderr.write('\n');
  }
}

/** A new password, asked twice. @throws CliError when nobody can be asked, or the two differ */
export async function askNewPassword(): Promise<string> {
  const first = await askPassword('New password: ');
  if (first === undefined) throw new CliError('a password can be asked for on a terminal only', 2);
  if ((await askPassword('The same again: ')) !== first) throw new CliError('the two passwords differ');
  return first;
}
