// One attempt to log in that leaves no trace: whether ssh would get in by now, read from what it says.
import { execFile } from 'node:child_process';

/** What became of an attempt: nobody answers yet, the key is not taken yet, or there is nothing more to wait for: ssh gets in, or fails
 * for a reason that time does not heal and that it tells best itself. */
export type Attempt =
  | { readonly kind: 'silent'; readonly reason: string }
  | { readonly kind: 'denied'; readonly reason: string }
  | { readonly kind: 'decided' };

/** The reason of an attempt that took too long. */
export const NO_ANSWER = 'no answer';
/** What ssh ends with when it has failed itself, not the command. */
const FAILED = 255;
/** A handshake with a guest under emulation on a busy machine takes seconds. */
const ATTEMPT_MS = 30_000;
/** What of the caller's own configuration must not happen twice is off, and no question is asked. */
const SETTINGS = [
  'BatchMode=yes',
  'ConnectTimeout=5',
  'ConnectionAttempts=1',
  'ControlMaster=no',
  'ControlPath=none',
  'ClearAllForwardings=yes',
  'PermitLocalCommand=no',
  'RemoteCommand=none',
  // Below this it does not say whether a key with a passphrase would be taken.
  'LogLevel=DEBUG1',
].flatMap((setting) => ['-o', setting]);

/** Failures of a guest that boots. It closes connections while it lets only root in ("System is booting up"). */
const BOOTING =
  /No route to host|Host is down|Connection refused|timed out|Connection (reset|closed)|closed by remote host|Broken pipe/;

/** Reads an end of ssh with LogLevel=DEBUG1. @param code - its exit status; undefined when it took too long */
export function attemptOf(code: number | undefined, said: string): Attempt {
  if (code === undefined) return { kind: 'silent', reason: NO_ANSWER };
  const lines = said.split('\n').map((line) => line.trim());
  const last = lines.findLast((line) => line !== '' && !/^debug\d: /.test(line)) ?? '';
  const reason = last.replace(/^ssh: connect to host \S+ port \d+: /, '');
  if (code !== FAILED) return { kind: 'decided' };
  if (/: Permission denied \(/.test(reason)) {
    // The server takes this key: what is missing is its passphrase, or what else only its owner has.
    const taken = lines.some((line) => line.startsWith('debug1: Server accepts key: '));
    return taken ? { kind: 'decided' } : { kind: 'denied', reason };
  }
  return BOOTING.test(reason) ? { kind: 'silent', reason } : { kind: 'decided' };
}

/** Tries to log in and do nothing.
 * @param words - of ssh, from its options to the address
 * @param milliseconds - the longest that it may take */
export function attempt(words: readonly string[], milliseconds: number): Promise<Attempt> {
  return new Promise((resolve) => {
    const timeout = Math.max(1, Math.min(ATTEMPT_MS, Math.floor(milliseconds)));
    const args = [...SETTINGS, '-T', '-n', ...words, 'true'];
    execFile('ssh', args, { timeout, encoding: 'utf8' }, (error, _stdout, stderr) => {
      if (error?.killed) resolve(attemptOf(undefined, stderr));
      // Without ssh, or when a signal ended it, the login says what is wrong.
      else resolve(attemptOf(typeof error?.code === 'number' ? error.code : 0, stderr));
    });
  });
}
