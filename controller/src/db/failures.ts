// Which failures of the database mean what: a unique key, a lock that another transaction holds, a connection that is gone.
import { CumuletError } from '@cumulet/common';
import { QueryFailedError } from 'typeorm';

const codeOf = (error: unknown): string => {
  const cause: unknown = error instanceof QueryFailedError ? error.driverError : error;
  const code = cause instanceof Error && 'code' in cause ? cause.code : undefined;
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
  if (lost.has(codeOf(error))) return true;
  const cause: unknown = error instanceof QueryFailedError ? error.driverError : error;
  // The server's unix socket is not there.
  if (cause instanceof Error && 'syscall' in cause && cause.syscall === 'connect') return true;
  // mysql2 refuses statements on a connection that it has found dead with an error that has no code of its own.
  return cause instanceof Error && cause.message.includes('connection is in closed state');
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
