// Does the server answer from this machine: ping, then ssh with the caller's key.
import { execFile } from 'node:child_process';
import { connect } from 'node:net';
import type { CallingUser } from './callingUser';
import type { SshKey } from './sshKey';
import { until } from './tenancy';

const run = (command: string, args: readonly string[], user?: CallingUser): Promise<string | undefined> =>
  new Promise((resolve) => {
    const as = user
      ? { uid: user.uid, gid: user.gid, env: { ...process.env, HOME: user.home, USER: user.name, LOGNAME: user.name } }
      : {};
    execFile(command, args, { timeout: 15_000, encoding: 'utf8', ...as }, (error, _stdout, stderr) => {
      resolve(error ? stderr.trim() || error.message : undefined);
    });
  });

/** Waits for an answer to ping. @throws Error when none comes */
export async function pingable(address: string, seconds: number): Promise<void> {
  await until(`${address} did not answer ping`, seconds, async () =>
    (await run('ping', ['-n', '-c', '1', '-W', '1', address])) === undefined ? true : undefined,
  );
}

/** The options that keep the host keys of servers, whose addresses are used again and again, out of known_hosts. */
const SSH_OPTIONS = '-o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null';

/** The line to log in with. */
export function sshLine(address: string, key: SshKey): string {
  return `ssh ${SSH_OPTIONS}${key.usual ? '' : ` -i ${key.privateFile}`} root@${address}`;
}

/** Whether an ssh server says its name there. */
function banner(address: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ host: address, port: 22, timeout: 3000 });
    const end = (result: boolean) => () => {
      socket.destroy();
      resolve(result);
    };
    socket.once('data', (data) => end(data.toString('latin1').startsWith('SSH-2.0'))());
    socket.once('error', end(false)).once('timeout', end(false)).once('close', end(false));
  });
}

/** Waits until ssh answers and the caller's key opens it.
 * @returns a warning when the key cannot be used without its owner (a passphrase)
 * @throws Error when ssh does not answer */
export async function sshOpens(
  address: string,
  key: SshKey,
  user: CallingUser,
  seconds: number,
): Promise<string | undefined> {
  await until(`ssh did not answer on ${address}`, seconds, async () => ((await banner(address)) ? true : undefined));
  const options = [
    ...SSH_OPTIONS.split(' '),
    '-o',
    'LogLevel=ERROR',
    '-o',
    'BatchMode=yes',
    '-o',
    'ConnectTimeout=10',
    '-o',
    'IdentitiesOnly=yes',
  ];
  const problem = await run('ssh', [...options, '-i', key.privateFile, `root@${address}`, 'true'], user);
  if (problem === undefined) return undefined;
  return `ssh answers on ${address}, but not without you: ${problem.split('\n').at(-1) ?? ''} (has ${key.privateFile} a passphrase?)`;
}
