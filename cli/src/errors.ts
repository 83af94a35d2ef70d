// Failures that are told to the user in one sentence.

/** A failure in words; the exit status is 2 for a command line that cannot be understood. */
export class CliError extends Error {
  constructor(
    message: string,
    readonly exit?: number,
  ) {
    super(message);
  }
}

/** An answer of the API that is not success. */
export class HttpError extends CliError {
  constructor(
    message: string,
    readonly status: number,
  ) {
    super(message);
  }
}
