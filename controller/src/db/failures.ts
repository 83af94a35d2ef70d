// Which failures of the database mean what: a unique key, a lock that another transaction holds, a connection that is gone.
import { CumuletError } from '@cumulet/common';
import { QueryFailedError } from 'typeorm';

/** What the driver says of a failure. */
interface DriverFailure {
  readonly code?: unknown;
  readonly errno?: unknown;
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

/**
 * Errors of the socket, of a server that goes away or is not there yet, of a Galera node that has left its cluster, and of one that
 * takes no writes because another one does: a new connection leads to a server that can.
 */
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
  'ER_NEW_ABORTING_CONNECTION',
  'ER_OPTION_PREVENTS_STATEMENT',
  'ER_READ_ONLY_MODE',
  'ER_SERVER_SHUTDOWN',
  'ER_UNKNOWN_COM_ERROR',
]);

/** MariaDB's "connection was killed", which the driver has no name for. */
const ER_CONNECTION_KILLED = 1927;

/** Whether the connection is gone, could not be made, or leads to a server that does not serve. */
export function isConnectionLost(error: unknown): boolean {
  const { errno, syscall, fatal, sqlState } = causeOf(error);
  // `connect`: whatever the reason, such as a unix socket that is not there. `fatal` without an answer of the server: what mysql2
  // says of a connection that it finds dead has no code of its own.
  return (
    lost.has(codeOf(error)) ||
    errno === ER_CONNECTION_KILLED ||
    syscall === 'connect' ||
    (fatal === true && sqlState === undefined)
  );
}

/**
 * Whether a COMMIT that failed so may have been done all the same: nobody has heard its answer, or Galera gave it to the cluster
 * and then lost the cluster.
 */
export const isUndecided = (error: unknown): boolean =>
  isConnectionLost(error) || codeOf(error) === 'ER_ERROR_DURING_COMMIT';

/** Whether a server was built without Galera, so that it does not know the setting. */
export const isWithoutGalera = (error: unknown): boolean => codeOf(error) === 'ER_UNKNOWN_SYSTEM_VARIABLE';

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
