// What the ORM tells us: every statement to whoever counts them, every failed one to whoever must react. Nothing is printed.
import type { Logger, QueryRunner } from 'typeorm';

export interface StatementListener {
  readonly onStatement?: ((sql: string) => void) | undefined;
  readonly onError?: (error: unknown, runner: QueryRunner | undefined) => void;
}

export function ormLogger({ onStatement, onError }: StatementListener): Logger {
  const nothing = (): void => undefined;
  return {
    logQuery: (sql) => onStatement?.(sql),
    logQueryError: (error, _sql, _parameters, runner) => onError?.(error, runner),
    logQuerySlow: nothing,
    logSchemaBuild: nothing,
    logMigration: nothing,
    log: nothing,
  };
}
