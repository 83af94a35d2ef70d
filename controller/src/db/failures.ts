// Which failures of the database mean what: a unique key, a lock that another transaction holds, a connection that is gone.
import { CumuletError } from '@cumulet/common';
import { QueryFailedError } from 'typeorm';

/** What the driver says of a failure. */
interface DriverFailure {
  readonly code?: unknown;
  readonly syscall?: unknown;
  readonly fatal?: unknown;
  readonly sqlState?: unknown;
}

function causeOf(error: unknown): DriverFailure {
  const cause: unknown = error instanceof QueryFailedError ? error.driverError : error;
  return typeof cause === 'object' && cause !== null ? cause : {};
}

const codeOf = (error: unknown): string => {
  const { code } = causeOf(error);
  return typeof code === 'string' ? code : '';
};

const duplicates = new Set(['SQLITE_CONSTRAINT_UNIQUE', 'SQLITE_CONSTRAINT_PRIMARYKEY', 'ER_DUP_ENTRY']);

/** Whether an insert or update failed because a unique row exists already. */
export function isDuplicate(error: unknown): boolean {
  return error instanceof QueryFailedError && duplicates.has(codeOf(error));
}

const contended = new Set(['ER_LOCK_DEADLOCK', 'ER_LOCK_WAIT_TIMEOUT', 'ER_CHECKREAD']);

/** Whether other transactions stood in the way, so that the same work can succeed when it is done again. */
export const isContended = (error: unknown): boolean => contended.has(codeOf(error));

/** Errors of the socket, of a server that goes away or is not there yet, and of a Galera node that has left its cluster. */
const lost = new Set([
  'PROTOCOL_CONNECTION_LOST',
  'PROTOCOL_SEQUENCE_TIMEOUT',
  'ECONNREFUSED',
  'ECONNRESET',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'EPIPE',
  'ETIMEDOUT',
  'ER_CON_COUNT_ERROR',
  'ER_CONNECTION_KILLED',
  'ER_NEW_ABORTING_CONNECTION',
  'ER_SERVER_SHUTDOWN',
  'ER_UNKNOWN_COM_ERROR',
]);

/** Whether the connection is gone or could not be made. */
export function isConnectionLost(error: unknown): boolean {
  const { syscall, fatal, sqlState } = causeOf(error);
  // `connect`: whatever the reason, such as a unix socket that is not there. `fatal` without an answer of the server: what mysql2
  // says of a connection that it finds dead has no code of its own.
  return lost.has(codeOf(error)) || syscall === 'connect' || (fatal === true && sqlState === undefined);
}

/** The database can't be asked now. After `unknown` the transaction may have been committed or not. */
export class DatabaseUnavailableError extends CumuletError {
  constructor(outcome: 'not done' | 'unknown', cause: unknown) {
    super(
      'database_unavailable',
      outcome === 'unknown'
        ? 'The connection to the database was lost while a change was being committed: look whether it was made before you repeat it.'
        : 'The database could not be reached and nothing was changed: try again.',
      { outcome },
      cause,
    );
  }
}
