// A program in a process id namespace of its own: it and all that it starts die at once when it is killed, or when we end, however
// that happens. What it says goes to a file.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, openSync, readFileSync } from 'node:fs';

export interface Confined {
  /** Whether it has ended. */
  ended(): boolean;
  /** Ends it as a power cut would. Resolves when nothing of it is left. */
  kill(): Promise<void>;
  /** Sends a signal to it and all that it has started. */
  signal(name: NodeJS.Signals): void;
}

export interface ConfinedOptions {
  /** What it says is appended to this file. */
  readonly log: string;
  /** Its environment; ours unless given. */
  readonly env?: Readonly<Record<string, string>>;
}

/**
 * The namespace's first process. A program that changes its user would lose the signal that ends it with us, so the shell stays.
 * It ends its own descendants, and the pipe that it holds open tells when all of them are gone.
 */
const FIRST = '"$@" & wait $!';

function descendantsOf(pid: number): number[] {
  const children = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').split(' ').filter(Boolean).map(Number);
  return children.flatMap((child) => [child, ...descendantsOf(child)]);
}

/** Starts a command; it needs root. */
export function startConfined(command: readonly string[], { log, env }: ConfinedOptions): Confined {
  const output = openSync(log, 'a');
  const namespace = ['--pdeathsig', 'KILL', 'unshare', '--pid', '--fork', '--kill-child', '--mount-proc'];
  const child = spawn('setpriv', [...namespace, 'sh', '-c', FIRST, 'first', ...command], {
    stdio: ['ignore', output, output, 'pipe'],
    ...(env ? { env } : {}),
  });
  closeSync(output);
  // Every process in the namespace inherits the pipe, so it closes with the last of them.
  const pipe = child.stdio[3];
  pipe?.on('error', () => undefined);
  const gone = pipe ? once(pipe, 'close') : Promise.resolve();
  if (pipe && 'resume' in pipe) pipe.resume();
  return {
    ended: () => child.exitCode !== null || child.signalCode !== null,
    async kill() {
      child.kill('SIGKILL');
      await gone;
    },
    signal(name) {
      for (const pid of descendantsOf(child.pid ?? 0)) process.kill(pid, name);
    },
  };
}
