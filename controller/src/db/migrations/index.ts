// All migrations, oldest first. How to add one: docs/architecture.md.
import { Initial } from './initial';

export const migrations = [Initial] as const;
