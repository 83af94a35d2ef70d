// The root of every error this program throws on purpose: a stable code, a message in words and the facts behind it.

/** An expected failure. `code` is stable for programs, `message` is for people, `facts` hold ids and numbers. */
export class CumuletError extends Error {
  readonly code: string;
  readonly facts: Readonly<Record<string, unknown>>;

  constructor(code: string, message: string, facts: Readonly<Record<string, unknown>> = {}, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.name = new.target.name;
    this.code = code;
    this.facts = facts;
  }
}

/** A host command that ended with a non-zero exit code, a signal or a timeout. */
export class CommandError extends CumuletError {
  readonly argv: readonly string[];
  /** Null when the command was killed by a signal or never started. */
  readonly exitCode: number | null;
  readonly stdout: string;
  readonly stderr: string;
  /** Why it ended, where the exit code does not say it. */
  readonly reason: string | undefined;

  constructor(argv: readonly string[], exitCode: number | null, stdout: string, stderr: string, reason?: string) {
    const why = reason ?? `exit code ${String(exitCode)}`;
    const detail = stderr.trim() || stdout.trim();
    super('command_failed', `${argv.join(' ')}: ${why}${detail ? `: ${detail.slice(0, 2000)}` : ''}`, {
      argv,
      exitCode,
    });
    this.argv = argv;
    this.exitCode = exitCode;
    this.stdout = stdout;
    this.stderr = stderr;
    this.reason = reason;
  }
}

/**
 * A failure on a host. The owner of the resource reads the message, so it names no path, address or process of the host;
 * those belong in `facts`. `retryable`: another try or another host could avoid it.
 */
export class HostError extends CumuletError {
  readonly retryable: boolean;

  constructor(
    code: string,
    message: string,
    options: { retryable: boolean; facts?: Readonly<Record<string, unknown>>; cause?: unknown },
  ) {
    super(code, message, options.facts, options.cause);
    this.retryable = options.retryable;
  }
}

/** A configuration file that can't be used; the message names the file, the key and what is wrong with it. */
export class ConfigError extends CumuletError {
  constructor(message: string, facts: Readonly<Record<string, unknown>> = {}) {
    super('bad_configuration', message, facts);
  }
}

/** What any thrown value says, for logs and faults. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
