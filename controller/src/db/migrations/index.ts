// All migrations in order. The schema before the first release is one migration made from the table definitions.
import { Initial1700000000000 } from './initial';

export const migrations = [Initial1700000000000] as const;
