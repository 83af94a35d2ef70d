// The one door to host commands: argv only, no shell, a timeout, the C locale.
import { spawn } from 'node:child_process';
import { CommandError } from './errors';

export interface ExecOptions {
  /** Text for standard input. */
  readonly input?: string;
  /** An open file that becomes standard input, by its descriptor; instead of `input`. */
  readonly stdin?: number;
  /** Milliseconds until the command is killed; default 30,000. */
  readonly timeout?: number;
  /** The first output ends the command as a success: for commands that wait for something to happen, and tell. */
  readonly untilOutput?: boolean;
  readonly signal?: AbortSignal;
  readonly cwd?: string;
  /** Runs with these instead of our own, for work on untrusted bytes. */
  readonly uid?: number;
  readonly gid?: number;
}

export interface ExecResult {
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs a command; throws {@link CommandError} unless it exits with 0. Injected wherever commands run, so tests can stand in. */
export type Exec = (argv: readonly string[], options?: ExecOptions) => Promise<ExecResult>;

/** Output beyond this many bytes is a fault of the command, not something to keep in memory. */
const OUTPUT_LIMIT = 64 * 1024 * 1024;

export const exec: Exec = (argv, options = {}) =>
  new Promise((resolve, reject) => {
    const [command, ...args] = argv;
    if (command === undefined) return reject(new CommandError(argv, null, '', '', 'empty command'));
    const child = spawn(command, args, {
      stdio: [options.stdin ?? 'pipe', 'pipe', 'pipe'],
      env: { PATH: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin', LC_ALL: 'C', HOME: '/' },
      ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
      ...(options.uid === undefined ? {} : { uid: options.uid }),
      ...(options.gid === undefined ? {} : { gid: options.gid }),
    });
    let reason: string | undefined;
    const kill = (why: string): void => {
      reason ??= why;
      child.kill('SIGKILL');
      // A child of its own that lives on may keep them open, and nobody waits for that.
      child.stdout?.destroy();
      child.stderr?.destroy();
    };
    const timeout = options.timeout ?? 30_000;
    const timer = setTimeout(() => kill(`timed out after ${timeout} ms`), timeout);
    const onAbort = (): void => kill('aborted');
    options.signal?.addEventListener('abort', onAbort);
    if (options.signal?.aborted) onAbort();
    const out: Buffer[] = [];
    const err: Buffer[] = [];
    let size = 0;
    const collect = (into: Buffer[]) => (chunk: Buffer) => {
      size += chunk.length;
      if (size > OUTPUT_LIMIT) kill('printed more than 64 MiB');
      else into.push(chunk);
    };
    child.stdout?.on('data', collect(out));
    let heard = false;
    if (options.untilOutput === true) {
      child.stdout?.once('data', () => {
        heard = true;
        child.kill('SIGKILL');
      });
    }
    child.stderr?.on('data', collect(err));
    const done = (): void => {
      clearTimeout(timer);
      options.signal?.removeEventListener('abort', onAbort);
    };
    child.on('error', (error) => {
      done();
      reject(new CommandError(argv, null, '', '', error.message));
    });
    child.on('close', (code, signal) => {
      done();
      const stdout = Buffer.concat(out).toString();
      const stderr = Buffer.concat(err).toString();
      if ((code === 0 || heard) && reason === undefined) resolve({ stdout, stderr });
      else reject(new CommandError(argv, code, stdout, stderr, reason ?? (signal ? `killed by ${signal}` : undefined)));
    });
    // A command that ends without reading its input is judged by its exit code, not by EPIPE.
    child.stdin?.on('error', () => undefined);
    child.stdin?.end(options.input ?? '');
  });
