// Live migration: ports that are wired on a second host, and what is wanted and known of a migration that runs.
import { flag, longText, nullable, text } from '../columns';
import { addColumn, addIndex, migration } from './migration';

export const LiveMigrations = migration('LiveMigrations1795770000000', [
  addColumn('port', 'migrating_to', text(255), ''),
  addIndex('port', ['migrating_to']),
  addColumn('server_migration', 'shared_disk', flag(), false),
  addColumn('server_migration', 'wish', nullable(text(16))),
  addColumn('server_migration', 'progress', nullable(longText())),
]);
