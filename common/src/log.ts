// Structured logs: one JSON object a line on standard output, secrets removed.
import pino, { type Logger as PinoLogger } from 'pino';

export type Logger = PinoLogger;

/** Keys whose values never reach a log, at any of the depths where requests and messages carry them. */
const SECRETS = ['password', 'adminPass', 'original_password', 'token', 'secret', 'private_key', 'user_data'];

/** A logger for one component. `level` is one of pino's names; LOG_LEVEL overrides it. */
export function createLogger(component: string, level = 'info'): Logger {
  const paths = SECRETS.flatMap((key) => [key, `*.${key}`, `*.*.${key}`]);
  return pino({
    level: process.env['LOG_LEVEL'] ?? level,
    base: { component },
    timestamp: pino.stdTimeFunctions.isoTime,
    redact: { paths: [...paths, 'headers["x-auth-token"]', 'headers["x-subject-token"]'], censor: '[redacted]' },
  });
}

/** A logger that says nothing, for tests. */
export const silentLogger: Logger = pino({ level: 'silent' });
